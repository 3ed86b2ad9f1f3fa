"""The verdicts of a comparison as one row per run: name, latency, ratio, interval, verdict, and a short reason."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etui import text
from etui.analysis import trust
from etui.analysis.comparison import RunComparison
from etui.analysis.trust import Trust
from etui.results import Interval, RunDocument
from etui.wording.comparison_set import Compared

NOT_COMPARABLE = "not comparable"
BASELINE = "baseline"
_LONGEST_REASON = 40
_MARKS: dict[Trust, str] = {"good": "", "caution": "! ", "poor": "? "}
"""Marks before a ratio: read it with care, do not rely on it."""


class VerdictRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a comparison. ``ratio`` is the base's latency divided by the run's, None for the base and if the
    comparison was refused; ``trust`` is the trust in it; ``note`` is why it was refused, or what limits the verdict;
    empty if there is nothing."""

    run: str
    name: str
    median_ms: float | None
    verdict: str
    ratio: float | None = None
    ci95: Interval | None = None
    note: str = ""
    trust: Trust = "good"

    @property
    def estimate(self) -> tuple[float, Interval | None] | None:
        """The ratio and its interval as they are plotted: one for the base, None if the comparison was refused."""
        if self.verdict == BASELINE:
            return 1.0, None
        return None if self.ratio is None else (self.ratio, self.ci95)


def verdict_rows(compared: Compared) -> list[VerdictRow]:
    """Return a row for each run, the base first."""
    names, base = compared.names, compared.base
    rows = [VerdictRow(run=base.id, name=names[base.id], median_ms=_median(base), verdict=BASELINE)]
    for other, comparison in zip(compared.others, compared.found, strict=True):
        is_known = comparison.verdict is not None
        rows.append(
            VerdictRow(
                run=other.id,
                name=names[other.id],
                median_ms=_median(other),
                verdict=comparison.verdict or NOT_COMPARABLE,
                ratio=comparison.ratio if is_known else None,
                ci95=comparison.ci95 if is_known else None,
                note=_note(comparison, base, other),
                trust=_trust(comparison, base, other),
            )
        )
    return rows


def cells(rows: Sequence[VerdictRow]) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of a text table, without the plot."""
    headings = ["run", "median ms", "ratio", "95 % interval", "verdict", "note"]
    return headings, [
        [
            row.name,
            text.number(row.median_ms),
            _MARKS[row.trust] + text.ratio(row.ratio) if row.ratio is not None else "",
            text.ratio_interval(row.ci95) if row.ci95 is not None else "",
            row.verdict,
            row.note,
        ]
        for row in rows
    ]


def _trust(comparison: RunComparison, base: RunDocument, other: RunDocument) -> Trust:
    if comparison.verdict is None:
        return "good"
    flags = [flag.name for document in (base, other) for flag in document.flags]
    return trust.of_comparison(comparison.ratio, comparison.ci95, comparison.verdict, flags)


def _median(document: RunDocument) -> float | None:
    return document.latency_ms.median if document.latency_ms else None


def _note(comparison: RunComparison, base: RunDocument, other: RunDocument) -> str:
    if comparison.verdict is None or comparison.forced:
        reason = _reason(comparison, base, other)
        return f"forced: {reason}" if comparison.verdict is not None else reason
    items = comparison.items
    per_item = f"per item: batch {items[1]} against {items[0]}" if items is not None else ""
    if comparison.limits:
        return text.plain("; ".join(filter(None, (per_item, comparison.limits[0]))))
    if per_item:
        return per_item
    return "another session" if comparison.kind == "historical" else ""


def _reason(comparison: RunComparison, base: RunDocument, other: RunDocument) -> str:
    """Return why two runs cannot be compared: what a run lacks, else what differs."""
    for document, role in ((other, ""), (base, "baseline ")):
        side = "other" if document is other else "base"
        if any(reason.name == "samples" and getattr(reason, side) == "none" for reason in comparison.reasons):
            return f"{role}{_without_samples(document)}"
    if any(reason.name == "one run" for reason in comparison.reasons):
        return "the baseline itself"
    if not comparison.reasons:
        return "no ratio"
    first = comparison.reasons[0]
    if len(comparison.reasons) == 1 and first.name != "box" and len(first.detail) <= _LONGEST_REASON:
        return text.plain(first.detail)
    names = ["machine" if reason.name == "box" else text.plain(reason.name) for reason in comparison.reasons]
    plural = len(names) > 1 or first.name in ("weights", "inputs", "threads", "input shapes")
    return f"{', '.join(names)} {'differ' if plural else 'differs'}"


def _without_samples(document: RunDocument) -> str:
    if document.summary_only:
        return "summary without samples"
    return "without samples" if document.status == "done" else document.status
