"""What spoils a number, or must be known with it: flags from a run's blocks, eager's and its machine, with figures."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Sequence

from etui import text
from etui.analysis import canary, disturbance
from etui.analysis import sample_series as series
from etui.results import Block, Environment, Flag, LatencyStats, QuietCheck
from etui.spec import EAGER

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
"""The flag of a run that stands for all flags of its eager baseline."""


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
    """All flags of one run; those of its eager side together are one of them. ``fixed_samples`` means the user chose
    the number of samples; ``superseded`` are the blocks that were measured again; ``quiet`` is how the machine looked
    before the first block."""
    flags: list[Flag] = []
    if quiet is not None and not quiet.calm:
        flags.append(Flag(name="busy start", detail=_busy_start(quiet)))
    if stats is not None and stats.count is not None:
        flags += _of_samples(stats, stats.count, blocks, planned_blocks, fixed_samples)
        flags += _of_blocks(blocks, environment)
        flags += _of_canaries(blocks, (*blocks, *eager_blocks), superseded)
        flags += _of_parallelism(blocks, eager_blocks)
        if found := find_eager_flags(eager_stats, eager_blocks, environment, blocks, fixed_samples):
            flags.append(Flag(name=EAGER_FLAG, detail=_of_eager(found)))
    if environment is not None and environment.governor not in (None, "performance"):
        flags.append(Flag(name="governor", detail=f"the CPU governor is {environment.governor}, not performance"))
    return flags + _of_threads(blocks, eager_blocks)


def find_eager_flags(
    stats: LatencyStats | None,
    eager_blocks: Sequence[Block],
    environment: Environment | None,
    blocks: Sequence[Block] = (),
    fixed_samples: bool = False,
) -> list[Flag]:
    """The flags of eager's side, which half of every ratio against eager rests on: its blocks are judged as a
    program's are. ``blocks`` are the program's, which the canary is compared with too."""
    flags: list[Flag] = []
    if not eager_blocks:
        return flags
    if stats is not None and stats.count is not None:
        flags += _of_samples(stats, stats.count, eager_blocks, len(eager_blocks), fixed_samples)
    flags += _of_blocks(eager_blocks, environment)
    return flags + _of_canaries(eager_blocks, (*blocks, *eager_blocks), ())


def _of_eager(found: Sequence[Flag]) -> str:
    return "eager, and therefore the ratio to it, is flagged: " + "; ".join(
        f"{flag.name} ({flag.detail})" for flag in found
    )


def _busy_start(quiet: QuietCheck) -> str:
    used = "tasks waited for a core"
    if disturbance.of_load(quiet.foreign_cpu_cores, None):
        used = f"other programs used {text.number(quiet.foreign_cpu_cores, 2)} cores"
    who = f": {', '.join(quiet.by)}" if quiet.by else ""
    return f"after {text.seconds(quiet.waited_s)} of waiting, {used} at the start of the measurement{who}"


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
        chosen = ", as requested" if fixed_samples else ""
        flags.append(
            Flag(
                name="few samples",
                detail=f"{text.counted(count, 'timed inference')}{chosen}: the statistics are only an indication",
            )
        )
    if stats.mad and stats.median and stats.mad / stats.median > SPREAD:
        share = stats.mad / stats.median
        name = "wide spread" if share > WIDE_SPREAD else "spread"
        flags.append(Flag(name=name, detail=f"the samples spread by {text.percent(share)} (MAD over median)"))
    leaning = series.autocorrelation([block.samples_ms for block in blocks])
    if leaning is not None and leaning > AUTOCORRELATION:
        detail = f"consecutive samples are correlated (rank correlation {leaning:.2f})"
        flags.append(Flag(name="autocorrelation", detail=detail))
    modes = series.two_modes([sample for block in blocks for sample in block.samples_ms])
    if modes is not None:
        flags.append(
            Flag(
                name="two modes",
                detail=f"the samples have two modes: {modes.low:.3g} ms, and {modes.high:.3g} ms for "
                f"{text.percent(modes.share_high)} of them",
            )
        )
    return flags


def _of_blocks(blocks: Sequence[Block], environment: Environment | None) -> list[Flag]:
    flags: list[Flag] = []
    medians = [statistics.median(block.samples_ms) for block in blocks if block.samples_ms]
    if len(medians) >= 3:
        third = max(1, len(medians) // 3)
        first, last = statistics.median(medians[:third]), statistics.median(medians[-third:])
        if abs(last - first) > DRIFT * first and _monotonic(medians):
            flags.append(Flag(name="drift", detail=f"block medians went from {first:.3g} to {last:.3g} ms"))
    flags += _of_disturbances(blocks, environment)
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


def _of_disturbances(blocks: Sequence[Block], environment: Environment | None) -> list[Flag]:
    """What other programs, the hypervisor, the quota or heat did, by the thresholds that verdicts go by too."""
    disturbed = Counter(cause for block in blocks for cause in disturbance.causes(block))
    steal = max((block.steal_s / block.wall_s for block in blocks if block.steal_s and block.wall_s), default=0.0)
    throttled = sum(block.throttled_ms or 0.0 for block in blocks)
    throttles = sum(block.thermal_throttles or 0 for block in blocks)
    foreign = max((block.foreign_cpu_cores or 0.0 for block in blocks), default=0.0)
    waited = max((block.cpu_pressure or 0.0 for block in blocks), default=0.0)
    said = {
        "foreign load": f"other programs used up to {foreign:.2f} cores",
        "CPU pressure": f"tasks waited for a core up to {waited:.0f} % of a block",
        "steal": f"the hypervisor used up to {text.percent(steal, 1)} of a core for others",
        "throttled": f"the cgroup's CPU quota paused the process for {throttled:.0f} ms",
        "thermal": f"cores were throttled {_times(throttles)} because of their temperature",
    }
    flags = []
    for name, detail in said.items():
        if count := disturbed[name]:
            advice = _threads_advice(name, disturbed, blocks, environment)
            flags.append(Flag(name=name, detail=f"{detail} in {count} of {len(blocks)} blocks{advice}"))
    return flags


def _threads_advice(
    name: str, disturbed: Counter[str], blocks: Sequence[Block], environment: Environment | None
) -> str:
    """What to do where most blocks met a load and there is no core to spare for it: threads that wait for each other
    lose more than their share of the cores. Said once, with the first of the flags that are about it."""
    about = [cause for cause in ("foreign load", "CPU pressure") if disturbed[cause]]
    threads = blocks[0].threads
    if environment is None or not about or name != about[0]:
        return ""
    if disturbed[name] <= disturbance.MOST * len(blocks) or threads < max(2, _cores_to_use(environment)):
        return ""
    return (
        f"; {threads} threads wait for each other at every operator, so this slows them more than one thread: "
        "use --threads 1, or an idle machine"
    )


def _cores_to_use(environment: Environment) -> int:
    """The cores that the run's machine had for it, its quota counted."""
    quota = environment.cgroup_cpus
    return environment.cores if quota is None else max(1, min(environment.cores, int(quota)))


def _frequency_change(blocks: Sequence[Block]) -> str | None:
    """How the frequency of a CPU that worked changed within and between blocks, None where it did not. In documents
    of before the CPUs were told apart there is only their mean."""
    seen: dict[str, list[float]] = {}
    for block in blocks:
        for cpu, bounds in (block.frequency_range_mhz or {}).items():
            seen.setdefault(f"CPU {cpu}", []).extend(bounds)
    if not seen:
        seen["the CPU"] = [mhz for block in blocks for mhz in block.frequency_mhz or ()]
    changed = {cpu: max(mhz) / min(mhz) for cpu, mhz in seen.items() if mhz and min(mhz) > 0}
    worst = max(changed, key=lambda cpu: changed[cpu], default=None)
    if worst is None or changed[worst] <= 1 + FREQUENCY_CHANGE:
        return None
    return f"{worst} ran at {min(seen[worst]):.0f} to {max(seen[worst]):.0f} MHz within and between blocks"


def _of_threads(blocks: Sequence[Block], eager_blocks: Sequence[Block]) -> list[Flag]:
    """Thread counts that differ from block to block, or from how many threads really worked."""
    said = []
    threads = {block.threads for block in (*blocks, *eager_blocks)}
    if len(threads) > 1:
        said.append(f"thread counts differ between blocks: {sorted(threads)}")
    for name, side in (("the program", blocks), (EAGER, eager_blocks)):
        worked = [(block.busy_threads, block.threads) for block in side if block.busy_threads is not None]
        more = [busy for busy, asked in worked if busy > asked]
        fewer = [busy for busy, asked in worked if busy < asked]
        if more:
            said.append(f"{name} used up to {max(more)} threads, not {side[0].threads}")
        # OpenVINO alone chooses how many it starts; with the others, one that idles is a matter of the program.
        elif 2 * len(fewer) > len(worked) and side[0].variant.split("@")[0].endswith("/openvino"):
            said.append(f"OpenVINO used {text.counted(max(fewer), 'thread')}, not {side[0].threads}")
    return [Flag(name="threads", detail="; ".join(said))] if said else []


def _of_canaries(blocks: Sequence[Block], around: Sequence[Block], superseded: Sequence[Block]) -> list[Flag]:
    """Blocks whose canary was off by what is typical of all blocks ``around`` them: those that count, and those that
    were measured again for it."""
    usual = canary.typical([block.canary_ms for block in around if block.canary_ms is not None])
    off = [block for block in blocks if canary.is_off(block, usual)]
    again = sum(block.variant != EAGER for block in superseded)
    said = []
    if again:
        said.append(f"{again} of {len(blocks)} blocks were measured again; both results are kept")
    if off:
        worst = max(off, key=lambda block: canary.worst(block, usual))
        said.append(f"in {len(off)} of {len(blocks)} valid blocks it deviated: {canary.words(worst, usual)}")
    return [Flag(name="canary", detail="; ".join(said))] if said else []


def _of_parallelism(blocks: Sequence[Block], eager_blocks: Sequence[Block]) -> list[Flag]:
    """How many cores the program really used, where that differs between blocks, or from what eager used."""
    own, eager = _cores_used(blocks), _cores_used(eager_blocks)
    if not own:
        return []
    threads, typical = blocks[0].threads, statistics.median(own)
    said = []
    if max(own) - min(own) > PARALLELISM * typical:
        said.append(f"the program used from {min(own):.2f} to {max(own):.2f} cores, depending on the block")
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
