"""The table of a report with the results that matter: one row for eager and one for each run, judged by verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from etui import text
from etui.analysis import trust
from etui.analysis.comparison import RunComparison
from etui.analysis.flags import EAGER_FLAG
from etui.analysis.side_by_side import Row
from etui.facts import Fact, RunSummary
from etui.report.recommendation import ACCURACY_TONES, SPEED_TONES, Tone
from etui.results import LIVE_STATUSES, Flag, LatencyStats, RunDocument, SpeedVerdict

SPEED_GLYPHS: dict[str, str] = {"faster": "▲", "slower": "▼", "equivalent": "=", "inconclusive": "?", "unreliable": "!"}
ACCURACY_GLYPHS = {"PASS": "✓", "FAIL": "✗", "UNPROVEN": "?"}
BEST, CHOSEN, WARNINGS = "★", "▶", "⚠"


class ResultCell(msgspec.Struct, frozen=True):
    """A text, whether it is good news, and whether it is emphasized. The text has the sign of either."""

    text: str
    tone: Tone | None = None
    strong: bool = False


class ResultsTable(msgspec.Struct, frozen=True, kw_only=True):
    """Headings with units, and rows; the first cell of a row names it. ``legend`` explains the glyphs."""

    headings: list[str]
    rows: list[list[ResultCell]]
    legend: str


_VALUES: tuple[Fact[Any], ...] = (RunSummary.latency_p95_ms, RunSummary.sqnr_db, RunSummary.mae, RunSummary.top1)
_SIZES: tuple[Fact[Any], ...] = (RunSummary.size_bytes, RunSummary.peak_rss_bytes)


def results_table(
    runs: Sequence[RunDocument],
    named: dict[str, str],
    eager_names: dict[tuple[str, str], str],
    found: Sequence[RunComparison],
    compared: Sequence[Row],
    chosen: str = "",
) -> ResultsTable:
    """Return the table. ``eager_names`` are those of the eager baselines, ``found`` the comparisons with the first run,
    ``compared`` the table of all metrics, which marks the best values, and ``chosen`` the recommended run. Columns
    without any value are omitted, and MAE if there is an SQNR."""
    best = {(row.name, run.id) for row in compared for run, cell in zip(runs, row.cells, strict=True) if cell.best}
    against_base = {one.other: one for one in found}
    headings = ["variant", "median, ms", "95 % interval, ms", "against eager"]
    headings += [f"against {named[runs[0].id]}"] if found else []
    headings += [_heading(fact) for fact in _VALUES] + ["accuracy"] + [_heading(fact) for fact in _SIZES] + ["warnings"]
    rows = [_eager_row(run, eager_names[run.baseline], bool(found)) for run in _first_of_baselines(runs)]
    for run in runs:
        row = [
            ResultCell(f"{CHOSEN} {named[run.id]}", "good", strong=True)
            if run.id == chosen
            else ResultCell(named[run.id]),
            _best_cell(RunSummary.latency_median_ms, run, best),
            _interval(run.latency_ms, run.flags),
            _against_eager(run),
        ]
        row += [_against_base(against_base.get(run.id))] if found else []
        row += [_best_cell(fact, run, best) for fact in _VALUES]
        row.append(_accuracy(run))
        row += [_best_cell(fact, run, best) for fact in _SIZES]
        rows.append([*row, _warnings([flag.name for flag in run.flags if flag.name != EAGER_FLAG])])
    known = {heading for at, heading in enumerate(headings) if any(row[at].text != text.MISSING for row in rows)}
    if _heading(RunSummary.sqnr_db) in known:
        known.discard(_heading(RunSummary.mae))
    kept = [at for at, heading in enumerate(headings) if at == 0 or heading in known]
    return ResultsTable(
        headings=[headings[at] for at in kept],
        rows=[[row[at] for at in kept] for row in rows],
        legend=_legend(rows),
    )


_MEANINGS = {
    "▲": "faster", "▼": "slower", "=": "equivalent", "?": "inconclusive, unproven or not completed", "!": "unreliable",
    "✓": "within tolerance", "✗": "out of tolerance or failed", BEST: "certainly the best", CHOSEN: "first choice",
    WARNINGS: "number of warnings, see below",
}  # fmt: skip


def _legend(rows: Sequence[Sequence[ResultCell]]) -> str:
    """Return the meanings of the glyphs in the cells."""
    shown = {word for row in rows for cell in row for word in cell.text.split()}
    return ", ".join(f"{glyph} {meaning}" for glyph, meaning in _MEANINGS.items() if glyph in shown)


def _first_of_baselines(runs: Sequence[RunDocument]) -> list[RunDocument]:
    first: dict[tuple[str, str], RunDocument] = {}
    for run in runs:
        if run.eager_latency_ms is not None:
            first.setdefault(run.baseline, run)
    return list(first.values())


def _heading(fact: Fact[Any]) -> str:
    unit = fact.kind.table.unit
    return f"{fact.title}, {unit}" if unit else fact.title


def _value(fact: Fact[Any], value: Any) -> str:
    return text.MISSING if value is None else str(fact.kind.table.of(value))


def _eager_row(run: RunDocument, name: str, compared: bool) -> list[ResultCell]:
    stats, missing = run.eager_latency_ms, ResultCell(text.MISSING)
    row = [
        ResultCell(name),
        ResultCell(text.number(stats.median if stats else None)),
        _interval(stats, run.eager_flags),
    ]
    row += [ResultCell("1x", "muted")] + [missing] * compared
    p95 = ResultCell(text.number(stats.p95 if stats else None))
    peak = ResultCell(_value(RunSummary.peak_rss_bytes, run.eager_memory.peak_rss_bytes if run.eager_memory else None))
    row += [p95 if fact is RunSummary.latency_p95_ms else missing for fact in _VALUES]
    row.append(missing)
    row += [peak if fact is RunSummary.peak_rss_bytes else missing for fact in _SIZES]
    return [*row, _warnings([flag.name for flag in run.eager_flags])]


def _best_cell(fact: Fact[Any], run: RunDocument, best: set[tuple[str, str]]) -> ResultCell:
    shown = _value(fact, fact.read(run))
    if fact is RunSummary.sqnr_db and run.accuracy is not None and run.accuracy.end_to_end.overall.exact:
        shown = "exact"
    is_best = (fact.compared_heading, run.id) in best
    return ResultCell(f"{shown} {BEST}" if is_best else shown, strong=is_best)


def _interval(stats: LatencyStats | None, flags: Sequence[Flag]) -> ResultCell:
    """Return the interval, marked as in other tables if the median must be read with care or not be relied on."""
    if stats is None or stats.ci95 is None:
        return ResultCell(text.MISSING)
    trusted = trust.of_latency(stats.median, stats.ci95, [flag.name for flag in flags])
    if trusted == "good":
        return ResultCell(text.interval(stats.ci95))
    width = {"good": "flagged", "caution": "wide", "poor": "very wide"}[trust.of_interval(stats.median, stats.ci95)]
    return ResultCell(f"{text.interval(stats.ci95)}, {width}", "warn" if trusted == "caution" else "bad")


def _against_eager(run: RunDocument) -> ResultCell:
    ratio = run.speedup
    return ResultCell(text.MISSING) if ratio is None else _speed(ratio.value, ratio.verdict)


def _against_base(found: RunComparison | None) -> ResultCell:
    if found is None:
        return ResultCell("1x", "muted")
    if found.ratio is None or found.refused:
        return ResultCell("not comparable", "warn")
    cell = _speed(found.ratio, found.verdict)
    return msgspec.structs.replace(cell, text=f"{cell.text} per item") if found.items is not None else cell


def _speed(ratio: float, verdict: SpeedVerdict | None) -> ResultCell:
    if verdict is None:
        return ResultCell(text.ratio(ratio))
    shown = f"{text.ratio(ratio)}, {verdict}" if verdict in ("inconclusive", "unreliable") else text.ratio(ratio)
    if verdict == "slower" and ratio > 0:
        shown = f"{text.ratio(1 / ratio)} as long"
    return ResultCell(f"{SPEED_GLYPHS[verdict]} {shown}", SPEED_TONES[verdict])


def _accuracy(run: RunDocument) -> ResultCell:
    if run.status in LIVE_STATUSES:
        return ResultCell(f"? {run.status}", "warn")
    if run.status != "done":
        return ResultCell(f"✗ {run.status}", "bad")
    if run.accuracy is None:
        return ResultCell("not measured", "muted")
    verdict = run.accuracy.verdict
    return ResultCell(f"{ACCURACY_GLYPHS[verdict]} {verdict}", ACCURACY_TONES[verdict])


def _warnings(names: Sequence[str]) -> ResultCell:
    return ResultCell(f"{WARNINGS} {len(names)}", "warn") if names else ResultCell("none", "muted")
