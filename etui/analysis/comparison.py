"""Decide whether one run is faster than another, with a confidence interval, and report why if it is undecided.

Runs of one session were measured interleaved: their blocks form pairs, and slowdowns common to both sides cancel. Runs
of different sessions are compared only if nothing but the configuration and the software differs. Their interval
includes the variance of the machine's speed between sessions (``etui.analysis.session_variance``); eager and the canary
kernel, which every session measures, are their controls. A ratio is the base's latency divided by the other run's:
above one, the other run is faster.
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
from etui.analysis.bootstrap import NORMAL_95, LogEstimate, paired_ratio, typical_latency, unpaired_ratio
from etui.analysis.comparability import Obstacle, batches, cautions, obstacles, same_session
from etui.analysis.disturbance import FEW, MOST, causes, most_common, session_share, unreliable_because
from etui.analysis.latency import MARGIN, verdict_of
from etui.analysis.rank_tests import benjamini_hochberg, sign_flip_p
from etui.analysis.session_level import levels_of, machine_of
from etui.analysis.session_variance import PRIOR, SessionLatency, SessionSpread, session_spread
from etui.magnitudes import are_latencies, is_latency
from etui.results import Block, Interval, RunDocument, SpeedVerdict

SIGNIFICANT = 0.05
ONE_SIDED = 1.645 / 1.96
"""Factor from the half width of a two-sided 95 % interval to that of a one-sided one, for a normal distribution."""

MOST_BLOCKS = 1_000
"""If more blocks than this would be needed, the difference is regarded as equal to the margin."""


class RunComparison(msgspec.Struct, kw_only=True, frozen=True):
    """One run compared with its base. ``ratio`` is the base's latency divided by the other's; ``ci95`` its interval.

    ``verdict`` is None if the comparison is refused; ``reasons`` explain why, and are kept if it was forced. ``limits``
    explain why the verdict is at most ``inconclusive`` or ``unreliable`` whatever the interval. ``p`` comes from the
    sign-flip test of the pairs, or from the interval for two sessions; ``p_adjusted`` is corrected for all comparisons
    made at once. ``more_blocks`` estimates how many further blocks would decide an inconclusive verdict; None if none
    would.

    For runs of different sessions, ``relative_ratio`` is the ratio of their speed-ups over eager of their own session
    (the difference in differences on the log scale), ``control_ratio`` and ``canary_ratio`` compare eager and the
    canary kernel of the two sessions, and ``session_sd`` is the standard deviation of a session's level that is part of
    both intervals, estimated from ``sessions`` sessions and the prior.

    ``items`` are the batches of the base and the other run if these differ: ratio, interval and medians are then those
    of the latency per item. None if latencies are compared as they are.
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
    items: tuple[int, int] | None = None

    @property
    def refused(self) -> bool:
        """Whether the comparison was refused because of ``reasons``, without having been forced."""
        return self.verdict is None


def compare(
    base: RunDocument,
    others: Sequence[RunDocument],
    *,
    margin: float = MARGIN,
    force: bool = False,
    levels: Sequence[SessionLatency] = (),
) -> list[RunComparison]:
    """Compare each of ``others`` with ``base``. Latencies within the share ``margin`` of each other are equivalent.

    ``levels`` are the levels of earlier sessions on the base's machine (``Store.session_levels``); those of the
    compared runs are added. The variance between sessions is estimated from them.
    """
    spread = _spread([base, *others], levels)
    side = _Side(base)
    comparisons = [_compare_pair(side, _Side(other), margin, force, spread) for other in others]
    # Pairs within a session are few and planned; historical comparisons are corrected for multiple testing.
    historical = [
        index
        for index, comparison in enumerate(comparisons)
        if comparison.kind == "historical" and comparison.p is not None
    ]
    adjusted = benjamini_hochberg([comparisons[index].p or 0.0 for index in historical])
    for index, p in zip(historical, adjusted, strict=True):
        comparisons[index] = _with_adjusted_p(comparisons[index], p)
    return comparisons


def _spread(compared: Sequence[RunDocument], levels: Sequence[SessionLatency]) -> SessionSpread:
    """Estimate the variance between sessions. Of the compared sessions only the controls are used: how far the
    compared programs differ is the question itself."""
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
    """Return the blocks whose samples are valid latencies, from which a ratio can be computed."""
    return [block for block in blocks if are_latencies(block.samples_ms)]


def more_blocks(ratio: LogEstimate, blocks: int, margin: float) -> int | None:
    """Estimate how many more blocks bring the interval wholly beyond the margin or within it, for the same estimate.

    The half width is assumed to scale like a t interval's: with Student's quantile divided by the square root of the
    number of blocks. None if ``MOST_BLOCKS`` would not suffice.
    """
    room = abs(abs(ratio.centre) - math.log1p(margin))
    if ratio.half is None:
        return None
    spread = ratio.half / _t_width(blocks)
    further = range(1, MOST_BLOCKS + 1)
    index = bisect_left(further, True, key=lambda more: spread * _t_width(blocks + more) < room)
    return further[index] if index < len(further) else None


@cache
def _t_width(blocks: int) -> float:
    return float(stdtrit(blocks - 1, 0.975)) / math.sqrt(blocks)


class _Side:
    """One run of a comparison between sessions: its level and those of its controls, each bootstrapped only once for
    any number of comparisons."""

    def __init__(self, run: RunDocument) -> None:
        self.run = run

    @cached_property
    def level(self) -> LogEstimate:
        """The latency of the run's program; the run must have samples."""
        return typical_latency([block.samples_ms for block in usable(self.run.blocks)])

    @cached_property
    def eager(self) -> LogEstimate | None:
        """The latency of eager in the run's session; None without eager samples."""
        series = [block.samples_ms for block in usable(self.run.eager_blocks)]
        return typical_latency(series) if series else None

    @cached_property
    def canary(self) -> LogEstimate | None:
        """The time of the canary kernel in the run's session; None with too few readings."""
        readings = [block.canary_ms for block in (*self.run.blocks, *self.run.eager_blocks) if block.canary_ms]
        if len(readings) < canary.FEWEST or not all(map(are_latencies, readings)):
            return None
        return typical_latency([[math.sqrt(before * after)] for before, after in readings])

    @cached_property
    def against_eager(self) -> LogEstimate | None:
        """Eager's latency divided by the program's, over the blocks that contain both; None without such a block."""
        eager = {block.index: block.samples_ms for block in usable(self.run.eager_blocks)}
        pairs = [(eager[block.index], block.samples_ms) for block in usable(self.run.blocks) if block.index in eager]
        return paired_ratio(pairs) if pairs else None

    @cached_property
    def disturbed(self) -> float:
        """The share of the session's blocks that were disturbed, 0 to 1."""
        return session_share(self.run.blocks, self.run.eager_blocks)


def _compare_pair(
    base_side: _Side, other_side: _Side, margin: float, force: bool, spread: SessionSpread
) -> RunComparison:
    base, other = base_side.run, other_side.run
    missing = [obstacle for obstacle in (_without_samples(base, "base"), _without_samples(other, "other")) if obstacle]
    reasons = [*missing, *obstacles(base, other)]
    if base.id == other.id:
        reasons.insert(0, Obstacle(name="one run", base=base.id, other=other.id, detail="both are the same run"))
    first, second = usable(base.blocks), usable(other.blocks)
    shared = {block.index for block in first} & {block.index for block in second}
    paired = same_session(base, other) and bool(shared)
    items = batches(base, other)
    if items is not None and not paired:
        one, two = map(str, items)
        detail = f"batch differs: {one} and {two}, and no block has both runs"
        reasons.append(Obstacle(name="batch", base=one, other=two, detail=detail))
        items = None
    comparison = RunComparison(
        base=base.id,
        other=other.id,
        kind="paired" if paired else "historical",
        margin=margin,
        base_blocks=len(first),
        other_blocks=len(second),
        base_median_ms=_median_ms(base, items[0] if items else 1),
        other_median_ms=_median_ms(other, items[1] if items else 1),
        reasons=reasons,
        cautions=[*cautions(base, other), *_incomplete_notes(base, other)],
        items=items,
    )
    if reasons and not force:
        return comparison
    if missing:
        # Two medians without samples still have a ratio, but its uncertainty is unknown.
        medians = comparison.base_median_ms, comparison.other_median_ms
        known = [median for median in medians if median is not None and is_latency(median)]
        ratio = known[0] / known[1] if len(known) == 2 else None
        return msgspec.structs.replace(comparison, ratio=ratio, forced=ratio is not None)
    comparison = msgspec.structs.replace(comparison, forced=bool(reasons))
    if paired:
        return _paired(comparison, first, second, shared)
    return _historical(comparison, base_side, other_side, spread)


def _median_ms(run: RunDocument, items: int) -> float | None:
    return run.latency_ms.median / items if run.latency_ms and run.latency_ms.median is not None else None


def _paired(
    comparison: RunComparison, first: Sequence[Block], second: Sequence[Block], shared: set[int]
) -> RunComparison:
    base_samples, other_samples = (
        {block.index: [sample / items for sample in block.samples_ms] for block in side}
        for side, items in zip((first, second), comparison.items or (1, 1), strict=True)
    )
    pairs = [(base_samples[index], other_samples[index]) for index in sorted(shared)]
    log_ratios = [math.log(statistics.median(a)) - math.log(statistics.median(b)) for a, b in pairs]
    estimate = paired_ratio(pairs)
    disturbed = unreliable_because(
        [block for block in first if block.index in shared], [block for block in second if block.index in shared]
    )
    verdict = "unreliable" if disturbed else verdict_of(estimate, comparison.margin)
    return msgspec.structs.replace(
        comparison,
        ratio=estimate.value,
        ci95=estimate.interval,
        verdict=verdict,
        limits=[disturbed] if disturbed else [],
        p=sign_flip_p(log_ratios),
        base_blocks=len(pairs),
        other_blocks=len(pairs),
        more_blocks=more_blocks(estimate, len(pairs), comparison.margin) if verdict == "inconclusive" else None,
    )


def _historical(comparison: RunComparison, base: _Side, other: _Side, spread: SessionSpread) -> RunComparison:
    control, canary_ratio = _ratio(base.eager, other.eager), _ratio(base.canary, other.canary)
    shift = 0.0
    if control is not None and control.half is not None:
        # The machine may have changed the program's latency by as much as it certainly changed the control's. As far
        # as the spread between usual sessions was observed rather than assumed, the interval includes that already.
        certain = max(0.0, abs(control.centre) - control.half)
        shift = max((1 - spread.known) * certain, certain - spread.half)
    estimate = _widened(unpaired_ratio(base.level, other.level), spread.half, shift)
    relative = _ratio(other.against_eager, base.against_eager)
    if relative is not None:
        # Eager and the program each have a separate level in either session.
        relative = _widened(relative, math.sqrt(2) * spread.half, 0.0)
    limits = [
        *_disturbances(base, other),
        *_control_shift("eager", control, comparison.margin),
        *_control_shift("the canary kernel", canary_ratio, comparison.margin),
    ]
    verdict = verdict_of(estimate, comparison.margin)
    if (
        verdict in ("faster", "slower")
        and relative is not None
        and not _confirms(relative, estimate, comparison.margin)
    ):
        limits.append(
            "relative to eager in its own session it did not change by more than"
            f" {text.number(100 * comparison.margin)} % in that direction ({text.ratio(relative.value)})"
        )
    if limits:
        mostly_disturbed = max(base.disturbed, other.disturbed) > MOST
        verdict = "unreliable" if mostly_disturbed else "inconclusive"
    return msgspec.structs.replace(
        comparison,
        ratio=estimate.value,
        ci95=estimate.interval,
        verdict=verdict,
        limits=limits,
        p=None if estimate.half is None else _p_of(estimate),
        relative_ratio=relative.value if relative else None,
        relative_ci95=relative.interval if relative else None,
        control_ratio=control.value if control else None,
        control_ci95=control.interval if control else None,
        canary_ratio=canary_ratio.value if canary_ratio else None,
        session_sd=spread.sd,
        sessions=spread.sessions,
    )


def _ratio(first: LogEstimate | None, second: LogEstimate | None) -> LogEstimate | None:
    """Return the ratio of two levels of different sessions; None if either is unknown."""
    return None if first is None or second is None else unpaired_ratio(first, second)


def _widened(estimate: LogEstimate, half: float, shift: float) -> LogEstimate:
    if estimate.half is None:
        return estimate
    return LogEstimate(estimate.centre, math.hypot(estimate.half, half) + shift)


def _confirms(relative: LogEstimate, absolute: LogEstimate, margin: float) -> bool:
    """Whether a change is due to the program, not the machine: the ratio relative to eager changed as well."""
    return relative.centre * absolute.centre > 0 and abs(relative.centre) > math.log1p(margin)


def _p_of(estimate: LogEstimate) -> float:
    """Return the two-sided p-value for a ratio of one, from the interval on the log scale."""
    if not estimate.half:
        return 1.0 if estimate.centre == 0 else 0.0
    return 2 * float(ndtr(-abs(estimate.centre) / (estimate.half / NORMAL_95)))


def _disturbances(*sides: _Side) -> list[str]:
    """Return a sentence for each session in which a third or more of the blocks were disturbed."""
    sentences = []
    for side in sides:
        if side.disturbed < FEW:
            continue
        run = side.run
        blocks = [*run.blocks, *run.eager_blocks]
        disturbed = sum(bool(causes(block)) for block in blocks)
        sentences.append(
            f"in the session of run {run.id[:6]} {disturbed} of {len(blocks)} blocks were disturbed"
            f" ({most_common(blocks)})"
        )
    return sentences


def _control_shift(name: str, control: LogEstimate | None, margin: float) -> list[str]:
    """Return a sentence if a control differs between the sessions by more than the margin (one-sided, at 95 %, so that
    the control's own noise alone does not count)."""
    if control is None or abs(control.centre) - ONE_SIDED * (control.half or 0.0) <= math.log1p(margin):
        return []
    change = 100 * math.expm1(-control.centre)
    if change >= 100:
        return [f"{name} took {text.number(1 + change / 100)} times as long in the other session"]
    return [f"{name} took {abs(change):.1f} % {'longer' if change > 0 else 'less time'} in the other session"]


def _with_adjusted_p(comparison: RunComparison, adjusted: float) -> RunComparison:
    """Add the adjusted p-value; a difference between sessions that is then not significant becomes inconclusive."""
    if comparison.verdict not in ("faster", "slower") or adjusted <= SIGNIFICANT:
        return msgspec.structs.replace(comparison, p_adjusted=adjusted)
    return msgspec.structs.replace(comparison, p_adjusted=adjusted, verdict="inconclusive")


def _without_samples(document: RunDocument, side: Literal["base", "other"]) -> Obstacle | None:
    if usable(document.blocks):
        return None
    if document.summary_only:
        state_text = "was imported as a summary, without samples"
    elif document.status == "done":
        state_text = "holds no samples"
    else:
        state_text = f"is {document.status}" if document.status != "failed" else "failed"
        state_text += " and has no samples"
    state = {"base": "samples", "other": "samples"} | {side: "none"}
    return Obstacle(name="samples", detail=f"run {document.id} {state_text}", **state)


def _incomplete_notes(*documents: RunDocument) -> list[str]:
    return [
        f"Run {document.id} is {document.status}: only its completed blocks are compared."
        for document in documents
        if document.status != "done" and usable(document.blocks)
    ]
