"""Warning flags of a run: measurement-quality problems found in its blocks, eager's blocks and its environment."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Sequence

from etui import text
from etui.analysis import canary, disturbance, sample_series
from etui.results import Block, Environment, Flag, LatencyStats, QuietCheck
from etui.spec import EAGER, is_eager

SPREAD = 0.05
WIDE_SPREAD = 0.10
AUTOCORRELATION = 0.7
PARALLELISM = 0.15
PARALLELISM_OF_EAGER = 0.25
DRIFT = 0.03
FREQUENCY_CHANGE = 0.05
MEMORY_PRESSURE_PERCENT = 1.0
FEWEST_SAMPLES = 20

EAGER_FLAG = EAGER
"""The flag of a run that represents all flags of its eager baseline."""


def find_flags(
    *,
    stats: LatencyStats | None,
    blocks: Sequence[Block],
    eager_blocks: Sequence[Block],
    environment: Environment | None,
    planned_blocks: int,
    fixed_samples: bool,
    superseded: Sequence[Block] = (),
    eager_stats: LatencyStats | None = None,
    quiet: QuietCheck | None = None,
) -> list[Flag]:
    """Return all flags of one run; those of its eager baseline are combined into one. ``fixed_samples`` means the user
    chose the number of samples; ``superseded`` are the blocks that were measured again; ``quiet`` is the load of the
    machine before the first block."""
    flags: list[Flag] = []
    if quiet is not None and not quiet.calm:
        flags.append(Flag(name="busy start", detail=_busy_start(quiet)))
    if stats is not None and stats.count is not None:
        flags += _sample_flags(stats, stats.count, blocks, planned_blocks, fixed_samples)
        flags += _block_flags(blocks, environment)
        flags += _canary_flags(blocks, (*blocks, *eager_blocks), superseded)
        flags += _parallelism_flags(blocks, eager_blocks)
        if eager_flags := find_eager_flags(eager_stats, eager_blocks, environment, blocks, fixed_samples):
            flags.append(Flag(name=EAGER_FLAG, detail=_eager_detail(eager_flags)))
    if environment is not None and environment.governor not in (None, "performance"):
        flags.append(Flag(name="governor", detail=f"the CPU governor is {environment.governor}, not performance"))
    return flags + _thread_flags(blocks, eager_blocks)


def find_eager_flags(
    stats: LatencyStats | None,
    eager_blocks: Sequence[Block],
    environment: Environment | None,
    blocks: Sequence[Block] = (),
    fixed_samples: bool = False,
) -> list[Flag]:
    """Return the flags of the eager baseline, whose quality affects every ratio to eager; its blocks are checked as a
    program's are. ``blocks`` are the program's blocks, which also count for the typical canary time."""
    flags: list[Flag] = []
    if not eager_blocks:
        return flags
    if stats is not None and stats.count is not None:
        flags += _sample_flags(stats, stats.count, eager_blocks, len(eager_blocks), fixed_samples)
    flags += _block_flags(eager_blocks, environment)
    return flags + _canary_flags(eager_blocks, (*blocks, *eager_blocks), ())


def _eager_detail(flags: Sequence[Flag]) -> str:
    return "eager, and therefore the ratio to it, is flagged: " + "; ".join(
        f"{flag.name} ({flag.detail})" for flag in flags
    )


def _busy_start(quiet: QuietCheck) -> str:
    load = "tasks waited for a core"
    if disturbance.of_load(quiet.foreign_cpu_cores, None):
        load = f"other programs used {text.number(quiet.foreign_cpu_cores, 2)} cores"
    names = f": {', '.join(quiet.by)}" if quiet.by else ""
    return f"after {text.seconds(quiet.waited_s)} of waiting, {load} at the start of the measurement{names}"


def _sample_flags(
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
        requested = ", as requested" if fixed_samples else ""
        flags.append(
            Flag(
                name="few samples",
                detail=f"{text.counted(count, 'timed inference')}{requested}: the statistics are only an indication",
            )
        )
    if stats.mad and stats.median and stats.mad / stats.median > SPREAD:
        share = stats.mad / stats.median
        name = "wide spread" if share > WIDE_SPREAD else "spread"
        flags.append(Flag(name=name, detail=f"the samples spread by {text.percent(share)} (MAD over median)"))
    correlation = sample_series.autocorrelation([block.samples_ms for block in blocks])
    if correlation is not None and correlation > AUTOCORRELATION:
        detail = f"consecutive samples are correlated (rank correlation {correlation:.2f})"
        flags.append(Flag(name="autocorrelation", detail=detail))
    modes = sample_series.two_modes([sample for block in blocks for sample in block.samples_ms])
    if modes is not None:
        flags.append(
            Flag(
                name="two modes",
                detail=f"the samples have two modes: {modes.low:.3g} ms, and {modes.high:.3g} ms for "
                f"{text.percent(modes.share_high)} of them",
            )
        )
    return flags


def _block_flags(blocks: Sequence[Block], environment: Environment | None) -> list[Flag]:
    flags: list[Flag] = []
    medians = [statistics.median(block.samples_ms) for block in blocks if block.samples_ms]
    if len(medians) >= 3:
        third = max(1, len(medians) // 3)
        first, last = statistics.median(medians[:third]), statistics.median(medians[-third:])
        if abs(last - first) > DRIFT * first and _monotonic(medians):
            flags.append(
                Flag(name="drift", detail=f"block medians went from {text.number(first)} to {text.number(last)} ms")
            )
    flags += _disturbance_flags(blocks, environment)
    if (detail := _frequency_change(blocks)) is not None:
        flags.append(Flag(name="frequency", detail=detail))
    faults = sum(block.major_faults or 0 for block in blocks)
    if faults:
        flags.append(
            Flag(name="page faults", detail=f"memory was read from disk {_times(faults)} during the measurement")
        )
    pressure = max((block.memory_pressure or 0.0 for block in blocks), default=0.0)
    if pressure > MEMORY_PRESSURE_PERCENT:
        flags.append(Flag(name="memory pressure", detail=f"tasks waited for memory {pressure:.0f} % of the time"))
    unsettled = [block for block in blocks if block.warmup_settled is False]
    if unsettled:
        flags.append(
            Flag(name="unsettled", detail=f"warm-up did not settle in {len(unsettled)} of {len(blocks)} blocks")
        )
    return flags


def _disturbance_flags(blocks: Sequence[Block], environment: Environment | None) -> list[Flag]:
    """Return the flags for disturbances by other programs, the hypervisor, the CPU quota or heat; speed verdicts use
    the same thresholds."""
    disturbed = Counter(cause for block in blocks for cause in disturbance.causes(block))
    steal = max((block.steal_s / block.wall_s for block in blocks if block.steal_s and block.wall_s), default=0.0)
    throttled = sum(block.throttled_ms or 0.0 for block in blocks)
    throttles = sum(block.thermal_throttles or 0 for block in blocks)
    foreign = max((block.foreign_cpu_cores or 0.0 for block in blocks), default=0.0)
    pressure = max((block.cpu_pressure or 0.0 for block in blocks), default=0.0)
    details = {
        "foreign load": f"other programs used up to {foreign:.2f} cores",
        "CPU pressure": f"tasks waited for a core up to {pressure:.0f} % of a block",
        "steal": f"the hypervisor used up to {text.percent(steal, 1)} of a core for others",
        "throttled": f"the cgroup's CPU quota paused the process for {throttled:.0f} ms",
        "thermal": f"cores were throttled {_times(throttles)} because of their temperature",
    }
    flags = []
    for name, detail in details.items():
        if count := disturbed[name]:
            advice = _threads_advice(name, disturbed, blocks, environment)
            flags.append(Flag(name=name, detail=f"{detail} in {count} of {len(blocks)} blocks{advice}"))
    return flags


def _threads_advice(
    name: str, disturbed: Counter[str], blocks: Sequence[Block], environment: Environment | None
) -> str:
    """Return advice if most blocks were disturbed by load and the run used all cores: threads that wait for each other
    lose more than their share of the cores. Empty for all but the first flag about load, so that it appears once."""
    about = [cause for cause in ("foreign load", "CPU pressure") if disturbed[cause]]
    threads = blocks[0].threads
    if environment is None or not about or name != about[0]:
        return ""
    if disturbed[name] <= disturbance.MOST * len(blocks) or threads < max(2, _available_cores(environment)):
        return ""
    return (
        f"; {threads} threads wait for each other at every operator, so this slows them more than one thread: "
        "use one thread, or an idle machine"
    )


def _available_cores(environment: Environment) -> int:
    """Return the number of cores available to the run, limited by its CPU quota."""
    quota = environment.cgroup_cpus
    return environment.cores if quota is None else max(1, min(environment.cores, int(quota)))


def _frequency_change(blocks: Sequence[Block]) -> str | None:
    """Return how the frequency of a used CPU changed within and between blocks; None if it did not. Older documents
    contain only the mean frequency of all CPUs."""
    frequencies: dict[str, list[float]] = {}
    for block in blocks:
        for cpu, bounds in (block.frequency_range_mhz or {}).items():
            frequencies.setdefault(f"CPU {cpu}", []).extend(bounds)
    if not frequencies:
        frequencies["the CPU"] = [mhz for block in blocks for mhz in block.frequency_mhz or ()]
    gpu = [mhz for block in blocks if block.device for mhz in block.device.clock_mhz or ()]
    if gpu:
        frequencies["the GPU"] = gpu
    ratios = {cpu: max(mhz) / min(mhz) for cpu, mhz in frequencies.items() if mhz and min(mhz) > 0}
    worst = max(ratios, key=lambda cpu: ratios[cpu], default=None)
    if worst is None or ratios[worst] <= 1 + FREQUENCY_CHANGE:
        return None
    return (
        f"{worst} ran at {min(frequencies[worst]):.0f} to {max(frequencies[worst]):.0f} MHz within and between blocks"
    )


def _thread_flags(blocks: Sequence[Block], eager_blocks: Sequence[Block]) -> list[Flag]:
    """Return a flag if thread counts differ between blocks, or from the number of threads that were busy."""
    details = []
    threads = {block.threads for block in (*blocks, *eager_blocks)}
    if len(threads) > 1:
        details.append(f"thread counts differ between blocks: {sorted(threads)}")
    for name, side in (("the program", blocks), (EAGER, eager_blocks)):
        counts = [
            (block.busy_threads, block.threads) for block in side if block.busy_threads is not None and not block.device
        ]
        above = [busy for busy, configured in counts if busy > configured]
        below = [busy for busy, configured in counts if busy < configured]
        if above:
            details.append(f"{name} used up to {max(above)} threads, not {side[0].threads}")
        # Only OpenVINO chooses its own number of threads; with other delegates an idle thread is due to the program.
        elif 2 * len(below) > len(counts) and side[0].variant.split("@")[0].split(" ")[0].endswith("/openvino"):
            details.append(f"OpenVINO used {text.counted(max(below), 'thread')}, not {side[0].threads}")
    return [Flag(name="threads", detail="; ".join(details))] if details else []


def _canary_flags(blocks: Sequence[Block], around: Sequence[Block], superseded: Sequence[Block]) -> list[Flag]:
    """Return a flag for blocks whose canary deviated from what is typical of the blocks ``around`` them: valid blocks,
    and blocks measured again for that reason."""
    typical = canary.typical([block.canary_ms for block in around if block.canary_ms is not None])
    deviating = [block for block in blocks if canary.deviated(block, typical)]
    repeated = sum(not is_eager(block.variant) for block in superseded)
    details = []
    if repeated:
        details.append(f"{repeated} of {len(blocks)} blocks were measured again; both results are kept")
    if deviating:
        worst = max(deviating, key=lambda block: canary.worst(block, typical))
        details.append(
            f"in {len(deviating)} of {len(blocks)} valid blocks it deviated: {canary.deviation_text(worst, typical)}"
        )
    return [Flag(name="canary", detail="; ".join(details))] if details else []


def _parallelism_flags(blocks: Sequence[Block], eager_blocks: Sequence[Block]) -> list[Flag]:
    """Return a flag if the number of cores that the program used differs between blocks, or from that of eager; none
    for what a GPU executes, for which cores only wait."""
    if any(block.device for block in blocks):
        return []
    program, eager = _cores_used(blocks), _cores_used(eager_blocks)
    if not program:
        return []
    threads, program_median = blocks[0].threads, statistics.median(program)
    details = []
    if max(program) - min(program) > PARALLELISM * program_median:
        details.append(f"the program used from {min(program):.2f} to {max(program):.2f} cores, depending on the block")
    if eager and abs(statistics.median(eager) - program_median) > PARALLELISM_OF_EAGER * threads:
        details.append(
            f"with {threads} threads the program used {program_median:.2f} cores"
            f" and eager {statistics.median(eager):.2f}"
        )
    return [Flag(name="parallelism", detail="; ".join(details))] if details else []


def _cores_used(blocks: Sequence[Block]) -> list[float]:
    """Return the CPU time divided by the wall time of each block: the number of cores used."""
    return [block.cpu_s / block.wall_s for block in blocks if block.cpu_s is not None and block.wall_s]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _monotonic(values: Sequence[float]) -> bool:
    """Whether at least 80 % of the steps have the same direction: a trend, not a single unusual block."""
    steps = [later - earlier for earlier, later in itertools.pairwise(values)]
    rising = sum(step > 0 for step in steps)
    return max(rising, len(steps) - rising) >= 0.8 * len(steps)
