"""Read the machine's sensors: CPU time, steal, throttling, pressure, frequency, temperature and thermal throttling.

A ``Reading`` has the kernel's counters at one moment, a ``Span`` the difference of two. None means not readable here.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import msgspec

from etui.host.cgroups import cgroup_folders, throttled_seconds
from etui.host.cpus import competing_cpus

_HZ = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100

SHORTEST_TICKS = 25
"""Shortest span in ticks of the kernel's CPU clock: in a shorter one a single tick would look like foreign load."""

WORKED_SHARE = 0.5
"""A CPU counts as busy from this share of a span: only then is its frequency meaningful."""

_CPU_MONITORS = frozenset({"coretemp", "k10temp", "k8temp", "zenpower", "cpu_thermal", "via_cputemp"})
"""The names of hardware monitors of CPUs."""

_CPU_ZONE = re.compile(r"x86_pkg_temp|cpu|soc", re.IGNORECASE)
"""The types of thermal zones that contain the CPU."""

_LOWEST_LIMIT_C, _HOTTEST_C = 60.0, 150.0
"""Drivers report 0 or absurd values for limits and sensors that are not there."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The counters at one moment. ``wall_s`` is monotonic; the pressures are seconds in which some task waited.
    ``busy_s_of`` and ``mhz_of`` have busy time and frequency of each requested CPU."""

    wall_s: float
    busy_cpu_s: float | None = None
    steal_s: float | None = None
    throttled_ms: float | None = None
    frequency_mhz: float | None = None
    busy_s_of: dict[int, float] = {}
    mhz_of: dict[int, float] = {}
    cpu_pressure_s: float | None = None
    memory_pressure_s: float | None = None
    thermal_throttles: int | None = None


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The difference of two readings; pressures are percentages of its time. Frequencies are those of busy CPUs: their
    mean at the first and second reading, and both for each CPU."""

    wall_s: float
    busy_cores: float | None
    steal_s: float | None
    throttled_ms: float | None
    frequency_mhz: tuple[float, float] | None
    cpu_pressure: float | None
    memory_pressure: float | None
    thermal_throttles: int | None
    mhz_of: dict[int, tuple[float, float]] = {}


class Temperature(msgspec.Struct, frozen=True, kw_only=True):
    """The reading of a CPU temperature sensor, and the temperature at which the hardware protects itself, if known."""

    celsius: float
    limit_celsius: float | None = None


def read(root: Path = Path("/"), cpus: Collection[int] | None = None) -> Reading:
    """Read the counters now; raises nothing. ``root`` contains /proc and /sys. Frequencies are those of ``cpus``, busy
    time and steal those of the same physical cores, or of every CPU if ``cpus`` is empty: load on other cores of a
    large machine does not compete with a measurement."""
    busy, steal, busy_s_of = _cpu_times(root, competing_cpus(cpus, root) if cpus else None)
    mhz_of = frequencies_mhz(root, cpus)
    throttled_s = throttled_seconds(root)
    return Reading(
        wall_s=time.perf_counter(),
        busy_cpu_s=busy,
        steal_s=steal,
        throttled_ms=None if throttled_s is None else throttled_s * 1e3,
        frequency_mhz=_mean(list(mhz_of.values())),
        busy_s_of={cpu: spent for cpu, spent in busy_s_of.items() if cpus is None or cpu in cpus},
        mhz_of=mhz_of,
        cpu_pressure_s=_pressure_s(root, "cpu"),
        memory_pressure_s=_pressure_s(root, "memory"),
        thermal_throttles=thermal_throttles(root),
    )


def between(before: Reading, after: Reading) -> Span:
    """Return the difference of two readings. CPU time and steal are None over a span too short for the kernel's
    ticks."""
    wall = after.wall_s - before.wall_s
    long_enough = wall >= SHORTEST_TICKS / _HZ
    busy = _minus(after.busy_cpu_s, before.busy_cpu_s)
    mhz_of = {cpu: (before.mhz_of[cpu], after.mhz_of[cpu]) for cpu in worked(before, after)}
    frequency = (_mean([first for first, _ in mhz_of.values()]), _mean([last for _, last in mhz_of.values()]))
    throttles = _minus(after.thermal_throttles, before.thermal_throttles)
    return Span(
        wall_s=wall,
        busy_cores=busy / wall if busy is not None and long_enough else None,
        steal_s=_minus(after.steal_s, before.steal_s) if long_enough else None,
        throttled_ms=_minus(after.throttled_ms, before.throttled_ms),
        frequency_mhz=None if frequency[0] is None or frequency[1] is None else (frequency[0], frequency[1]),
        mhz_of=mhz_of,
        cpu_pressure=_percent(_minus(after.cpu_pressure_s, before.cpu_pressure_s), wall),
        memory_pressure=_percent(_minus(after.memory_pressure_s, before.memory_pressure_s), wall),
        thermal_throttles=None if throttles is None else int(throttles),
    )


def worked(before: Reading, after: Reading) -> list[int]:
    """Return the CPUs that were busy between two readings and whose frequency both have; CPUs without readable busy
    time are included, as are all if the span is too short for the kernel's ticks. The frequency of an idle CPU falls
    and is irrelevant to the measurement."""
    wall = after.wall_s - before.wall_s
    cpus = [cpu for cpu in before.mhz_of if cpu in after.mhz_of]
    if wall < SHORTEST_TICKS / _HZ:
        return cpus
    spent_s = {cpu: _minus(after.busy_s_of.get(cpu), before.busy_s_of.get(cpu)) for cpu in cpus}
    return [cpu for cpu, spent in spent_s.items() if spent is None or spent >= WORKED_SHARE * wall]


_SENSORS: dict[str, Callable[[Reading], float | None]] = {
    "foreign CPU": lambda reading: reading.busy_cpu_s,
    "steal": lambda reading: reading.steal_s,
    "CPU quota throttling": lambda reading: reading.throttled_ms,
    "CPU frequency": lambda reading: reading.frequency_mhz,
    "CPU pressure (PSI)": lambda reading: reading.cpu_pressure_s,
    "memory pressure (PSI)": lambda reading: reading.memory_pressure_s,
    "thermal throttling": lambda reading: reading.thermal_throttles,
}


def not_readable(root: Path = Path("/")) -> list[str]:
    """Return the names of the sensors that are not readable on this machine."""
    reading = read(root)
    return [name for name, value_of in _SENSORS.items() if value_of(reading) is None]


def thermal_throttles(root: Path = Path("/")) -> int | None:
    """Return the number of thermal throttling events of all cores since boot."""
    counts = []
    for file in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count"):
        try:
            counts.append(int(file.read_text()))
        except (OSError, ValueError):
            continue
    return sum(counts) if counts else None


def _minus(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def _percent(seconds: float | None, wall_s: float) -> float | None:
    return None if seconds is None or wall_s <= 0 else 100 * seconds / wall_s


def _cpu_times(root: Path, cpus: Collection[int] | None) -> tuple[float | None, float | None, dict[int, float]]:
    """Busy time and steal of ``cpus`` together (of all CPUs if None, or if single ones are not readable), and the busy
    time of each CPU, in seconds since boot."""
    total: tuple[float | None, float | None] = (None, None)
    busy_s_of: dict[int, float] = {}
    steal_s_of: dict[int, float] = {}
    try:
        lines = (root / "proc/stat").read_text().splitlines()
        for line in lines:
            name, *fields = line.split()
            if not name.startswith("cpu"):
                break
            user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) / _HZ for field in fields[:8])
            busy = user + nice + system + irq + softirq
            if name == "cpu":
                total = busy, steal
            else:
                number = int(name.removeprefix("cpu"))
                busy_s_of[number], steal_s_of[number] = busy, steal
    except (OSError, ValueError):
        return None, None, {}
    if cpus and all(cpu in busy_s_of for cpu in cpus):
        total = sum(busy_s_of[cpu] for cpu in cpus), sum(steal_s_of[cpu] for cpu in cpus)
    return *total, busy_s_of


def _pressure_s(root: Path, what: str) -> float | None:
    """Seconds in which some task waited for ``what``, in this cgroup if counted there, else on the machine."""
    files = [folder / f"{what}.pressure" for folder in cgroup_folders(root, what)[:1]]
    total = _some_pressure("total", [*files, root / "proc/pressure" / what])
    return None if total is None else total / 1e6


def _some_pressure(field: str, files: Iterable[Path]) -> float | None:
    """Return a field of the line ``some`` (PSI) of the first of these files that has it."""
    for file in files:
        try:
            match = re.search(rf"^some .*\b{field}=([\d.]+)", file.read_text(), re.MULTILINE)
        except OSError:
            continue
        if match:
            return float(match.group(1))
    return None


def recent_cpu_pressure(root: Path = Path("/")) -> float | None:
    """Return the percentage of the last ten seconds in which some task of the machine waited for a core."""
    return _some_pressure("avg10", [root / "proc/pressure/cpu"])


def hottest_cpu(root: Path = Path("/")) -> Temperature | None:
    """Return the hottest CPU sensor; None if none is readable. Sensors of other components are ignored."""
    found: list[Temperature] = []
    for folder in (root / "sys/class/hwmon").glob("hwmon*"):
        if _text(folder / "name") in _CPU_MONITORS:
            for file in folder.glob("temp*_input"):
                limits = [file.with_name(file.name.replace("input", end)) for end in ("crit", "max")]
                found += _temperature(file, limits)
    for folder in (root / "sys/class/thermal").glob("thermal_zone*") if not found else ():
        if _CPU_ZONE.search(_text(folder / "type")):
            kinds = {file: _text(file) for file in sorted(folder.glob("trip_point_*_type"))}
            limits = [file.with_name(file.name.replace("type", "temp")) for file in kinds if kinds[file] == "critical"]
            found += _temperature(folder / "temp", limits)
    return max(found, key=lambda one: one.celsius, default=None)


def _temperature(file: Path, limits: Sequence[Path]) -> list[Temperature]:
    """Read a sensor and the first of its limits that is plausible; empty if it is not readable or not plausible."""
    celsius = _thousandths(file)
    if celsius is None or not 0 < celsius < _HOTTEST_C:
        return []
    known = [
        limit for limit in map(_thousandths, limits) if limit is not None and _LOWEST_LIMIT_C <= limit < _HOTTEST_C
    ]
    return [Temperature(celsius=celsius, limit_celsius=known[0] if known else None)]


def _thousandths(file: Path) -> float | None:
    try:
        return int(_text(file)) / 1e3
    except ValueError:
        return None


def _text(file: Path) -> str:
    """Return the content of a file; empty if it is not readable."""
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def frequencies_mhz(root: Path = Path("/"), cpus: Collection[int] | None = None) -> dict[int, float]:
    """Return the present frequency of these CPUs, or of every CPU; empty if one of them is not readable."""
    folder = root / "sys/devices/system/cpu"
    if cpus is None:
        cpus = [int(file.parts[-3].removeprefix("cpu")) for file in folder.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")]
    frequencies = {}
    for cpu in sorted(cpus):
        try:
            frequencies[cpu] = int((folder / f"cpu{cpu}/cpufreq/scaling_cur_freq").read_text()) / 1e3
        except (OSError, ValueError):
            return {}
    return frequencies


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
