"""Environment facts and doctor checks on simulated machines: what is readable is read, what is not is None and never
"ok"."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from etui import doctor, paths
from etui.doctor import Finding, software
from etui.host import cgroups, environment, sensors

CPUINFO = "processor\t: 0\nmodel name\t: A CPU @ 2.0GHz\nflags\t\t: fpu sse4_2 avx2 avx512_bf16 hypervisor ht\n"


def put(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def finding(findings: list[Finding], name: str) -> Finding:
    return next(one for one in findings if one.name == name)


@pytest.fixture
def core() -> int:
    return min(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ETUI_BOX_LOCK", str(tmp_path / "box.lock"))


def test_machine_without_readable_facts(tmp_path: Path) -> None:
    facts = environment.read_environment(tmp_path)
    assert (facts.memory_bytes, facts.governor, facts.turbo, facts.virtualized, facts.cgroup_cpus) == (None,) * 5
    assert facts.cores >= 1
    assert facts.versions["etui"]
    findings = doctor.examine(tmp_path / "etui.db", tmp_path)
    for name in ("frequency governor", "turbo", "heat", "virtual machine", "memory", "CPU quota"):
        assert finding(findings, name).status == "unknown", name


def test_machine_with_problems(tmp_path: Path, core: int) -> None:
    put(
        tmp_path,
        {
            "proc/cpuinfo": CPUINFO,
            "proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable: 500000 kB\n",
            "proc/stat": "cpu 10 0 10 70 0 0 0 10 0 0\n",
            "proc/self/cgroup": "0::/box/run\n",
            "sys/fs/cgroup/box/run/cpu.max": "max 100000",
            "sys/fs/cgroup/box/cpu.max": "50000 100000",
            "sys/fs/cgroup/box/cpu.stat": "usage_usec 5\nthrottled_usec 2500000\n",
            "sys/fs/cgroup/box/memory.max": "4000000000",
            f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor": "powersave\n",
            f"sys/devices/system/cpu/cpu{core}/thermal_throttle/core_throttle_count": "3\n",
            "sys/devices/system/cpu/intel_pstate/no_turbo": "0\n",
        },
    )
    facts = environment.read_environment(tmp_path)
    assert (facts.cpu, facts.cpu_flags) == ("A CPU @ 2.0GHz", ["avx2", "avx512_bf16", "sse4_2"])
    assert (facts.memory_bytes, facts.cgroup_cpus) == (4_000_000_000, 0.5)
    assert (facts.governor, facts.turbo, facts.virtualized) == ("powersave", True, True)
    findings = doctor.examine(tmp_path / "etui.db", tmp_path)
    for name, seen in (
        ("frequency governor", "powersave"),
        ("turbo", "on"),
        ("heat", "3 times"),
        ("virtual machine", "10.0 %"),
        ("CPU quota", "2.50 s"),
    ):
        assert finding(findings, name).status == "warn", name
        assert seen in finding(findings, name).seen
        assert finding(findings, name).advice
    assert finding(findings, "memory").status == "bad"


def test_machine_without_problems(tmp_path: Path, core: int) -> None:
    put(
        tmp_path,
        {
            "proc/cpuinfo": CPUINFO.replace(" hypervisor", ""),
            "proc/meminfo": "MemTotal: 32000000 kB\nMemAvailable: 30000000 kB\n",
            "proc/self/cgroup": "4:cpu,cpuacct:/\n0::/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor": "performance\n",
            f"sys/devices/system/cpu/cpu{core}/thermal_throttle/core_throttle_count": "0\n",
            "sys/devices/system/cpu/cpufreq/boost": "0\n",
        },
    )
    findings = doctor.examine(tmp_path / "etui.db", tmp_path)
    for name in ("frequency governor", "turbo", "heat", "virtual machine", "memory", "CPU quota"):
        assert finding(findings, name).status == "ok", name


def test_quota_of_cgroup_v1_is_read(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert cgroups.cgroup_cpus(tmp_path) == 1.5


def test_holder_of_the_machine_lock_is_named_without_touching_the_lock(tmp_path: Path) -> None:
    lock = paths.machine_lock_path()
    lock.write_text("")
    put(tmp_path, {"proc/locks": f"1: FLOCK  ADVISORY  WRITE 4711 fe:00:{lock.stat().st_ino} 0 EOF\n"})
    result = finding(doctor.examine(tmp_path / "etui.db", tmp_path), "machine lock")
    assert result.status == "warn" and "pid 4711" in result.seen
    put(tmp_path, {"proc/locks": f"1: -> FLOCK  ADVISORY  WRITE 4711 fe:00:{lock.stat().st_ino} 0 EOF\n"})
    assert finding(doctor.examine(tmp_path / "etui.db", tmp_path), "machine lock").status == "ok"


class OtherSqlite(sqlite3.Connection):
    """SQLite without the module or tokenizer ``missing``."""

    missing = ""

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        """Execute a statement that requests a name unknown to SQLite."""
        return super().execute(sql.replace(self.missing, "unknown"), *values)


@pytest.mark.parametrize(("missing", "named"), [("fts5", "FTS5"), ("trigram", "trigram")])
def test_sqlite_without_full_text_search_is_bad(missing: str, named: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(":memory:", factory=OtherSqlite)) as connection:
        connection.missing = missing
        result = software.sqlite(connection)
    assert result.status == "bad" and named in result.seen and sqlite3.sqlite_version in result.seen
    assert "FTS5" in result.advice
    assert finding(doctor.examine(tmp_path / "etui.db", tmp_path), "SQLite").status == "ok"


def test_hanging_hub_times_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_HUB_OFFLINE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    never = threading.Event()

    def hang(*_: object) -> None:
        never.wait(10)
        raise OSError

    monkeypatch.setattr(software, "HUB_TIMEOUT_S", 0.05)
    monkeypatch.setattr(socket, "create_connection", hang)
    result = finding(doctor.examine(tmp_path / "etui.db", tmp_path), "weights hub")
    never.set()
    assert (result.status, "does not answer" in result.seen) == ("warn", True)


def test_unreadable_sensors_are_named(tmp_path: Path) -> None:
    names = ["foreign CPU", "steal", "CPU quota throttling", "CPU frequency", "CPU pressure (PSI)"]
    names += ["memory pressure (PSI)", "thermal throttling"]
    assert sensors.not_readable(tmp_path) == names == environment.read_environment(tmp_path).not_readable
    assert finding(doctor.examine(tmp_path / "etui.db", tmp_path), "watching").seen.endswith(", ".join(names))
    put(
        tmp_path,
        {
            "proc/stat": "cpu 10 0 10 70 0 0 0 10 0 0\n",
            "proc/self/cgroup": "0::/box\n",
            "sys/fs/cgroup/box/cpu.stat": "throttled_usec 1500\n",
            "sys/fs/cgroup/box/cpu.pressure": "some avg10=0.00 total=2000000\nfull avg10=0.00 total=0\n",
            "proc/pressure/cpu": "some avg10=0.00 total=9000000\n",
            "proc/pressure/memory": "some avg10=0.00 total=3000000\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2000000\n",
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "3000000\n",
            "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "4\n",
        },
    )
    assert sensors.not_readable(tmp_path) == []
    before = sensors.read(tmp_path)
    assert (before.throttled_ms, before.cpu_pressure_s, before.memory_pressure_s) == (1.5, 2.0, 3.0)
    assert (before.frequency_mhz, before.thermal_throttles) == (2500.0, 4)
    after = msgspec.structs.replace(before, wall_s=before.wall_s + 2, cpu_pressure_s=2.5, thermal_throttles=6)
    span = sensors.between(before, after)
    assert (span.cpu_pressure, span.memory_pressure, span.thermal_throttles) == (25.0, 0.0, 2)
