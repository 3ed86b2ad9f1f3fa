"""Decide which blocks something else disturbed while they were timed, from the counters that each block carries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from etui.results import Block

FOREIGN_CORES = 0.10
"""Cores that other programs kept busy during a block, from which on the block counts as disturbed."""

CPU_PRESSURE_PERCENT = 20.0
"""Share of the block, in percent, during which some task waited for a core (PSI ``some``)."""

PRESSING_CORES = FOREIGN_CORES / 2
"""If a process has more busy threads than cores, it waits for itself, on a quiet machine as well: pressure then comes
from others only if they used more than this many cores."""

STEAL_SHARE = 0.05
"""Core-seconds that the hypervisor gave to others, per second of the block. The kernel counts steal in ticks of some
10 ms, so that much less cannot be told from rounding in a block of a second."""

FEW = 1 / 3
"""From this share of disturbed blocks on, a run is not compared with runs of other sessions."""

MOST = 1 / 2
"""From this share of disturbed blocks on (on either side), a ratio within a session is not reliable either."""


def causes(block: Block) -> list[str]:
    """The names of what disturbed a block, as flags use them; empty for a quiet block. What was not readable on the
    machine is not counted."""
    found = of_load(block.foreign_cpu_cores, None if _presses_on_itself(block) else block.cpu_pressure)
    if block.steal_s and block.wall_s and block.steal_s / block.wall_s > STEAL_SHARE:
        found.append("steal")
    if (block.throttled_ms or 0.0) > 0:
        found.append("throttled")
    if block.thermal_throttles:
        found.append("thermal")
    return found


def _presses_on_itself(block: Block) -> bool:
    cores = len(block.cpus) if block.cpus else block.threads
    if block.busy_threads is None or block.busy_threads <= cores or block.foreign_cpu_cores is None:
        return False
    return block.foreign_cpu_cores <= PRESSING_CORES


def of_load(foreign_cpu_cores: float | None, cpu_pressure: float | None) -> list[str]:
    """The names of what other programs did to the cores over some time, by the cores that they kept busy and by the
    percentage of that time in which some task waited for a core."""
    found = []
    if (foreign_cpu_cores or 0.0) > FOREIGN_CORES:
        found.append("foreign load")
    if (cpu_pressure or 0.0) > CPU_PRESSURE_PERCENT:
        found.append("CPU pressure")
    return found


def disturbed_share(blocks: Sequence[Block]) -> float:
    """The share of blocks that something disturbed, 0 to 1; 0 without blocks."""
    return sum(bool(causes(block)) for block in blocks) / len(blocks) if blocks else 0.0


def session_share(blocks: Sequence[Block], eager_blocks: Sequence[Block]) -> float:
    """The share of a run's blocks that something disturbed, or of its session's eager blocks if that is larger."""
    return max(disturbed_share(blocks), disturbed_share(eager_blocks))


def most_common(blocks: Sequence[Block]) -> str:
    """The causes found in these blocks, the most frequent first, such as ``foreign load, steal``."""
    return ", ".join(name for name, _ in Counter(name for block in blocks for name in causes(block)).most_common())


def unreliable_because(first: Sequence[Block], second: Sequence[Block]) -> str:
    """Why a ratio of two sides measured together is not reliable: most blocks of a side were disturbed. Empty for
    none."""
    found = []
    for side in (first, second):
        if disturbed_share(side) > MOST:
            disturbed = sum(bool(causes(block)) for block in side)
            name = side[0].variant
            found.append(f"{disturbed} of {len(side)} blocks of {name} were disturbed ({most_common(side)})")
    return "; ".join(found)
