"""Changes over the past runs of a configuration: level shifts of the latency, changes of the error, software updates.

The unit is the run: blocks of one run were measured under the same conditions, so only runs are exchangeable. Change
points are detected with permutations of the runs' ranks (Pettitt, 1979, extended to arcs as in Olshen et al., "Circular
binary segmentation", 2004), so no distribution is assumed and a single unusual run is not a change. A change must also
be larger than the margin within which two latencies count as equal, and be significant between the adjacent levels.
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

from etui.analysis.bootstrap import LogEstimate, typical_latency, unpaired_ratio
from etui.analysis.disturbance import FEW
from etui.analysis.latency import MARGIN
from etui.analysis.rank_tests import average_ranks, mann_whitney_p
from etui.history import History, Point
from etui.magnitudes import is_latency
from etui.results import Interval

SIGNIFICANT = 0.05
_SIGNIFICANT_STEP = 0.035
_SIGNIFICANT_ARC = 0.015
"""Their sum is ``SIGNIFICANT``: a step is tested first, and a temporary change only if there is no step."""
LEAST_RUNS = 2
"""Smallest number of runs that form a level; fewer are outliers."""
FEWEST = 8
"""Smallest number of runs for which any order of them is significant."""
MAE_MOVED = 0.1
"""An MAE that differs by more than this share has changed; the same program gives the same outputs."""
_EXACT = 8
_DRAWS = 1_999
_SEED = 20_261_122
_FIRST_PACKAGES = ("executorch", "torch", "etui")

Floats = NDArray[np.float64]


class SoftwareChange(msgspec.Struct, frozen=True, kw_only=True):
    """A version that differs from the previous run's; ``before`` or ``now`` is None if the package was not present."""

    name: str
    before: str | None
    now: str | None


class StablePeriod(msgspec.Struct, frozen=True, kw_only=True):
    """Runs without a change between them: the indices of the first and the last one among the history's points, and the
    median of their medians in milliseconds."""

    first: int
    last: int
    median_ms: float


class LevelShift(msgspec.Struct, frozen=True, kw_only=True):
    """A level shift of the latency at the run with index ``at`` among the history's points.

    ``ratio`` is the level before divided by the level after (above one: faster now), with its 95 % interval over the
    runs of both levels. ``p`` is the Mann-Whitney p-value between their runs. ``software`` lists what changed with that
    run. ``control_ratio`` is the same ratio for eager in the same sessions; if eager changed by more than the margin,
    by more than its own noise and in the same direction, the machine changed and ``is_of_machine`` is true.
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
    """The MAE changed with the run at index ``at`` among the history's points."""

    at: int
    before: float
    after: float
    software: list[SoftwareChange]


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """A history and the changes detected in it. ``software`` maps the index of the first run with a change to what
    changed; ``measured`` are the indices of the runs whose latency counts, ``disturbed`` of those that do not count
    because a third or more of their session's blocks were disturbed."""

    history: History
    measured: list[int]
    disturbed: list[int]
    levels: list[StablePeriod]
    changes: list[LevelShift]
    mae_changes: list[MaeChange]
    software: dict[int, list[SoftwareChange]]


def trend(history: History, margin: float = MARGIN) -> Trend:
    """Analyse a history; adjacent levels that differ by no more than ``margin`` are merged."""
    points = history.points
    software = software_changes(points)
    done = [
        index for index, point in enumerate(points) if point.status == "done" and is_latency(point.median_ms or 0.0)
    ]
    measured = [index for index in done if points[index].disturbed < FEW]
    medians = [points[index].median_ms or 0.0 for index in measured]
    bounds = [0, *change_points(medians, margin), len(medians)]
    segments = [segment for segment in itertools.pairwise(bounds) if segment[0] < segment[1]]
    levels = [
        StablePeriod(first=measured[first], last=measured[end - 1], median_ms=statistics.median(medians[first:end]))
        for first, end in segments
    ]
    changes = []
    for (first, middle), (_, end) in itertools.pairwise(segments):
        before, after = medians[first:middle], medians[middle:end]
        estimate = unpaired_ratio(
            typical_latency([[median_ms] for median_ms in before]),
            typical_latency([[median_ms] for median_ms in after]),
        )
        control = _control(points, measured[first:middle], measured[middle:end])
        changes.append(
            LevelShift(
                at=measured[middle],
                before_ms=statistics.median(before),
                after_ms=statistics.median(after),
                ratio=estimate.value,
                ci95=estimate.interval,
                p=mann_whitney_p(before, after) or 0.0,
                software=_between(software, measured[middle - 1], measured[middle]),
                control_ratio=control.value if control else None,
                is_of_machine=control is not None and _control_confirms(control, estimate, margin),
            )
        )
    return Trend(
        history=history,
        measured=measured,
        disturbed=[index for index in done if index not in set(measured)],
        levels=levels,
        changes=changes,
        mae_changes=_mae_changes(points, software),
        software=software,
    )


def _control(points: Sequence[Point], before: Sequence[int], after: Sequence[int]) -> LogEstimate | None:
    """Return eager's level before divided by the level after; None if it is missing on either side."""
    sides = [
        [[value] for index in side if is_latency(value := points[index].eager_ms or 0.0)] for side in (before, after)
    ]
    return unpaired_ratio(typical_latency(sides[0]), typical_latency(sides[1])) if all(sides) else None


def _control_confirms(control: LogEstimate, estimate: LogEstimate, margin: float) -> bool:
    """Whether eager changed in the same direction by more than the margin and by more than its noise."""
    certain = abs(control.centre) - (control.half or 0.0)
    return control.centre * estimate.centre > 0 and certain > 0 and abs(control.centre) > math.log1p(margin)


def change_points(values: Sequence[float], margin: float = MARGIN) -> list[int]:
    """Return the indices at which a new level begins in positive ``values``, which are in chronological order."""
    if len(values) < FEWEST:
        return []
    logs = np.log(np.asarray(values, dtype=np.float64))
    return _significant_cuts(values, _best_positions(logs, sorted(set(_split(logs, 0)))), margin)


def software_changes(points: Sequence[Point]) -> dict[int, list[SoftwareChange]]:
    """Return the version changes since the last run with recorded versions, by the index of the run."""
    changes: dict[int, list[SoftwareChange]] = {}
    known: dict[str, str] = {}
    for index, point in enumerate(points):
        if not point.software:
            continue
        if known:
            names = sorted(known.keys() | point.software.keys(), key=_package_order)
            changed = [
                SoftwareChange(name=name, before=known.get(name), now=point.software.get(name))
                for name in names
                if known.get(name) != point.software.get(name)
            ]
            if changed:
                changes[index] = changed
        known = point.software
    return changes


def _package_order(name: str) -> tuple[int, str]:
    return (_FIRST_PACKAGES.index(name) if name in _FIRST_PACKAGES else len(_FIRST_PACKAGES), name)


def _between(software: dict[int, list[SoftwareChange]], before: int, at: int) -> list[SoftwareChange]:
    """Return what changed after run ``before`` up to run ``at``; a failed run in between may have had it first."""
    merged: dict[str, SoftwareChange] = {}
    for index in range(before + 1, at + 1):
        for change in software.get(index, []):
            first = merged.get(change.name, change)
            merged[change.name] = SoftwareChange(name=change.name, before=first.before, now=change.now)
    return [change for change in merged.values() if change.before != change.now]


def _mae_changes(points: Sequence[Point], software: dict[int, list[SoftwareChange]]) -> list[MaeChange]:
    changes = []
    last: tuple[int, float] | None = None
    for index, point in enumerate(points):
        if point.mae is None or point.status != "done":
            continue
        if last is not None and abs(point.mae - last[1]) > MAE_MOVED * max(point.mae, last[1]):
            changed = _between(software, last[0], index)
            changes.append(MaeChange(at=index, before=last[1], after=point.mae, software=changed))
        last = index, point.mae
    return changes


def _split(logs: Floats, offset: int, share: float = 1.0) -> list[int]:
    """Return the change points in a segment that begins at index ``offset``, and recursively in its parts. Each level
    of recursion halves ``share``, the fraction of the first test's significance level that is used."""
    count = len(logs)
    if count < FEWEST:
        return []
    steps = _steps(count)
    largest, segment = _largest(logs, steps)
    if _p(_null_distribution(count, arcs=False), largest) > share * _SIGNIFICANT_STEP:
        arcs = _arcs(count)
        largest, segment = _largest(logs, arcs)
        if _p(_null_distribution(count, arcs=True), largest) > share * _SIGNIFICANT_ARC:
            return []
    cuts = [cut for cut in segment if 0 < cut < count]
    result = [offset + cut for cut in cuts]
    for first, end in itertools.pairwise([0, *cuts, count]):
        result += _split(logs[first:end], offset + first, share / 2)
    return result


def _best_positions(logs: Floats, cuts: list[int]) -> list[int]:
    """Move each cut to where its two levels fit best: ranks detect a step better than they locate it."""
    placed = [0]
    for cut, following in zip(cuts, [*cuts, len(logs)][1:], strict=True):
        before = placed[-1]
        candidates = range(before + LEAST_RUNS, following - LEAST_RUNS + 1)
        placed.append(
            min(
                candidates,
                key=lambda index: _absolute_deviation(logs[before:index]) + _absolute_deviation(logs[index:following]),
                default=cut,
            )
        )
    return placed[1:]


def _absolute_deviation(logs: Floats) -> float:
    return float(np.abs(logs - np.median(logs)).sum())


def _significant_cuts(values: Sequence[float], cuts: list[int], margin: float) -> list[int]:
    """Return the cuts whose two levels differ by more than the margin and significantly, removing the weakest first."""
    cuts = list(cuts)
    while cuts:
        bounds = [0, *cuts, len(values)]
        worst, weakest = -1.0, 0
        for index, cut in enumerate(cuts):
            before, after = values[bounds[index] : cut], values[cut : bounds[index + 2]]
            step = abs(math.log(statistics.median(before) / statistics.median(after)))
            p = mann_whitney_p(before, after) or 0.0
            weakness = 2.0 if step <= math.log1p(margin) else p
            if weakness > worst:
                worst, weakest = weakness, index
        if worst <= SIGNIFICANT:
            break
        del cuts[weakest]
    return cuts


@lru_cache(maxsize=64)
def _steps(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return all segments from the start that leave enough runs on both sides, as arrays (first, end)."""
    ends = np.arange(LEAST_RUNS, count - LEAST_RUNS + 1)
    return np.zeros_like(ends), ends


@lru_cache(maxsize=64)
def _arcs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return all segments with enough runs in them and, on each side, enough or none, as arrays (first, end)."""
    firsts = [0, *range(LEAST_RUNS, count - LEAST_RUNS + 1)]
    ends = [*range(LEAST_RUNS, count - LEAST_RUNS + 1), count]
    pairs = [
        (first, end)
        for first in firsts
        for end in ends
        if end - first >= LEAST_RUNS and count - end + first >= LEAST_RUNS
    ]
    return np.array([first for first, _ in pairs]), np.array([end for _, end in pairs])


def _statistics(ranks: Floats, segments: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Floats:
    """Return the distance of the sum of the ranks of each segment from its expectation, in standard deviations: an
    array with one element per segment."""
    firsts, ends = segments
    count = len(ranks)
    sums = np.concatenate(([0.0], np.cumsum(ranks - ranks.mean())))
    distances: Floats = np.abs(sums[ends] - sums[firsts]) / np.maximum(
        _spread(ends - firsts, count, ranks.var()), 1e-12
    )
    return distances


def _spread(inside: NDArray[np.intp], count: int, variance: float) -> Floats:
    """Return the standard deviation of the sum of ``inside`` of ``count`` ranks, drawn without replacement."""
    spread: Floats = np.sqrt(inside * (count - inside) / (count - 1) * variance)
    return spread


def _largest(logs: Floats, segments: tuple[NDArray[np.intp], NDArray[np.intp]]) -> tuple[float, tuple[int, int]]:
    distances = _statistics(average_ranks(logs)[0], segments)
    best = int(np.argmax(distances))
    return float(distances[best]), (int(segments[0][best]), int(segments[1][best]))


@lru_cache(maxsize=256)
def _null_distribution(count: int, *, arcs: bool) -> Floats:
    """Return the sorted null distribution of the largest statistic, without any change: over all orders of up to
    ``_EXACT`` runs, else over seeded random orders."""
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
    # Segments of one length share a standard deviation; processing all lengths at once would take gigabytes.
    for inside in np.unique(ends - firsts):
        starts = firsts[ends - firsts == inside]
        farthest = np.abs(sums[starts + inside] - sums[starts]).max(axis=0)
        np.maximum(largest, farthest / _spread(inside, count, ranks.var()), out=largest)
    return np.sort(largest)


def _p(null: Floats, observed: float) -> float:
    as_large = len(null) - int(np.searchsorted(null, observed - 1e-9))
    return (as_large + 1) / (len(null) + 1)
