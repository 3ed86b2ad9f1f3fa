"""What spoils a number, or must be known with it: flags from a run's blocks and its box, each with its figures."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

from etui import text
from etui.analysis import canary, series
from etui.results import Block, Environment, Flag, LatencyStats
from etui.spec import EAGER

SPREAD = 0.05
WIDE_SPREAD = 0.10
AUTOCORRELATION = 0.7
PARALLELISM = 0.15
PARALLELISM_OF_EAGER = 0.25
CPU_PRESSURE_PERCENT = 20.0
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
    superseded: Sequence[Block] = (),
) -> list[Flag]:
    """All flags of one run. ``fixed_samples`` means the user chose the number of samples; ``superseded`` are the blocks
    that were measured again."""
    flags: list[Flag] = []
    if stats is not None and stats.count is not None:
        flags += _of_samples(stats, stats.count, blocks, planned_blocks, fixed_samples)
        flags += _of_blocks(blocks)
        flags += _of_canaries(blocks, eager_blocks, superseded)
        flags += _of_parallelism(blocks, eager_blocks)
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
                detail=f"{text.counted(count, 'timed inference')}{chosen}: take the figures as a hint",
            )
        )
    if stats.mad and stats.median and stats.mad / stats.median > SPREAD:
        share = stats.mad / stats.median
        name = "wide spread" if share > WIDE_SPREAD else "spread"
        flags.append(Flag(name=name, detail=f"the samples spread by {text.percent(share)} (MAD over median)"))
    leaning = series.autocorrelation([block.samples_ms for block in blocks])
    if leaning is not None and leaning > AUTOCORRELATION:
        detail = f"each sample leans on the one before it (rank correlation {leaning:.2f})"
        flags.append(Flag(name="autocorrelation", detail=detail))
    modes = series.two_modes([sample for block in blocks for sample in block.samples_ms])
    if modes is not None:
        flags.append(
            Flag(
                name="two modes",
                detail=f"the samples lie around two values: {modes.low:.3g} ms, and {modes.high:.3g} ms in "
                f"{text.percent(modes.share_high)} of them",
            )
        )
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
        flags.append(Flag(name="steal", detail=f"the hypervisor took {text.percent(steal / wall, 1)} of a core away"))
    clocks = [mhz for block in blocks if block.frequency_mhz is not None for mhz in block.frequency_mhz]
    if clocks and max(clocks) > (1 + FREQUENCY_CHANGE) * min(clocks):
        detail = f"the CPU ran at {min(clocks):.0f} to {max(clocks):.0f} MHz within and between blocks"
        flags.append(Flag(name="frequency", detail=detail))
    throttles = sum(block.thermal_throttles or 0 for block in blocks)
    if throttles:
        flags.append(Flag(name="thermal", detail=f"cores were slowed down {_times(throttles)} for heat"))
    waited = max((block.cpu_pressure or 0.0 for block in blocks), default=0.0)
    if waited > CPU_PRESSURE_PERCENT:
        flags.append(Flag(name="CPU pressure", detail=f"tasks waited for a core up to {waited:.0f} % of a block"))
    faults = sum(block.major_faults or 0 for block in blocks)
    if faults:
        flags.append(Flag(name="page faults", detail=f"memory was read from disk {_times(faults)} while it was timed"))
    pressure = max((block.memory_pressure or 0.0 for block in blocks), default=0.0)
    if pressure > MEMORY_PRESSURE_PERCENT:
        flags.append(Flag(name="memory pressure", detail=f"tasks waited for memory {pressure:.0f} % of the time"))
    unsettled = [block for block in blocks if block.warmup_settled is False]
    if unsettled:
        flags.append(
            Flag(name="unsettled", detail=f"warm-up did not settle in {len(unsettled)} of {len(blocks)} blocks")
        )
    return flags


def _of_canaries(blocks: Sequence[Block], eager_blocks: Sequence[Block], superseded: Sequence[Block]) -> list[Flag]:
    """Blocks whose canary was off, those that count and those that were measured again for it."""
    usual = canary.typical([block.canary_ms for block in (*blocks, *eager_blocks) if block.canary_ms is not None])
    off = [block for block in blocks if canary.is_off(block, usual)]
    off_eager = sum(canary.is_off(block, usual) for block in eager_blocks)
    again = sum(block.variant != EAGER for block in superseded)
    said = []
    if again:
        said.append(f"{again} of {len(blocks)} blocks measured again, both kept")
    if off:
        worst = max(off, key=lambda block: canary.worst(block, usual))
        said.append(f"in {len(off)} of {len(blocks)} blocks that count it was off: {canary.words(worst, usual)}")
    if off_eager:
        said.append(f"off in {off_eager} of {len(eager_blocks)} blocks of eager")
    return [Flag(name="canary", detail="; ".join(said))] if said else []


def _of_parallelism(blocks: Sequence[Block], eager_blocks: Sequence[Block]) -> list[Flag]:
    """How many cores the program really used, where that differs between blocks, or from what eager used."""
    own, eager = _cores_used(blocks), _cores_used(eager_blocks)
    if not own:
        return []
    threads, typical = blocks[0].threads, statistics.median(own)
    said = []
    if max(own) - min(own) > PARALLELISM * typical:
        said.append(f"the program used from {min(own):.2f} to {max(own):.2f} cores, block by block")
    if eager and abs(statistics.median(eager) - typical) > PARALLELISM_OF_EAGER * threads:
        said.append(
            f"with {threads} threads the program used {typical:.2f} cores and eager {statistics.median(eager):.2f}"
        )
    return [Flag(name="parallelism", detail="; ".join(said))] if said else []


def _cores_used(blocks: Sequence[Block]) -> list[float]:
    """CPU time over wall time of each block."""
    return [block.cpu_s / block.wall_s for block in blocks if block.cpu_s is not None and block.wall_s]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _monotonic(values: Sequence[float]) -> bool:
    """Whether most steps go one way: a trend, not one odd block."""
    steps = [later - earlier for earlier, later in itertools.pairwise(values)]
    rising = sum(step > 0 for step in steps)
    return max(rising, len(steps) - rising) >= 0.8 * len(steps)
