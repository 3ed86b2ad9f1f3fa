"""Decide whether a run is faster than another, how certain that is, and why if it cannot be decided.

Runs of one session were measured interleaved: their blocks make pairs, and what was slow in both at once cancels. Runs
of different sessions are compared only if nothing but the configuration and the software differs. Their interval
includes how far the machine's level moves between sessions (``etui.analysis.session_variance``), and what every session
has, eager and the canary kernel, serves as their control. A ratio is the base's latency over the other's: above one,
the other is faster.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Literal

import msgspec
from scipy.special import ndtr, stdtrit

from etui import text
from etui.analysis import canary
from etui.analysis.bootstrap import NORMAL_95, LogEstimate, paired_ratio, typical, unpaired_ratio
from etui.analysis.comparability import Obstacle, cautions, obstacles, same_session
from etui.analysis.disturbance import FEW, MOST, causes, most_common, session_share, unreliable_because
from etui.analysis.latency import MARGIN, verdict_of
from etui.analysis.rank_tests import benjamini_hochberg, sign_flip_p
from etui.analysis.session_level import levels_of, machine_of
from etui.analysis.session_variance import PRIOR, Level, SessionSpread, session_spread
from etui.magnitudes import are_latencies, is_latency
from etui.results import Block, Interval, RunDocument, SpeedVerdict

SIGNIFICANT = 0.05
ONE_SIDED = 1.645 / 1.96
"""From half the width of a two-sided 95 % interval to that of a one-sided one, of a normal distribution."""

MOST_BLOCKS = 1_000
"""Above this number of blocks, the difference is regarded as equal to the margin."""


class RunComparison(msgspec.Struct, kw_only=True, frozen=True):
    """One run beside its base. ``ratio`` is the base's latency over the other's, with its 95 % interval.

    ``verdict`` is None if the comparison is refused; ``reasons`` say why, and stay if it was forced. ``limits`` say why
    the verdict is at most ``inconclusive`` or ``unreliable`` whatever the interval. ``p`` belongs to the sign flips of
    the pairs, or to the interval of two sessions; ``p_adjusted`` counts all comparisons made at once. ``more_blocks``
    is about how many further blocks would settle what is inconclusive; None if none would.

    Of runs of different sessions, ``relative_ratio`` is the ratio of their speed-ups over eager of their own session
    (the difference in differences on the log scale), ``control_ratio`` and ``canary_ratio`` compare eager and the
    canary kernel of the two sessions, and ``session_sd`` is the standard deviation of a session's level that is part of
    both intervals, estimated from ``sessions`` sessions besides the prior.
    """

    base: str
    other: str
    kind: Literal["paired", "historical"]
    margin: float
    ratio: float | None = None
    ci95: Interval | None = None
    verdict: SpeedVerdict | None = None
    p: float | None = None
    p_adjusted: float | None = None
    base_blocks: int = 0
    other_blocks: int = 0
    more_blocks: int | None = None
    base_median_ms: float | None = None
    other_median_ms: float | None = None
    reasons: list[Obstacle] = []
    cautions: list[str] = []
    forced: bool = False
    limits: list[str] = []
    relative_ratio: float | None = None
    relative_ci95: Interval | None = None
    control_ratio: float | None = None
    control_ci95: Interval | None = None
    canary_ratio: float | None = None
    session_sd: float | None = None
    sessions: int | None = None

    @property
    def refused(self) -> bool:
        """Whether there are reasons against comparing, and nobody forced it."""
        return self.verdict is None


def compare(
    base: RunDocument,
    others: Sequence[RunDocument],
    *,
    margin: float = MARGIN,
    force: bool = False,
    levels: Sequence[Level] = (),
) -> list[RunComparison]:
    """Each of ``others`` beside ``base``. ``margin`` is the share within which two count as equivalent.

    ``levels`` are what is known of earlier sessions on the base's machine (``Store.session_levels``); those of the
    compared runs themselves are added. They decide how much two sessions may differ by chance.
    """
    spread = _spread([base, *others], levels)
    side = _Side(base)
    found = [_one(side, _Side(other), margin, force, spread) for other in others]
    # Pairs within a session are few and planned; historical comparisons are corrected for multiple testing.
    historical = [index for index, one in enumerate(found) if one.kind == "historical" and one.p is not None]
    adjusted = benjamini_hochberg([found[index].p or 0.0 for index in historical])
    for index, p in zip(historical, adjusted, strict=True):
        found[index] = _adjusted(found[index], p)
    return found


def _spread(compared: Sequence[RunDocument], levels: Sequence[Level]) -> SessionSpread:
    """How far two sessions differ by chance. The programs that are compared are no evidence of that, only their
    controls are: what they differ by is the question."""
    sessions = {run.session.id for run in compared}
    if len(sessions) < 2:
        return PRIOR
    machine = machine_of(compared[0].environment)
    own = [level for run in compared for level in levels_of(run)]
    return session_spread(
        level
        for level in (*levels, *own)
        if level.machine == machine and (level.is_control or level.session not in sessions)
    )


def usable(blocks: Sequence[Block]) -> list[Block]:
    """The blocks whose samples a ratio can be made of."""
    return [block for block in blocks if are_latencies(block.samples_ms)]


def more_blocks(ratio: LogEstimate, blocks: int, margin: float) -> int | None:
    """About how many more blocks bring the interval wholly beyond the margin or within it, if the estimate stays.

    The half width goes as a t interval's: with Student's quantile, and with the root of the number of blocks. None
    where over a thousand would not do.
    """
    room = abs(abs(ratio.centre) - math.log1p(margin))
    if ratio.half is None:
        return None
    spread = ratio.half / _t_width(blocks)
    further = range(1, MOST_BLOCKS + 1)
    found = bisect_left(further, True, key=lambda more: spread * _t_width(blocks + more) < room)
    return further[found] if found < len(further) else None


@cache
def _t_width(blocks: int) -> float:
    return float(stdtrit(blocks - 1, 0.975)) / math.sqrt(blocks)


class _Side:
    """One run of a comparison of sessions: its level and those of its controls, each drawn once however many runs it is
    compared with."""

    def __init__(self, run: RunDocument) -> None:
        self.run = run

    @cached_property
    def level(self) -> LogEstimate:
        """The latency of the run's program, which has samples."""
        return typical([block.samples_ms for block in usable(self.run.blocks)])

    @cached_property
    def eager(self) -> LogEstimate | None:
        """The latency of eager in the run's session; None if that has none."""
        series = [block.samples_ms for block in usable(self.run.eager_blocks)]
        return typical(series) if series else None

    @cached_property
    def canary(self) -> LogEstimate | None:
        """What the canary kernel took in the run's session; None if that has too few readings."""
        readings = [block.canary_ms for block in (*self.run.blocks, *self.run.eager_blocks) if block.canary_ms]
        if len(readings) < canary.FEWEST or not all(map(are_latencies, readings)):
            return None
        return typical([[math.sqrt(before * after)] for before, after in readings])

    @cached_property
    def against_eager(self) -> LogEstimate | None:
        """Eager's latency over the program's, over the blocks that hold both; None if none does."""
        eager = {block.index: block.samples_ms for block in usable(self.run.eager_blocks)}
        pairs = [(eager[one.index], one.samples_ms) for one in usable(self.run.blocks) if one.index in eager]
        return paired_ratio(pairs) if pairs else None

    @cached_property
    def disturbed(self) -> float:
        """The share of the session's blocks that something disturbed."""
        return session_share(self.run.blocks, self.run.eager_blocks)


def _one(base_side: _Side, other_side: _Side, margin: float, force: bool, spread: SessionSpread) -> RunComparison:
    base, other = base_side.run, other_side.run
    missing = [one for one in (_without_samples(base, "base"), _without_samples(other, "other")) if one]
    reasons = [*missing, *obstacles(base, other)]
    if base.id == other.id:
        reasons.insert(0, Obstacle(name="one run", base=base.id, other=other.id, detail="both are the same run"))
    first, second = usable(base.blocks), usable(other.blocks)
    shared = {block.index for block in first} & {block.index for block in second}
    paired = same_session(base, other) and bool(shared)
    found = RunComparison(
        base=base.id,
        other=other.id,
        kind="paired" if paired else "historical",
        margin=margin,
        base_blocks=len(first),
        other_blocks=len(second),
        base_median_ms=base.latency_ms.median if base.latency_ms else None,
        other_median_ms=other.latency_ms.median if other.latency_ms else None,
        reasons=reasons,
        cautions=[*cautions(base, other), *_endings(base, other)],
    )
    if reasons and not force:
        return found
    if missing:
        # Two medians without samples still have a ratio, which nothing is known about.
        medians = found.base_median_ms, found.other_median_ms
        known = [median for median in medians if median is not None and is_latency(median)]
        bare = known[0] / known[1] if len(known) == 2 else None
        return msgspec.structs.replace(found, ratio=bare, forced=bare is not None)
    found = msgspec.structs.replace(found, forced=bool(reasons))
    if paired:
        return _paired(found, first, second, shared)
    return _historical(found, base_side, other_side, spread)


def _paired(found: RunComparison, first: Sequence[Block], second: Sequence[Block], shared: set[int]) -> RunComparison:
    one, two = ({block.index: block.samples_ms for block in side} for side in (first, second))
    pairs = [(one[index], two[index]) for index in sorted(shared)]
    steps = [math.log(statistics.median(a)) - math.log(statistics.median(b)) for a, b in pairs]
    estimate = paired_ratio(pairs)
    disturbed = unreliable_because(
        [block for block in first if block.index in shared], [block for block in second if block.index in shared]
    )
    verdict = "unreliable" if disturbed else verdict_of(estimate, found.margin)
    return msgspec.structs.replace(
        found,
        ratio=estimate.value,
        ci95=estimate.interval,
        verdict=verdict,
        limits=[disturbed] if disturbed else [],
        p=sign_flip_p(steps),
        base_blocks=len(pairs),
        other_blocks=len(pairs),
        more_blocks=more_blocks(estimate, len(pairs), found.margin) if verdict == "inconclusive" else None,
    )


def _historical(found: RunComparison, base: _Side, other: _Side, spread: SessionSpread) -> RunComparison:
    control, kernel = _ratio(base.eager, other.eager), _ratio(base.canary, other.canary)
    shift = 0.0
    if control is not None and control.half is not None:
        # What the control certainly moved by, the program may have moved by as well; as far as the spread between
        # usual sessions is known rather than assumed, the interval includes that already.
        certain = max(0.0, abs(control.centre) - control.half)
        shift = max((1 - spread.known) * certain, certain - spread.half)
    estimate = _widened(unpaired_ratio(base.level, other.level), spread.half, shift)
    relative = _ratio(other.against_eager, base.against_eager)
    if relative is not None:
        # Eager and the program each have a level of their own in either session.
        relative = _widened(relative, math.sqrt(2) * spread.half, 0.0)
    limits = [
        *_disturbances(base, other),
        *_moved("eager", control, found.margin),
        *_moved("the canary kernel", kernel, found.margin),
    ]
    verdict = verdict_of(estimate, found.margin)
    if verdict in ("faster", "slower") and relative is not None and not _confirms(relative, estimate, found.margin):
        limits.append(
            f"relative to eager in its own session it did not change by more than {text.number(100 * found.margin)} %"
            f" in that direction ({text.ratio(relative.value)})"
        )
    if limits:
        loaded = max(base.disturbed, other.disturbed) > MOST
        verdict = "unreliable" if loaded else "inconclusive"
    return msgspec.structs.replace(
        found,
        ratio=estimate.value,
        ci95=estimate.interval,
        verdict=verdict,
        limits=limits,
        p=None if estimate.half is None else _p_of(estimate),
        relative_ratio=relative.value if relative else None,
        relative_ci95=relative.interval if relative else None,
        control_ratio=control.value if control else None,
        control_ci95=control.interval if control else None,
        canary_ratio=kernel.value if kernel else None,
        session_sd=spread.sd,
        sessions=spread.sessions,
    )


def _ratio(first: LogEstimate | None, second: LogEstimate | None) -> LogEstimate | None:
    """The ratio of two levels of different sessions; None if either is not known."""
    return None if first is None or second is None else unpaired_ratio(first, second)


def _widened(estimate: LogEstimate, half: float, shift: float) -> LogEstimate:
    if estimate.half is None:
        return estimate
    return LogEstimate(estimate.centre, math.hypot(estimate.half, half) + shift)


def _confirms(relative: LogEstimate, absolute: LogEstimate, margin: float) -> bool:
    """Whether a change is one of the program, not of the machine: it also shows against eager."""
    return relative.centre * absolute.centre > 0 and abs(relative.centre) > math.log1p(margin)


def _p_of(estimate: LogEstimate) -> float:
    """Two-sided p-value of the ratio being one, from the interval on the log scale."""
    if not estimate.half:
        return 1.0 if estimate.centre == 0 else 0.0
    return 2 * float(ndtr(-abs(estimate.centre) / (estimate.half / NORMAL_95)))


def _disturbances(*sides: _Side) -> list[str]:
    """What disturbed a third or more of a session's blocks."""
    found = []
    for side in sides:
        if side.disturbed < FEW:
            continue
        run = side.run
        blocks = [*run.blocks, *run.eager_blocks]
        disturbed = sum(bool(causes(block)) for block in blocks)
        found.append(
            f"in the session of run {run.id[:6]} {disturbed} of {len(blocks)} blocks were disturbed"
            f" ({most_common(blocks)})"
        )
    return found


def _moved(name: str, control: LogEstimate | None, margin: float) -> list[str]:
    """A sentence if a control differs between the sessions by more than the margin (one-sided, at 95 %, so that the
    control's own noise alone does not count)."""
    if control is None or abs(control.centre) - ONE_SIDED * (control.half or 0.0) <= math.log1p(margin):
        return []
    change = 100 * math.expm1(-control.centre)
    return [f"{name} took {abs(change):.1f} % {'longer' if change > 0 else 'less time'} in the other session"]


def _adjusted(found: RunComparison, adjusted: float) -> RunComparison:
    """A difference between sessions must hold among all that were compared at once."""
    if found.verdict not in ("faster", "slower") or adjusted <= SIGNIFICANT:
        return msgspec.structs.replace(found, p_adjusted=adjusted)
    return msgspec.structs.replace(found, p_adjusted=adjusted, verdict="inconclusive")


def _without_samples(document: RunDocument, side: Literal["base", "other"]) -> Obstacle | None:
    if usable(document.blocks):
        return None
    if document.summary_only:
        words = "was imported as a summary, without samples"
    elif document.status == "done":
        words = "holds no samples"
    else:
        words = f"is {document.status}" if document.status != "failed" else "failed"
        words += " and has no samples"
    state = {"base": "samples", "other": "samples"} | {side: "none"}
    return Obstacle(name="samples", detail=f"run {document.id} {words}", **state)


def _endings(*documents: RunDocument) -> list[str]:
    return [
        f"Run {document.id} is {document.status}: only its completed blocks are compared."
        for document in documents
        if document.status != "done" and usable(document.blocks)
    ]
