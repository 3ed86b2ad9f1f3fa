"""Host counters during a block: no value is reported that the kernel's counters cannot support."""

from __future__ import annotations

from etui.engine.measure.canary import canary_ms
from etui.engine.measure.host_counters import WorkerReading, changes_between
from etui.host.sensors import Reading as HostReading

BEFORE = WorkerReading(
    host=HostReading(wall_s=10.0, busy_cpu_s=100.0, steal_s=5.0, throttled_ms=0.0),
    own_cpu_s=1.0,
    major_faults=3,
    minor_faults=100,
)


def _after(wall_s: float, own_s: float, busy_s: float, steal_s: float) -> WorkerReading:
    return WorkerReading(
        host=HostReading(wall_s=10.0 + wall_s, busy_cpu_s=100.0 + busy_s, steal_s=5.0 + steal_s, throttled_ms=0.0),
        own_cpu_s=1.0 + own_s,
        major_faults=4,
        minor_faults=150,
    )


def test_foreign_load_excludes_own_cpu_time() -> None:
    changes = changes_between(BEFORE, _after(1.0, 0.9, 1.4, 0.1))
    assert changes.foreign_cpu_cores is not None and abs(changes.foreign_cpu_cores - 0.5) < 1e-9
    assert changes.host.steal_s is not None and abs(changes.host.steal_s - 0.1) < 1e-9
    assert (changes.major_faults, changes.minor_faults) == (1, 50)


def test_one_clock_tick_in_a_short_span_is_not_a_foreign_load() -> None:
    changes = changes_between(BEFORE, _after(0.003, 0.003, 0.01, 0.01))
    assert changes.foreign_cpu_cores is None and changes.host.steal_s is None
    assert changes.cpu_s > 0


def test_canary_runs_on_the_requested_number_of_threads() -> None:
    assert 0 < canary_ms(1, None) < 1_000
    # A target that is not reached is tried a few times, then the measurement is accepted.
    assert 0 < canary_ms(2, 1e-6) < 1_000
