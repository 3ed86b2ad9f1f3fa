"""CPU frequencies during a block, read from outside the timed process, on a simulated /proc and /sys."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from etui.host import sensors
from etui.results import Block
from etui.runner.frequency_watch import Clocks

HZ = os.sysconf("SC_CLK_TCK")
START = datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)
CPUS = 64


class Machine:
    """A simulated machine of 64 CPUs, some of which are busy; its clock is advanced by the test."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.wall_s = 0.0
        self._busy_s = [0.0] * CPUS
        monkeypatch.setattr("etui.host.sensors.time.perf_counter", lambda: self.wall_s)

    def advance(self, seconds: float, mhz: dict[int, float], idle_mhz: float = 800.0) -> None:
        """Advance the clock by a time in which the CPUs of ``mhz`` were busy, and set their frequencies at its end."""
        self.wall_s += seconds
        lines = []
        for cpu in range(CPUS):
            self._busy_s[cpu] += seconds if cpu in mhz else 0.0
            lines.append(f"cpu{cpu} {round(self._busy_s[cpu] * HZ)} 0 0 0 0 0 0 0 0 0")
            folder = self.root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "scaling_cur_freq").write_text(f"{round(1e3 * mhz.get(cpu, idle_mhz))}\n")
        (self.root / "proc").mkdir(exist_ok=True)
        total = round(sum(self._busy_s) * HZ)
        (self.root / "proc/stat").write_text("\n".join([f"cpu {total} 0 0 0 0 0 0 0 0 0", *lines, "intr 1 2 3"]))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path, monkeypatch)
    machine.advance(1.0, {})
    return machine


def block() -> Block:
    return Block(
        index=0, position=0, variant="eager", started_at="", samples_ms=[1.0], threads=2, wall_s=2.0,
        first_sample_at=START.isoformat().replace("+00:00", "Z"),
    )  # fmt: skip


def test_slowdown_of_two_cores_during_a_block_is_detected(machine: Machine) -> None:
    clocks, measured = Clocks([4, 5], machine.root), block()
    for at_s, mhz in ((-0.4, 1000.0), (0.0, 3500.0), (0.4, 3500.0), (0.8, 2000.0), (1.2, 3500.0), (2.4, 900.0)):
        machine.advance(0.4, {4: mhz, 5: 3500.0})
        clocks.read(START.timestamp() + at_s)
    clocks.add_to(measured)
    assert measured.frequency_range_mhz == {"4": (2000.0, 3500.0), "5": (3500.0, 3500.0)}


def test_idle_core_is_not_a_slowdown(machine: Machine) -> None:
    clocks, measured = Clocks([4, 5], machine.root), block()
    for at_s, idle_mhz in ((0.0, 3500.0), (0.4, 800.0), (0.8, 3000.0)):
        machine.advance(0.4, {4: 3500.0}, idle_mhz)
        clocks.read(START.timestamp() + at_s)
    clocks.add_to(measured)
    assert measured.frequency_range_mhz == {"4": (3500.0, 3500.0)}


def test_frequencies_read_by_the_worker_are_kept(machine: Machine) -> None:
    clocks, measured = Clocks([4], machine.root), block()
    measured.frequency_range_mhz = {"4": (3400.0, 3600.0), "9": (1000.0, 1000.0)}
    for at_s in (0.0, 0.4):
        machine.advance(0.4, {4: 3300.0})
        clocks.read(START.timestamp() + at_s)
    clocks.add_to(measured)
    assert measured.frequency_range_mhz == {"4": (3300.0, 3600.0), "9": (1000.0, 1000.0)}


def test_only_busy_cpus_count_between_two_readings(machine: Machine) -> None:
    before = sensors.read(machine.root)
    machine.advance(1.0, {4: 3500.0, 5: 3400.0})
    after = sensors.read(machine.root)
    machine.advance(1.0, {4: 2000.0, 5: 2100.0}, idle_mhz=3500.0)
    later = sensors.read(machine.root)
    span = sensors.between(after, later)
    assert span.frequency_mhz == (3450.0, 2050.0)
    assert span.mhz_of == {4: (3500.0, 2000.0), 5: (3400.0, 2100.0)}
    assert sensors.worked(before, after) == [4, 5]
    assert sensors.read(machine.root, [4]).frequency_mhz == 2000.0
