"""Which runs no other beats: the front of latency against accuracy or size, and what that says about which to ship."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from etui import text
from etui.analysis.bootstrap import NORMAL_95
from etui.analysis.comparison import RunComparison
from etui.results import RunDocument

Measure = Literal["SQNR dB", "MAE", "size MB"]
BYTES_IN_MB = 1e6
_MOST_NAMED = 6


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run lies: its median latency and its ``value`` of the measure (SQNR: infinite where it is exact).
    ``front`` says that no other run is better in one and at least as good in the other."""

    run: str
    session: str = ""
    latency_ms: float
    value: float
    front: bool = False


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """All runs that can stand in one picture. ``left_out`` holds a reason for each run that cannot, by its id."""

    measure: Measure
    margin: float
    places: list[Place]
    left_out: dict[str, str]


def accuracy_front(base: RunDocument, others: Sequence[RunDocument], found: Sequence[RunComparison]) -> Front:
    """Latency against accuracy: SQNR (higher is better) where each run with an accuracy has it, else MAE."""
    documents = [base, *others]
    known = [run.accuracy.end_to_end.overall for run in documents if run.accuracy]
    measure: Measure = "SQNR dB" if all(one.exact or one.sqnr_db is not None for one in known) else "MAE"
    return _front(measure, base, others, found)


def size_front(base: RunDocument, others: Sequence[RunDocument], found: Sequence[RunComparison]) -> Front:
    """Latency against the program's size."""
    return _front("size MB", base, others, found)


def sentences(front: Front, names: dict[str, str]) -> list[str]:
    """Which run to ship, as far as these two measures tell, and which runs are not among them."""
    if not front.places:
        return ["No run has both a comparable latency and the other measure.", *_left_out(front, names)]
    best = sorted((one for one in front.places if one.front), key=lambda one: one.latency_ms)
    beaten = [one for one in front.places if not one.front]
    better = "smaller" if front.measure == "size MB" else "closer"
    listed = [f"{names[one.run]} ({_figures(one, front.measure)})" for one in best[:_MOST_NAMED]]
    if len(best) > _MOST_NAMED:
        listed.append(f"{len(best) - _MOST_NAMED} more")
    if len(front.places) == 1:
        said = [f"Only one run can be placed: {listed[0]}."]
    elif len(best) == 1:
        said = [f"Best: {listed[0]}; no other run is faster or {better}."]
    else:
        said = [f"Pareto-optimal, from faster to {better}: {', '.join(listed)}."]
    if beaten:
        named = ", ".join(names[one.run] for one in beaten[:_MOST_NAMED])
        more = f" and {len(beaten) - _MOST_NAMED} more" if len(beaten) > _MOST_NAMED else ""
        said.append(f"Dominated by one of them in both measures: {named}{more}.")
    return [*said, *_left_out(front, names)]


def _figures(place: Place, measure: Measure) -> str:
    figure = "exact" if math.isinf(place.value) else f"{text.number(place.value)} {measure.split()[-1]}"
    return f"{text.number(place.latency_ms)} ms, {figure}"


def _left_out(front: Front, names: dict[str, str]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for run, reason in front.left_out.items():
        by_reason.setdefault(reason, []).append(names[run])
    said = []
    for reason, runs in by_reason.items():
        more = f" and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else ""
        said.append(f"Omitted, {reason}: {', '.join(runs[:_MOST_NAMED])}{more}.")
    return said


def _front(measure: Measure, base: RunDocument, others: Sequence[RunDocument], found: Sequence[RunComparison]) -> Front:
    places: list[Place] = []
    left_out: dict[str, str] = {}
    refused = {one.other for one in found if one.refused}
    limited = {one.other for one in found if one.limits}
    margin = found[0].margin if found else 0.0
    between = max((_between_sessions(one) for one in found), default=0.0)
    for run in [base, *others]:
        value, median = _value(run, measure), run.latency_ms.median if run.latency_ms else None
        if run.id in refused:
            left_out[run.id] = "not comparable"
        elif run.id in limited:
            left_out[run.id] = "measured under load or at another speed of the machine"
        elif median is None:
            left_out[run.id] = "without a latency"
        elif value is None:
            left_out[run.id] = "without a size" if measure == "size MB" else "without an accuracy"
        elif run.accuracy is not None and run.accuracy.verdict == "FAIL":
            left_out[run.id] = "out of tolerance"
        else:
            places.append(Place(run=run.id, session=run.session.id, latency_ms=median, value=value))
    upward = measure == "SQNR dB"
    marked = [
        msgspec.structs.replace(
            one,
            front=not any(
                _beats(other, one, upward, margin if other.session == one.session else max(margin, between))
                for other in places
            ),
        )
        for one in places
    ]
    return Front(measure=measure, margin=margin, places=marked, left_out=left_out)


def _between_sessions(found: RunComparison) -> float:
    """The share by which the latencies of two sessions may differ by chance (95 %)."""
    return math.expm1(NORMAL_95 * math.sqrt(2) * found.session_sd) if found.session_sd is not None else 0.0


def _beats(one: Place, other: Place, upward: bool, margin: float) -> bool:
    """Whether one is better in one measure and at least as good in the other. Latencies within the margin are equal,
    and so are values that read the same."""
    same = one.value == other.value or text.number(one.value) == text.number(other.value)
    better = not same and (one.value > other.value if upward else one.value < other.value)
    if not (same or better):
        return False
    clearly_faster = one.latency_ms * (1 + margin) < other.latency_ms
    as_fast = one.latency_ms <= other.latency_ms * (1 + margin)
    return clearly_faster or (better and as_fast)


def _value(run: RunDocument, measure: Measure) -> float | None:
    if measure == "size MB":
        return run.artifact.size_bytes / BYTES_IN_MB if run.artifact else None
    if run.accuracy is None:
        return None
    overall = run.accuracy.end_to_end.overall
    if measure == "MAE":
        return overall.mae
    return math.inf if overall.exact else overall.sqnr_db
