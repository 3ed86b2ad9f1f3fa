"""Pareto front of latency against accuracy or program size, with a summary of which runs are optimal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from etui import text
from etui.analysis.bootstrap import NORMAL_95
from etui.analysis.comparability import work_of
from etui.analysis.comparison import RunComparison
from etui.facts import Fact, RunSummary
from etui.results import RunDocument, TaskEvaluation

Measure = Literal["mAP %", "top-1 %", "SQNR dB", "MAE", "size MB"]
_TASKS: dict[str, Measure] = {"mAP": "mAP %", "top-1": "top-1 %"}
_FACTS: dict[Measure, Fact[Any]] = {
    "SQNR dB": RunSummary.sqnr_db,
    "MAE": RunSummary.mae,
    "size MB": RunSummary.size_bytes,
}
_MOST_NAMED = 6


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The position of a run: its median latency and its ``value`` of the measure (SQNR: infinite if exact). ``front``
    means that no other run is better in one of the two and at least as good in the other."""

    run: str
    session: str = ""
    latency_ms: float
    value: float
    front: bool = False


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """All runs that can be compared in one plot. ``left_out`` maps the id of each omitted run to the reason."""

    measure: Measure
    margin: float
    places: list[Place]
    left_out: dict[str, str]


def accuracy_front(base: RunDocument, others: Sequence[RunDocument], comparisons: Sequence[RunComparison]) -> Front:
    """Return latency against accuracy: mAP or top-1 if every run with an accuracy was evaluated on the same labelled
    images, else SQNR (higher is better) if every such run has it, else MAE."""
    documents = [base, *others]
    evaluated = [_evaluation(run) for run in documents if run.accuracy]
    if evaluated and len({(one.metric, one.data.sha256) if one else None for one in evaluated}) == 1 and evaluated[0]:
        return _front(_TASKS[evaluated[0].metric], base, others, comparisons)
    known = [run.accuracy.end_to_end.overall for run in documents if run.accuracy]
    measure: Measure = "SQNR dB" if all(metrics.exact or metrics.sqnr_db is not None for metrics in known) else "MAE"
    return _front(measure, base, others, comparisons)


def size_front(base: RunDocument, others: Sequence[RunDocument], comparisons: Sequence[RunComparison]) -> Front:
    """Return latency against program size."""
    return _front("size MB", base, others, comparisons)


def sentences(front: Front, names: dict[str, str]) -> list[str]:
    """Return sentences on which runs are best in these two measures, and which runs were omitted and why.

    ``names`` maps the ids of the runs to the names to print.
    """
    if not front.places:
        return ["No run has both a comparable latency and the other measure.", *_omitted_lines(front, names)]
    best = sorted((place for place in front.places if place.front), key=lambda place: place.latency_ms)
    dominated = [place for place in front.places if not place.front]
    other_measure = "smaller" if front.measure == "size MB" else "closer"
    if front.measure in _TASKS.values():
        other_measure = "better at the task"
    listed = [f"{names[place.run]} ({_values_text(place, front.measure)})" for place in best[:_MOST_NAMED]]
    if len(best) > _MOST_NAMED:
        listed.append(f"{len(best) - _MOST_NAMED} more")
    if len(front.places) == 1:
        lines = [f"Only one run can be placed: {listed[0]}."]
    elif len(best) == 1:
        lines = [f"Best: {listed[0]}; no other run is faster or {other_measure}."]
    else:
        lines = [f"Pareto-optimal, from faster to {other_measure}: {', '.join(listed)}."]
    if dominated:
        named = ", ".join(names[place.run] for place in dominated[:_MOST_NAMED])
        more = f" and {len(dominated) - _MOST_NAMED} more" if len(dominated) > _MOST_NAMED else ""
        lines.append(f"Dominated by one of them in both measures: {named}{more}.")
    return [*lines, *_omitted_lines(front, names)]


def _values_text(place: Place, measure: Measure) -> str:
    figure = "exact" if math.isinf(place.value) else f"{text.number(place.value)} {measure.split()[-1]}"
    if measure in _TASKS.values():
        figure = f"{measure.split()[0]} {figure}"
    return f"{text.number(place.latency_ms)} ms, {figure}"


def _omitted_lines(front: Front, names: dict[str, str]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for run, reason in front.left_out.items():
        by_reason.setdefault(reason, []).append(names[run])
    lines = []
    for reason, runs in by_reason.items():
        more = f" and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else ""
        lines.append(f"Omitted, {reason}: {', '.join(runs[:_MOST_NAMED])}{more}.")
    return lines


def _front(
    measure: Measure, base: RunDocument, others: Sequence[RunDocument], comparisons: Sequence[RunComparison]
) -> Front:
    places: list[Place] = []
    left_out: dict[str, str] = {}
    refused = {item.other for item in comparisons if item.refused}
    limited = {item.other for item in comparisons if item.limits}
    margin = comparisons[0].margin if comparisons else 0.0
    session_margin = max((_session_margin(item) for item in comparisons), default=0.0)
    for run in [base, *others]:
        value, median = value_of(run, measure), run.latency_ms.median if run.latency_ms else None
        if work_of(run) != work_of(base) and run.inputs is not None and base.inputs is not None:
            left_out[run.id] = "with inputs of another shape or another method"
        elif run.id in refused:
            left_out[run.id] = "not comparable"
        elif run.id in limited:
            left_out[run.id] = "measured under load or at another speed of the machine"
        elif median is None:
            left_out[run.id] = "without a latency"
        elif value is None:
            left_out[run.id] = "without a size" if measure == "size MB" else "without an accuracy"
        elif run.accuracy is not None and run.accuracy.verdict == "FAIL" and not _is_judged_by_task(run, measure):
            left_out[run.id] = "out of tolerance"
        else:
            places.append(Place(run=run.id, session=run.session.id, latency_ms=median, value=value))
    higher_is_better = measure in _TASKS.values() or _FACTS[measure].better == "higher"
    marked = [
        msgspec.structs.replace(
            item,
            front=not any(
                _dominates(
                    other,
                    item,
                    higher_is_better,
                    margin if other.session == item.session else max(margin, session_margin),
                )
                for other in places
            ),
        )
        for item in places
    ]
    return Front(measure=measure, margin=margin, places=marked, left_out=left_out)


def _evaluation(run: RunDocument) -> TaskEvaluation | None:
    task = run.accuracy.task if run.accuracy is not None else None
    return task.evaluation if task is not None else None


def _is_judged_by_task(run: RunDocument, measure: Measure) -> bool:
    """Whether a run that FAILs has a place in a plot of the task all the same: its outputs are only less close to
    eager's than the tolerance, and the task itself shows what that costs."""
    if measure not in _TASKS.values() or run.accuracy is None:
        return False
    limits = run.accuracy.tolerance
    if limits is not None and (limits.map_drop is not None or limits.top1_drop is not None):
        return False
    return not any(output.problem for output in run.accuracy.end_to_end.outputs)


def _session_margin(comparison: RunComparison) -> float:
    """Return the share by which the latencies of two sessions may differ by chance (95 %)."""
    return math.expm1(NORMAL_95 * math.sqrt(2) * comparison.session_sd) if comparison.session_sd is not None else 0.0


def _dominates(one: Place, other: Place, higher_is_better: bool, margin: float) -> bool:
    """Whether ``one`` is better in one measure and at least as good in the other. Latencies within the margin count as
    equal, and so do values that are printed the same."""
    same = one.value == other.value or text.number(one.value) == text.number(other.value)
    better = not same and (one.value > other.value if higher_is_better else one.value < other.value)
    if not (same or better):
        return False
    clearly_faster = one.latency_ms * (1 + margin) < other.latency_ms
    as_fast = one.latency_ms <= other.latency_ms * (1 + margin)
    return clearly_faster or (better and as_fast)


def value_of(run: RunDocument, measure: Measure) -> float | None:
    """Return a run's value of a measure; infinite for the SQNR of an exact result, None if it is not known."""
    if measure in _TASKS.values():
        found = _evaluation(run)
        return None if found is None or _TASKS[found.metric] != measure else 100 * found.program.value
    if measure == "SQNR dB" and run.accuracy is not None and run.accuracy.end_to_end.overall.exact:
        return math.inf
    value = _FACTS[measure].compared(run)
    return value if isinstance(value, int | float) else None
