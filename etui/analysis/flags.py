"""What spoils a number, or must be known with it: flags from a run's blocks and its box, each with its figures."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

from etui.results import Block, Environment, Flag, LatencyStats

SPREAD = 0.05
DRIFT = 0.03
FOREIGN_CORES = 0.10
STEAL_SHARE = 0.01
FREQUENCY_CHANGE = 0.05
MEMORY_PRESSURE_PERCENT = 1.0
FEWEST_SAMPLES = 20


def find_flags(
    *,
    stats: LatencyStats | None,
    blocks: Sequence[Block],
    eager_blocks: Sequence[Block],
    environment: Environment | None,
    planned_blocks: int,
    fixed_samples: bool,
) -> list[Flag]:
    """All flags of one run. ``fixed_samples`` means the user chose the number of samples."""
    flags: list[Flag] = []
    if stats is not None and stats.count is not None:
        flags += _of_samples(stats, stats.count, blocks, planned_blocks, fixed_samples)
        flags += _of_blocks(blocks)
    if environment is not None and environment.governor not in (None, "performance"):
        flags.append(Flag(name="governor", detail=f"the CPU governor is {environment.governor}, not performance"))
    threads = {block.threads for block in (*blocks, *eager_blocks)}
    if len(threads) > 1:
        flags.append(Flag(name="threads", detail=f"thread counts differ between blocks: {sorted(threads)}"))
    return flags


def _of_samples(
    stats: LatencyStats, count: int, blocks: Sequence[Block], planned_blocks: int, fixed_samples: bool
) -> list[Flag]:
    flags: list[Flag] = []
    if len(blocks) < planned_blocks:
        flags.append(
            Flag(
                name="few blocks",
                detail=f"{len(blocks)} of {planned_blocks} blocks: the variant's time budget was used up",
            )
        )
    if count < FEWEST_SAMPLES:
        chosen = ", as was asked for" if fixed_samples else ""
        flags.append(
            Flag(
                name="few samples",
                detail=f"{count} timed inference{'' if count == 1 else 's'}{chosen}: take the figures as a hint",
            )
        )
    if stats.mad and stats.median and stats.mad / stats.median > SPREAD:
        share = stats.mad / stats.median
        flags.append(Flag(name="spread", detail=f"the samples spread by {share:.0%} (MAD over median)"))
    return flags


def _of_blocks(blocks: Sequence[Block]) -> list[Flag]:
    flags: list[Flag] = []
    medians = [statistics.median(block.samples_ms) for block in blocks if block.samples_ms]
    if len(medians) >= 3:
        third = max(1, len(medians) // 3)
        first, last = statistics.median(medians[:third]), statistics.median(medians[-third:])
        if abs(last - first) > DRIFT * first and _monotonic(medians):
            flags.append(Flag(name="drift", detail=f"block medians went from {first:.3g} to {last:.3g} ms"))
    foreign = [block.foreign_cpu_cores for block in blocks if block.foreign_cpu_cores is not None]
    loaded = [value for value in foreign if value > FOREIGN_CORES]
    if loaded:
        flags.append(
            Flag(
                name="foreign load",
                detail=f"something else used up to {max(loaded):.2f} cores in {len(loaded)} of {len(blocks)} blocks",
            )
        )
    throttled = sum(block.throttled_ms or 0.0 for block in blocks)
    if throttled > 0:
        flags.append(Flag(name="throttled", detail=f"the cgroup's CPU quota held the process for {throttled:.0f} ms"))
    steal, wall = sum(block.steal_s or 0.0 for block in blocks), sum(block.wall_s or 0.0 for block in blocks)
    if wall and steal / wall > STEAL_SHARE:
        flags.append(Flag(name="steal", detail=f"the hypervisor took {steal / wall:.1%} of a core away"))
    for block in blocks:
        if block.frequency_mhz is not None:
            before, after = block.frequency_mhz
            if before and abs(after - before) / before > FREQUENCY_CHANGE:
                flags.append(
                    Flag(name="frequency", detail=f"the CPU went from {before:.0f} to {after:.0f} MHz in a block")
                )
                break
    pressure = max((block.memory_pressure or 0.0 for block in blocks), default=0.0)
    if pressure > MEMORY_PRESSURE_PERCENT:
        flags.append(Flag(name="memory pressure", detail=f"tasks waited for memory {pressure:.0f} % of the time"))
    unsettled = [block for block in blocks if block.warmup_settled is False]
    if unsettled:
        flags.append(
            Flag(name="unsettled", detail=f"warm-up did not settle in {len(unsettled)} of {len(blocks)} blocks")
        )
    return flags


def _monotonic(values: Sequence[float]) -> bool:
    """Whether most steps go one way: a trend, not one odd block."""
    steps = [later - earlier for earlier, later in itertools.pairwise(values)]
    rising = sum(step > 0 for step in steps)
    return max(rising, len(steps) - rising) >= 0.8 * len(steps)
