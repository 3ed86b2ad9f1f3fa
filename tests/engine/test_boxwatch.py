"""What is read of the box round a block: no more is said than the kernel's counters can tell."""

from __future__ import annotations

from etui.engine.boxwatch import Reading, between

BEFORE = Reading(wall_s=10.0, own_cpu_s=1.0, busy_cpu_s=100.0, steal_s=5.0, throttled_ms=0.0, frequency_mhz=None)


def _after(wall_s: float, own_s: float, busy_s: float, steal_s: float) -> Reading:
    return BEFORE._replace(
        wall_s=BEFORE.wall_s + wall_s, own_cpu_s=1.0 + own_s, busy_cpu_s=100.0 + busy_s, steal_s=5.0 + steal_s
    )


def test_what_others_used_is_what_was_used_beside_oneself() -> None:
    watched = between(BEFORE, _after(1.0, 0.9, 1.4, 0.1))
    assert watched.foreign_cpu_cores is not None and abs(watched.foreign_cpu_cores - 0.5) < 1e-9
    assert watched.steal_s is not None and abs(watched.steal_s - 0.1) < 1e-9


def test_a_tick_in_a_short_span_is_not_taken_for_another_process() -> None:
    watched = between(BEFORE, _after(0.003, 0.003, 0.01, 0.01))
    assert watched.foreign_cpu_cores is None and watched.steal_s is None
    assert watched.cpu_s > 0
