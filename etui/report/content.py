"""The content of a report, independent of its format: title, one section per model, environments and method."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from etui import text
from etui.analysis import pareto, side_by_side
from etui.analysis.comparability import work_of
from etui.analysis.comparison import RunComparison, compare, usable
from etui.analysis.flags import EAGER_FLAG
from etui.analysis.relative_change import change, change_interval
from etui.analysis.session_variance import SessionLatency
from etui.analysis.sweep import Sweep, sweep_of
from etui.facts import RunSummary
from etui.report import svg
from etui.report.recommendation import Verdict, verdict_on
from etui.report.results_table import ResultsTable, results_table
from etui.report.scatter import Point
from etui.report.svg import Bar, Series
from etui.report.title import subtitle_of, title_of
from etui.results import Block, LatencyStats, RunDocument
from etui.spec import EAGER
from etui.wording import comparison as comparison_wording
from etui.wording import flags as flag_wording
from etui.wording import run as run_wording
from etui.wording import run_sections
from etui.wording.run_sections import RunSection
from etui.wording.verdict import verdict

HOW = (
    "A session measures eager PyTorch and every variant in randomized complete blocks: each block runs each variant "
    "once, in a fresh process, so that drift affects all of them equally. All samples are kept.",
    "Latency is the time of one inference for a Python caller; load and first inference are measured separately.",
    "Intervals are 95 % bootstrap intervals over blocks and samples. Runs of one session are compared by the ratios of "
    "their paired blocks, runs of different sessions by the medians of their blocks (Mann-Whitney, corrected for the "
    "number of comparisons).",
    "A verdict needs the whole interval beyond the margin; otherwise it is inconclusive. Percentages are changes of "
    "latency, size or error against the base: below zero is faster, smaller or closer.",
    "Accuracy compares the outputs of the program with those of eager FP32 on the evaluation inputs. PASS and FAIL are "
    "within and out of the tolerance of model and precision; UNPROVEN means that the inputs cannot show which.",
    "The numbers are valid for the machines named here only.",
)


_INSIDE = ("delegation", "operators", "gap")
"""The sources of those verdict sentences that are added to a comparison: causes of speed and of error."""


Baseline = tuple[str, str]
"""What identifies an eager baseline: session and label (see ``RunDocument.baseline``)."""


class Card(msgspec.Struct, frozen=True):
    """One fact about the model or what was measured, with a remark."""

    label: str
    value: str
    remark: str = ""


class AccuracyChart(msgspec.Struct, frozen=True, kw_only=True):
    """The points of the chart of latency against accuracy; ``remark`` names the runs that are not in it."""

    points: list[Point]
    unit: str
    eager_ms: float | None
    remark: str


class RunDetails(msgspec.Struct, frozen=True, kw_only=True):
    """All facts of one run except its environment; ``summary`` is one line."""

    name: str
    summary: str
    sections: list[RunSection]


class ModelSection(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one model: the verdict, the ``results`` that matter, sentences for each run, all metrics compared
    (``headings`` and ``rows``), the warnings grouped over the variants, the data of the charts, and the details."""

    title: str
    verdict: Verdict
    cards: list[Card]
    results: ResultsTable
    chart: AccuracyChart
    sentences: list[str]
    headings: list[str]
    rows: list[list[str]]
    warnings: list[str]
    series: list[Series]
    medians: list[Bar]
    changes: list[Bar]
    runs: list[RunDetails]
    sweep: Sweep | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole report. Each of ``environments`` is a machine as pairs of label and text; ``how`` are paragraphs."""

    title: str
    subtitle: str
    sections: list[ModelSection]
    environments: list[list[tuple[str, str]]]
    how: list[str]


def report_of(
    documents: Sequence[RunDocument], *, margin: float, force: bool = False, levels: Sequence[SessionLatency] = ()
) -> Report:
    """Return a report on ``documents``; the first run of each model is its base.

    ``levels`` are those of earlier sessions on the machine.
    """
    groups: dict[tuple[str, str], list[RunDocument]] = {}
    for document in documents:
        groups.setdefault((document.model.name, document.model.identity), []).append(document)
    environments = [_environment(document) for document in documents if document.environment is not None]
    return Report(
        title=title_of(documents),
        subtitle=subtitle_of(documents),
        sections=[_section(runs, margin, force, levels) for runs in groups.values()],
        environments=[one for place, one in enumerate(environments) if one not in environments[:place]],
        how=list(HOW),
    )


def _section(runs: Sequence[RunDocument], margin: float, force: bool, levels: Sequence[SessionLatency]) -> ModelSection:
    base, others = runs[0], runs[1:]
    found = compare(base, others, margin=margin, force=force, levels=levels)
    named = comparison_wording.names(runs)
    compared = side_by_side.rows(base, others, found)
    by_baseline = {run.baseline: run for run in reversed(runs)}
    baselines = [by_baseline[key] for key in dict.fromkeys(run.baseline for run in runs)]
    eager_names = _eager_names([run.baseline for run in baselines])
    measured = any(run.blocks or run.latency_ms for run in runs)
    answer = verdict_on(runs, named, margin=margin, levels=levels)
    return ModelSection(
        title=text.shortened(base.model.name, text.WHOLE_CELLS),
        verdict=answer,
        cards=list(_cards(runs)),
        results=results_table(runs, named, eager_names, found, compared, answer.run),
        chart=_accuracy_chart(runs, named, found),
        sentences=list(_sentences(base, others, found, named)),
        headings=["", f"{named[base.id]} (base)", *(named[other.id] for other in others)],
        rows=[
            [row.name, *map(side_by_side.shown, row.cells)]
            for row in compared
            # The machines have their own section.
            if row.differs or row.group != "environment"
        ],
        warnings=list(_warnings(runs, baselines, named, eager_names)),
        series=[
            *(
                Series(name=eager_names[run.baseline], values=_samples(run.eager_blocks), colour=svg.EAGER)
                for run in baselines
                if measured
            ),
            *(Series(name=named[run.id], values=_samples(run.blocks), colour=at) for at, run in enumerate(runs)),
        ],
        medians=[
            *_bars((eager_names[run.baseline], run.eager_latency_ms, svg.EAGER) for run in baselines if measured),
            *_bars((named[run.id], run.latency_ms, place) for place, run in enumerate(runs)),
        ],
        changes=[bar for place, one in enumerate(found, 1) if (bar := _change(one, named, place)) is not None],
        runs=[RunDetails(name=named[run.id], summary=_summary(run), sections=_details(run)) for run in runs],
        sweep=sweep_of([RunSummary.of(run) for run in runs]),
    )


def _eager_names(baselines: Sequence[Baseline]) -> dict[Baseline, str]:
    """Return a name of each eager baseline, with its shape and the beginning of its session's id if there are
    several."""
    sessions = list(dict.fromkeys(session for session, _ in baselines))
    short = len({session[:6] for session in sessions}) == len(sessions)

    def name(session: str, label: str) -> str:
        shown = text.shortened(text.plain(label or EAGER), text.LINE_CELLS)
        return shown if len(sessions) == 1 else f"{shown} of session {session[:6] if short else session}"

    return {baseline: name(*baseline) for baseline in baselines}


def _samples(blocks: Sequence[Block]) -> list[float]:
    return [sample for block in usable(blocks) for sample in block.samples_ms]


def _sentences(
    base: RunDocument, others: Sequence[RunDocument], found: Sequence[RunComparison], named: dict[str, str]
) -> Iterator[str]:
    """Yield the sentences about each run: the base against eager, the others against the base."""
    own = " ".join(one.text for one in verdict(base))
    name = named[base.id]
    yield own if own.startswith(name) or not own else f"{name}: {own}"
    for comparison, other in zip(found, others, strict=True):
        sentences = [*comparison_wording.sentences(comparison, named), comparison_wording.accuracy(base, other, named)]
        sentences += [one.text for one in verdict(other) if one.source in _INSIDE]
        yield " ".join(sentence for sentence in sentences if sentence)


# Cards


def _cards(runs: Sequence[RunDocument]) -> Iterator[Card]:
    first = runs[0]
    model = first.model
    yield Card("model", text.shortened(model.name, text.LINE_CELLS), f"{model.family}, {model.source}")
    if model.parameters:
        yield Card("parameters", _millions(model.parameters), f"{text.size(4 * model.parameters)} in FP32")
    weights = dict.fromkeys((run.weights.kind, run.weights.detail) for run in runs if run.weights is not None)
    if weights:
        yield Card("weights", _joined(kind for kind, _ in weights), _joined(detail for _, detail in weights))
    inputs = [run.inputs for run in runs if run.inputs is not None]
    if inputs:
        shapes = dict.fromkeys(
            f"{'x'.join(map(str, shape))} {dtype}"
            for one in inputs
            for shape, dtype in zip(one.shapes, one.dtypes, strict=False)
        )
        yield Card("inputs", _joined(one.kind for one in inputs), _joined(shapes))
    eager = [run.eager_latency_ms for run in runs if run.eager_latency_ms is not None]
    if eager:
        medians = dict.fromkeys(f"{text.number(one.median)} ms" for one in eager)
        interval = f"95 % interval {text.interval(eager[0].ci95)}" if len(medians) == 1 and eager[0].ci95 else "median"
        yield Card("eager PyTorch, FP32", _joined(medians), interval)
    measured = [run for run in runs if run.blocks]
    if measured:
        blocks = sorted({len(run.blocks) for run in measured})
        counts = f"{blocks[0]}" if len(blocks) == 1 else f"{blocks[0]} to {blocks[-1]}"
        threads = _joined(text.counted(run.threads, "thread") for run in measured if run.threads)
        presets = _joined(run.preset for run in measured)
        yield Card(
            "measured",
            f"{counts} {'block' if counts == '1' else 'blocks'}",
            ", ".join(filter(None, (f"preset {presets}", threads))),
        )


def _millions(count: int) -> str:
    return f"{text.number(count / 1e6)} M" if count >= 1e6 else f"{count:,}"


def _joined(values: Iterable[str]) -> str:
    return text.shortened(", ".join(dict.fromkeys(map(text.plain, values))), text.LINE_CELLS)


# Charts


def _accuracy_chart(
    runs: Sequence[RunDocument], named: dict[str, str], found: Sequence[RunComparison]
) -> AccuracyChart:
    measure = pareto.accuracy_front(runs[0], runs[1:], found).measure
    points, missing = [], []
    for place, run in enumerate(runs):
        stats = run.latency_ms
        value = pareto.value_of(run, measure)
        if stats is None or stats.median is None or value is None or run.accuracy is None:
            missing.append(named[run.id])
            continue
        low, high = stats.ci95 or (None, None)
        points.append(
            Point(
                name=named[run.id],
                latency_ms=stats.median,
                value=value if math.isfinite(value) or value > 0 else 0.0,
                verdict=run.accuracy.verdict,
                low=low,
                high=high,
                colour=place,
            )
        )
    eager = next((run.eager_latency_ms.median for run in runs if run.eager_latency_ms is not None), None)
    if len({(work_of(run), run.threads) for run in runs}) > 1:
        # Each shape and number of threads has its own.
        eager = None
    remark = f"Not in the chart, without a latency or an accuracy: {', '.join(missing)}." if missing else ""
    return AccuracyChart(points=points, unit=measure, eager_ms=eager, remark=remark)


def _bars(rows: Iterable[tuple[str, LatencyStats | None, int]]) -> Iterator[Bar]:
    for name, stats, place in rows:
        if stats is not None and stats.median is not None:
            low, high = stats.ci95 or (None, None)
            yield Bar(name=name, value=stats.median, low=low, high=high, colour=place)


def _change(found: RunComparison, named: dict[str, str], place: int) -> Bar | None:
    if found.ratio is None or found.refused:
        return None
    low, high = change_interval(found.ci95) if found.ci95 else (None, None)
    name = f"{named[found.other]} (per item)" if found.items is not None else named[found.other]
    return Bar(name=name, value=change(found.ratio), low=low, high=high, colour=place)


# Warnings and details


def _warnings(
    runs: Sequence[RunDocument],
    baselines: Sequence[RunDocument],
    named: dict[str, str],
    eager_names: dict[Baseline, str],
) -> Iterator[str]:
    """Yield the warning flags of all runs and of eager, one line per kind."""
    flags = [(named[run.id], flag) for run in runs for flag in run.flags if flag.name != EAGER_FLAG]
    # Eager's canary is compared with each program's too, so its flags may differ between runs of a session.
    flags += [(eager_names[run.baseline], flag) for run in baselines for flag in run.eager_flags]
    yield from map(text.plain, flag_wording.grouped(flags, [named[run.id] for run in runs]))
    if line := run_wording.ratios_of_medians([(named[run.id], run) for run in runs]):
        yield line
    yield from dict.fromkeys(spot for run in runs if (spot := flag_wording.blind_spots(run)))


def _summary(run: RunDocument) -> str:
    """Return one line about a run: its status or verdicts, and its ids."""
    accuracy = run.accuracy.verdict if run.accuracy is not None else "accuracy not measured"
    ended = accuracy if run.status == "done" else run.status
    return f"{ended}; run {run.id}; session {run.session.id}"


_ENVIRONMENT = ("Machine", "Software", "Process settings")


def _details(run: RunDocument) -> list[RunSection]:
    """Return the sections of a run without those on the environment, and first how it ended."""
    ending = run_wording.ending(run)
    first = [RunSection(title="Status", entries=[run_sections.Entry("", ending, "warn")])] if ending else []
    return [*first, *(section for section in run_sections.sections(run) if section.title not in _ENVIRONMENT)]


def _environment(document: RunDocument) -> list[tuple[str, str]]:
    sections = run_sections.machine(document), run_sections.software(document), run_sections.process_settings(document)
    entries = [entry for section in sections for entry in section.entries]
    # Runs of one machine may differ in their threads, which are listed with each run.
    return [(entry.label, text.plain(entry.value)) for entry in entries if entry.label != "threads"]
