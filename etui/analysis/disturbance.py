"""Decide from each block's counters whether other activity on the machine disturbed it while it was timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from etui.results import Block

FOREIGN_CORES = 0.10
"""A block counts as disturbed if other programs kept more than this number of cores busy during it."""

CPU_PRESSURE_PERCENT = 20.0
"""A block counts as disturbed if some task waited for a core (PSI ``some``) for more than this percentage of it."""

PRESSING_CORES = FOREIGN_CORES / 2
"""A process with more busy threads than cores waits for itself even on an idle machine; its CPU pressure is attributed
to other programs only if they used more than this number of cores."""

STEAL_SHARE = 0.05
"""Core-seconds that the hypervisor gave to other guests, per second of the block. The kernel counts steal in ticks of
about 10 ms, so much smaller shares cannot be distinguished from rounding in a block of one second."""

FEW = 1 / 3
"""A run with at least this share of disturbed blocks is not compared with runs of other sessions."""

MOST = 1 / 2
"""If a side has more than this share of disturbed blocks, a ratio within a session is not reliable either."""


def causes(block: Block) -> list[str]:
    """Return the names of the disturbances of a block, as in warning flags; empty for an undisturbed block. Counters
    that the machine does not provide are ignored."""
    names = of_load(block.foreign_cpu_cores, None if _waits_for_itself(block) else block.cpu_pressure)
    if block.steal_s and block.wall_s and block.steal_s / block.wall_s > STEAL_SHARE:
        names.append("steal")
    if (block.throttled_ms or 0.0) > 0:
        names.append("throttled")
    if block.thermal_throttles:
        names.append("thermal")
    return names


def _waits_for_itself(block: Block) -> bool:
    cores = len(block.cpus) if block.cpus else block.threads
    if block.busy_threads is None or block.busy_threads <= cores or block.foreign_cpu_cores is None:
        return False
    return block.foreign_cpu_cores <= PRESSING_CORES


def of_load(foreign_cpu_cores: float | None, cpu_pressure: float | None) -> list[str]:
    """Return the names of the disturbances by CPU load in a period, from the number of cores that other programs kept
    busy and the percentage of the period in which some task waited for a core."""
    names = []
    if (foreign_cpu_cores or 0.0) > FOREIGN_CORES:
        names.append("foreign load")
    if (cpu_pressure or 0.0) > CPU_PRESSURE_PERCENT:
        names.append("CPU pressure")
    return names


def disturbed_share(blocks: Sequence[Block]) -> float:
    """Return the share of disturbed blocks, 0 to 1; 0 without blocks."""
    return sum(bool(causes(block)) for block in blocks) / len(blocks) if blocks else 0.0


def session_share(blocks: Sequence[Block], eager_blocks: Sequence[Block]) -> float:
    """Return the share of disturbed blocks of a run, or of its session's eager blocks if that is larger."""
    return max(disturbed_share(blocks), disturbed_share(eager_blocks))


def most_common(blocks: Sequence[Block]) -> str:
    """Return the causes in these blocks as text, the most frequent first, such as ``foreign load, steal``."""
    return ", ".join(name for name, _ in Counter(name for block in blocks for name in causes(block)).most_common())


def unreliable_because(first: Sequence[Block], second: Sequence[Block]) -> str:
    """Return why a ratio of two sides measured together is not reliable (most blocks of a side were disturbed); empty
    if it is reliable."""
    reasons = []
    for side in (first, second):
        if disturbed_share(side) > MOST:
            disturbed = sum(bool(causes(block)) for block in side)
            name = side[0].variant
            reasons.append(f"{disturbed} of {len(side)} blocks of {name} were disturbed ({most_common(side)})")
    return "; ".join(reasons)
