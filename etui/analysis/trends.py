"""What changed over a choice's history: its latency went to another level, its numbers moved, or its software did.

The unit is the run: blocks of one run share its hour, so only runs can be exchanged with each other. A change point is
looked for with permutations of the runs' ranks (Pettitt, 1979, extended to arcs as in Olshen et al., "Circular binary
segmentation", 2004), so no distribution is assumed and one odd run makes no change. What is found must also be larger
than the margin within which two latencies count as equal, and hold between the neighbouring levels.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from etui.analysis.bootstrap import LogEstimate, typical, unpaired_ratio
from etui.analysis.disturbance import FEW
from etui.analysis.latency import MARGIN
from etui.analysis.rank_tests import average_ranks, mann_whitney_p
from etui.history import History, Point
from etui.magnitudes import is_latency
from etui.results import Interval

SIGNIFICANT = 0.05
_FOR_STEPS = 0.035
_FOR_ARCS = 0.015
"""Their sum is ``SIGNIFICANT``: a step is tested first, and a temporary change only if there is no step."""
LEAST_RUNS = 2
"""Fewer runs are an outlier, not a level."""
FEWEST = 8
"""With fewer runs, no order of them is significant."""
MAE_MOVED = 0.1
"""An MAE that differs by more than this share has changed; the same program gives the same outputs."""
_EXACT = 8
_DRAWS = 1_999
_SEED = 20_261_122
_FIRST = ("executorch", "torch", "etui")

Floats = NDArray[np.float64]


class SoftwareChange(msgspec.Struct, frozen=True, kw_only=True):
    """Another version than in the run before; ``before`` and ``now`` are None where it was not there."""

    name: str
    before: str | None
    now: str | None


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """Runs between which nothing changed, as places among the history's points, the last included; and the median of
    their medians."""

    first: int
    last: int
    median_ms: float


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The latency went to another level with the run at ``at``, a place among the history's points.

    ``ratio`` is the level before over that after (above one: faster now), with its 95 % interval over the runs of both
    levels. ``p`` is of Mann-Whitney between their runs. ``software`` is what changed with that run. ``control_ratio``
    is the same ratio of eager in the same sessions; if eager moved by more than the margin, by more than its own noise
    and in the same direction, the machine changed and ``is_of_machine`` is true.
    """

    at: int
    before_ms: float
    after_ms: float
    ratio: float
    ci95: Interval | None
    p: float
    software: list[SoftwareChange]
    control_ratio: float | None = None
    is_of_machine: bool = False


class MaeChange(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers moved with the run at ``at``, a place among the history's points."""

    at: int
    before: float
    after: float
    software: list[SoftwareChange]


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """A history with what was found in it. ``software`` holds what changed, by the place of the first run with it;
    ``measured`` are the places of the runs whose latency counts, ``disturbed`` of those that were measured while
    something disturbed a third or more of their session's blocks, and do not count."""

    history: History
    measured: list[int]
    disturbed: list[int]
    levels: list[Level]
    changes: list[Change]
    mae_changes: list[MaeChange]
    software: dict[int, list[SoftwareChange]]


def trend(history: History, margin: float = MARGIN) -> Trend:
    """What can be said of a history; levels closer than ``margin`` are one."""
    points = history.points
    software = software_changes(points)
    done = [
        place for place, point in enumerate(points) if point.status == "done" and is_latency(point.median_ms or 0.0)
    ]
    measured = [place for place in done if points[place].disturbed < FEW]
    medians = [points[place].median_ms or 0.0 for place in measured]
    bounds = [0, *change_points(medians, margin), len(medians)]
    parts = [part for part in itertools.pairwise(bounds) if part[0] < part[1]]
    levels = [
        Level(first=measured[first], last=measured[end - 1], median_ms=statistics.median(medians[first:end]))
        for first, end in parts
    ]
    changes = []
    for (first, middle), (_, end) in itertools.pairwise(parts):
        before, after = medians[first:middle], medians[middle:end]
        estimate = unpaired_ratio(typical([[one] for one in before]), typical([[one] for one in after]))
        control = _control(points, measured[first:middle], measured[middle:end])
        changes.append(
            Change(
                at=measured[middle],
                before_ms=statistics.median(before),
                after_ms=statistics.median(after),
                ratio=estimate.value,
                ci95=estimate.interval,
                p=mann_whitney_p(before, after) or 0.0,
                software=_between(software, measured[middle - 1], measured[middle]),
                control_ratio=control.value if control else None,
                is_of_machine=control is not None and _moved_too(control, estimate, margin),
            )
        )
    return Trend(
        history=history,
        measured=measured,
        disturbed=[place for place in done if place not in set(measured)],
        levels=levels,
        changes=changes,
        mae_changes=_mae_changes(points, software),
        software=software,
    )


def _control(points: Sequence[Point], before: Sequence[int], after: Sequence[int]) -> LogEstimate | None:
    """Eager's level before over that after; None if a side has none."""
    sides = [
        [[value] for place in side if is_latency(value := points[place].eager_ms or 0.0)] for side in (before, after)
    ]
    return unpaired_ratio(typical(sides[0]), typical(sides[1])) if all(sides) else None


def _moved_too(control: LogEstimate, estimate: LogEstimate, margin: float) -> bool:
    """Whether eager changed in the same direction by more than the margin and by more than its noise."""
    certain = abs(control.centre) - (control.half or 0.0)
    return control.centre * estimate.centre > 0 and certain > 0 and abs(control.centre) > math.log1p(margin)


def change_points(values: Sequence[float], margin: float = MARGIN) -> list[int]:
    """The places at which positive ``values``, in order of time, begin another level: each the first value of it."""
    if len(values) < FEWEST:
        return []
    logs = np.log(np.asarray(values, dtype=np.float64))
    return _kept(values, _placed(logs, sorted(set(_split(logs, 0)))), margin)


def software_changes(points: Sequence[Point]) -> dict[int, list[SoftwareChange]]:
    """What is of another version than in the last run before that tells its versions, by the place of the run."""
    changes: dict[int, list[SoftwareChange]] = {}
    known: dict[str, str] = {}
    for place, point in enumerate(points):
        if not point.software:
            continue
        if known:
            names = sorted(known.keys() | point.software.keys(), key=_order)
            changed = [
                SoftwareChange(name=name, before=known.get(name), now=point.software.get(name))
                for name in names
                if known.get(name) != point.software.get(name)
            ]
            if changed:
                changes[place] = changed
        known = point.software
    return changes


def _order(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)


def _between(software: dict[int, list[SoftwareChange]], before: int, at: int) -> list[SoftwareChange]:
    """What changed after one run and up to another: those between them, which failed, may have had it first."""
    merged: dict[str, SoftwareChange] = {}
    for place in range(before + 1, at + 1):
        for one in software.get(place, []):
            first = merged.get(one.name, one)
            merged[one.name] = SoftwareChange(name=one.name, before=first.before, now=one.now)
    return [one for one in merged.values() if one.before != one.now]


def _mae_changes(points: Sequence[Point], software: dict[int, list[SoftwareChange]]) -> list[MaeChange]:
    found = []
    last: tuple[int, float] | None = None
    for place, point in enumerate(points):
        if point.mae is None or point.status != "done":
            continue
        if last is not None and abs(point.mae - last[1]) > MAE_MOVED * max(point.mae, last[1]):
            changed = _between(software, last[0], place)
            found.append(MaeChange(at=place, before=last[1], after=point.mae, software=changed))
        last = place, point.mae
    return found


def _split(logs: Floats, offset: int, share: float = 1.0) -> list[int]:
    """The change points within a part that begins at ``offset``, and within the parts they leave, where each look
    again may go wrong half as often: ``share`` of the first look's chance."""
    count = len(logs)
    if count < FEWEST:
        return []
    steps = _steps(count)
    seen, where = _largest(logs, steps)
    if _p(_null(count, arcs=False), seen) > share * _FOR_STEPS:
        arcs = _arcs(count)
        seen, where = _largest(logs, arcs)
        if _p(_null(count, arcs=True), seen) > share * _FOR_ARCS:
            return []
    cuts = [cut for cut in where if 0 < cut < count]
    found = [offset + cut for cut in cuts]
    for first, end in itertools.pairwise([0, *cuts, count]):
        found += _split(logs[first:end], offset + first, share / 2)
    return found


def _placed(logs: Floats, cuts: list[int]) -> list[int]:
    """Each cut where its two levels fit best: ranks show that there is a step better than where."""
    placed = [0]
    for cut, following in zip(cuts, [*cuts, len(logs)][1:], strict=True):
        before = placed[-1]
        choices = range(before + LEAST_RUNS, following - LEAST_RUNS + 1)
        placed.append(
            min(choices, key=lambda place: _misfit(logs[before:place]) + _misfit(logs[place:following]), default=cut)
        )
    return placed[1:]


def _misfit(logs: Floats) -> float:
    return float(np.abs(logs - np.median(logs)).sum())


def _kept(values: Sequence[float], cuts: list[int], margin: float) -> list[int]:
    """Those cuts whose two levels differ by more than the margin and by more than chance; the weakest goes first."""
    cuts = list(cuts)
    while cuts:
        bounds = [0, *cuts, len(values)]
        worst, weakest = -1.0, 0
        for place, cut in enumerate(cuts):
            before, after = values[bounds[place] : cut], values[cut : bounds[place + 2]]
            step = abs(math.log(statistics.median(before) / statistics.median(after)))
            p = mann_whitney_p(before, after) or 0.0
            weakness = 2.0 if step <= math.log1p(margin) else p
            if weakness > worst:
                worst, weakest = weakness, place
        if worst <= SIGNIFICANT:
            break
        del cuts[weakest]
    return cuts


@lru_cache(maxsize=64)
def _steps(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Every part from the start that leaves enough runs on both sides, as (first, end)."""
    ends = np.arange(LEAST_RUNS, count - LEAST_RUNS + 1)
    return np.zeros_like(ends), ends


@lru_cache(maxsize=64)
def _arcs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Every part with enough runs in it and, on each side, enough or none."""
    firsts = [0, *range(LEAST_RUNS, count - LEAST_RUNS + 1)]
    ends = [*range(LEAST_RUNS, count - LEAST_RUNS + 1), count]
    pairs = [
        (first, end)
        for first in firsts
        for end in ends
        if end - first >= LEAST_RUNS and count - end + first >= LEAST_RUNS
    ]
    return np.array([first for first, _ in pairs]), np.array([end for _, end in pairs])


def _statistics(ranks: Floats, parts: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Floats:
    """How far the sum of the ranks of each part lies from what chance expects, in standard deviations: an
    array with one element per part."""
    firsts, ends = parts
    count = len(ranks)
    sums = np.concatenate(([0.0], np.cumsum(ranks - ranks.mean())))
    found: Floats = np.abs(sums[ends] - sums[firsts]) / np.maximum(_spread(ends - firsts, count, ranks.var()), 1e-12)
    return found


def _spread(inside: NDArray[np.intp], count: int, variance: float) -> Floats:
    """The standard deviation of the sum of ``inside`` of ``count`` ranks, drawn without replacement."""
    spread: Floats = np.sqrt(inside * (count - inside) / (count - 1) * variance)
    return spread


def _largest(logs: Floats, parts: tuple[NDArray[np.intp], NDArray[np.intp]]) -> tuple[float, tuple[int, int]]:
    found = _statistics(average_ranks(logs)[0], parts)
    best = int(np.argmax(found))
    return float(found[best]), (int(parts[0][best]), int(parts[1][best]))


@lru_cache(maxsize=256)
def _null(count: int, *, arcs: bool) -> Floats:
    """The largest statistics, in order, of runs between which nothing changed: in all their orders where they are few,
    else in seeded random ones."""
    ranks = np.arange(1.0, count + 1)
    if count <= _EXACT:
        orders = np.array(list(itertools.permutations(ranks)))
    else:
        generator = np.random.default_rng(_SEED + count)
        orders = generator.permuted(np.tile(ranks, (_DRAWS, 1)), axis=1)
    firsts, ends = _arcs(count) if arcs else _steps(count)
    sums = np.zeros((count + 1, len(orders)))
    np.cumsum((orders - ranks.mean()).T, axis=0, out=sums[1:])
    largest = np.zeros(len(orders))
    # All parts of one length at once have one deviation; all parts at once would take gigabytes.
    for inside in np.unique(ends - firsts):
        starts = firsts[ends - firsts == inside]
        farthest = np.abs(sums[starts + inside] - sums[starts]).max(axis=0)
        np.maximum(largest, farthest / _spread(inside, count, ranks.var()), out=largest)
    return np.sort(largest)


def _p(null: Floats, seen: float) -> float:
    as_large = len(null) - int(np.searchsorted(null, seen - 1e-9))
    return (as_large + 1) / (len(null) + 1)
