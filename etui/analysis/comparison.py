"""Whether a run is faster than another, how sure that is, and why it cannot be said where it cannot.

Runs of one session were measured interleaved: their blocks make pairs, and what was slow in both at once cancels. Runs
of different sessions are compared by their blocks' medians, and only where nothing but the choice and the software
differs. A ratio is the base's latency over the other's: above one, the other is faster.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import Literal

import msgspec
from scipy.special import stdtrit

from etui.analysis.bootstrap import LogEstimate, paired_ratio, typical, unpaired_ratio
from etui.analysis.latency import MARGIN, verdict_of
from etui.analysis.obstacles import Obstacle, cautions, obstacles, same_session
from etui.analysis.ranks import benjamini_hochberg, least_mann_whitney_p, mann_whitney_p, sign_flip_p
from etui.results import Block, Interval, RunDocument, SpeedVerdict

SIGNIFICANT = 0.05
MOST_BLOCKS = 1_000
"""More blocks than that nobody measures: the difference lies at the margin itself."""


class RunComparison(msgspec.Struct, kw_only=True, frozen=True):
    """One run beside its base. ``ratio`` is the base's latency over the other's, with its 95 % interval.

    ``verdict`` is None where it is refused; ``reasons`` say why, and stay where the comparison was forced.
    ``p`` belongs to the sign flips of the pairs, or to Mann-Whitney; ``p_adjusted`` counts all comparisons made at
    once. ``more_blocks`` is about how many further blocks would settle what is inconclusive; None where none would.
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

    @property
    def refused(self) -> bool:
        """Whether there are reasons against comparing, and nobody forced it."""
        return self.verdict is None


def compare(
    base: RunDocument, others: Sequence[RunDocument], *, margin: float = MARGIN, force: bool = False
) -> list[RunComparison]:
    """Each of ``others`` beside ``base``. ``margin`` is the share within which two count as equivalent."""
    # Among hundreds of runs the base is drawn once.
    alone: dict[str, LogEstimate] = {}
    found = [_one(base, other, margin, force, alone) for other in others]
    # Pairs within a session are few and planned; what is fished from history must pay for every look at it.
    historical = [index for index, one in enumerate(found) if one.kind == "historical" and one.p is not None]
    adjusted = benjamini_hochberg([found[index].p or 0.0 for index in historical])
    for index, p in zip(historical, adjusted, strict=True):
        found[index] = _settle(found[index], p)
    return found


def usable(blocks: Sequence[Block]) -> list[Block]:
    """The blocks whose samples a ratio can be made of."""
    return [block for block in blocks if block.samples_ms and min(block.samples_ms) > 0]


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


def _one(
    base: RunDocument, other: RunDocument, margin: float, force: bool, alone: dict[str, LogEstimate]
) -> RunComparison:
    missing = [one for one in (_without_samples(base, "base"), _without_samples(other, "other")) if one]
    reasons = [*missing, *obstacles(base, other)]
    if base.id == other.id:
        reasons.insert(0, Obstacle(name="one run", base=base.id, other=other.id, detail="it is the same run twice"))
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
        bare = medians[0] / medians[1] if medians[0] and medians[1] else None
        return msgspec.structs.replace(found, ratio=bare, forced=bare is not None)
    found = msgspec.structs.replace(found, forced=bool(reasons))
    if paired:
        return _paired(found, first, second, shared)
    if base.id not in alone:
        alone[base.id] = typical([block.samples_ms for block in first])
    return _historical(found, alone[base.id], first, second)


def _paired(found: RunComparison, first: Sequence[Block], second: Sequence[Block], shared: set[int]) -> RunComparison:
    one, two = ({block.index: block.samples_ms for block in side} for side in (first, second))
    pairs = [(one[index], two[index]) for index in sorted(shared)]
    steps = [math.log(statistics.median(a)) - math.log(statistics.median(b)) for a, b in pairs]
    estimate = paired_ratio(pairs)
    verdict = verdict_of(estimate, found.margin)
    return msgspec.structs.replace(
        found,
        ratio=estimate.value,
        ci95=estimate.interval,
        verdict=verdict,
        p=sign_flip_p(steps),
        base_blocks=len(pairs),
        other_blocks=len(pairs),
        more_blocks=more_blocks(estimate, len(pairs), found.margin) if verdict == "inconclusive" else None,
    )


def _historical(
    found: RunComparison, base: LogEstimate, first: Sequence[Block], second: Sequence[Block]
) -> RunComparison:
    sides = [[block.samples_ms for block in side] for side in (first, second)]
    estimate = unpaired_ratio(base, typical(sides[1]))
    verdict = verdict_of(estimate, found.margin)
    blocks = min(len(first), len(second))
    return msgspec.structs.replace(
        found,
        ratio=estimate.value,
        ci95=estimate.interval,
        verdict=verdict,
        # In an order of their own, so that base and other exchanged give the same figure to the last bit.
        p=mann_whitney_p(*sorted([statistics.median(samples) for samples in side] for side in sides)),
        more_blocks=more_blocks(estimate, blocks, found.margin) if verdict == "inconclusive" else None,
    )


def _settle(found: RunComparison, adjusted: float) -> RunComparison:
    """A difference of history must hold among all that were looked for; the same box is not the same hour."""
    if found.verdict not in ("faster", "slower") or adjusted <= SIGNIFICANT:
        return msgspec.structs.replace(found, p_adjusted=adjusted)
    wanted = next(
        more
        for more in range(1, MOST_BLOCKS)
        if least_mann_whitney_p(found.base_blocks + more, found.other_blocks + more) * adjusted / (found.p or 1.0)
        <= SIGNIFICANT
    )
    return msgspec.structs.replace(found, p_adjusted=adjusted, verdict="inconclusive", more_blocks=wanted)


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
        f"Run {document.id} is {document.status}: only the blocks it had are compared."
        for document in documents
        if document.status != "done" and usable(document.blocks)
    ]
