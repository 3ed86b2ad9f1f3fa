"""Selection of the CPUs for a session's workers, on simulated machines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from etui.host import cpus, environment, sensors


class Machine:
    """A simulated machine in a folder: what /sys reports about its CPUs, and the affinity of this process on it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self._monkeypatch = monkeypatch

    def allow(self, allowed: range | list[int]) -> None:
        for module in (environment, cpus):
            self._monkeypatch.setattr(module, "allowed_cpus", lambda: list(allowed))

    def cpu(self, number: int, *, siblings: str, package: int = 0, capacity: int | None = None) -> None:
        folder = self.root / f"sys/devices/system/cpu/cpu{number}"
        (folder / "topology").mkdir(parents=True)
        (folder / "topology/thread_siblings_list").write_text(f"{siblings}\n")
        (folder / "topology/physical_package_id").write_text(f"{package}\n")
        if capacity is not None:
            (folder / "cpu_capacity").write_text(f"{capacity}\n")

    def quota(self, cpu_max: str) -> None:
        (self.root / "proc/self").mkdir(parents=True)
        (self.root / "proc/self/cgroup").write_text("0::/\n")
        (self.root / "sys/fs/cgroup").mkdir(parents=True)
        (self.root / "sys/fs/cgroup/cpu.max").write_text(cpu_max)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_two_threads_get_two_physical_cores_other_than_cpu_0(machine: Machine) -> None:
    for number in range(8):  # siblings are adjacent, as in most virtual machines
        machine.cpu(number, siblings=f"{number - number % 2}-{number - number % 2 + 1}")
    machine.allow(range(8))
    assert cpus.measuring_cpus(2, machine.root) == [2, 4]
    assert cpus.measuring_cpus(3, machine.root) == [2, 4, 6]
    assert cpus.measuring_cpus(4, machine.root) == [0, 2, 4, 6]
    assert cpus.measuring_cpus(8, machine.root) == list(range(8))


def test_siblings_that_are_not_adjacent_are_recognized(machine: Machine) -> None:
    for number in range(8):
        machine.cpu(number, siblings=f"{number % 4},{number % 4 + 4}")
    machine.allow(range(8))
    assert cpus.measuring_cpus(3, machine.root) == [1, 2, 3]
    assert cpus.measuring_cpus(5, machine.root) == [0, 1, 2, 3, 5]


def test_affinity_is_respected_and_a_core_with_one_allowed_sibling_counts(machine: Machine) -> None:
    for number in range(8):
        machine.cpu(number, siblings=f"{number - number % 2}-{number - number % 2 + 1}")
    machine.allow([1, 3, 6, 7])
    assert cpus.measuring_cpus(2, machine.root) == [3, 6]
    assert cpus.measuring_cpus(4, machine.root) == [1, 3, 6, 7]


def test_fast_cores_come_first_and_packages_are_not_mixed(machine: Machine) -> None:
    for number in range(4):
        machine.cpu(number, siblings=str(number), capacity=400)
    for number in range(4, 8):
        machine.cpu(number, siblings=str(number), capacity=1024)
    machine.allow(range(8))
    assert cpus.measuring_cpus(2, machine.root) == [4, 5]
    two = Machine(machine.root / "two", pytest.MonkeyPatch())
    for number in range(8):
        two.cpu(number, siblings=str(number), package=number % 2)
    assert cpus.measuring_cpus(3, two.root) == [2, 4, 6]
    assert cpus.measuring_cpus(4, two.root) == [0, 2, 4, 6]


def test_cpus_are_selected_in_order_without_a_topology(machine: Machine) -> None:
    machine.allow([0, 1, 2, 3])
    assert cpus.measuring_cpus(2, machine.root) == [1, 2]
    assert cpus.cpu_sets(2, machine.root) == [[1, 2], [0, 3]]
    # A larger number of threads, as in a document of another machine, uses all CPUs.
    assert cpus.measuring_cpus(64, machine.root) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("cpu_max", "usable"), [("max 100000", 64), ("200000 100000", 2), ("250000 100000", 2), ("50000 100000", 1)]
)
def test_cgroup_quota_limits_the_default_threads(machine: Machine, cpu_max: str, usable: int) -> None:
    machine.allow(range(64))
    machine.quota(cpu_max)
    assert cpus.usable_cores(machine.root) == usable


def test_load_counts_only_on_the_physical_cores_used_for_measuring(tmp_path: Path) -> None:
    """Of eight CPUs in pairs of siblings, 0 and 1 are used for measuring; 4 is a sibling of 0, and 2 is another
    core."""
    for cpu in range(8):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
    (tmp_path / "proc").mkdir()

    def busy(**ticks: int) -> float | None:
        lines = [f"cpu {sum(ticks.values())} 0 0 0 0 0 0 0"]
        lines += [f"cpu{cpu} {ticks.get(f'cpu{cpu}', 0)} 0 0 0 0 0 0 0" for cpu in range(8)]
        (tmp_path / "proc/stat").write_text("\n".join([*lines, "intr 1"]))
        return sensors.read(tmp_path, [0, 1]).busy_cpu_s

    assert busy(cpu2=1000, cpu6=1000) == 0
    assert busy(cpu0=100) == busy(cpu4=100) == busy(cpu1=50, cpu5=50) == 100 / os.sysconf("SC_CLK_TCK")
    busy(cpu2=700)
    assert sensors.read(tmp_path).busy_cpu_s == 700 / os.sysconf("SC_CLK_TCK")
