"""The current state of a machine, read from a simulated /proc and /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.host import sensors
from etui.host.current_state import HostWatch


def put(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def test_machine_without_sensors_has_no_facts(tmp_path: Path) -> None:
    facts = HostWatch(tmp_path).read()
    assert facts.cpu_pressure is None and facts.temperature_c is None and facts.governor is None
    assert not facts.heat_throttled and not facts.quota_throttled


def test_pressure_is_that_of_the_machine(tmp_path: Path) -> None:
    put(
        tmp_path, {"proc/pressure/cpu": "some avg10=28.20 avg60=54.38 avg300=60.86 total=14003014569\nfull avg10=1.0\n"}
    )
    assert HostWatch(tmp_path).read().cpu_pressure == 28


def test_hottest_cpu_sensor_determines_the_temperature(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "sys/class/hwmon/hwmon0/name": "nvme\n",
            "sys/class/hwmon/hwmon0/temp1_input": "99000\n",
            "sys/class/hwmon/hwmon1/name": "coretemp\n",
            "sys/class/hwmon/hwmon1/temp1_input": "51000\n",
            "sys/class/hwmon/hwmon1/temp1_crit": "105000\n",
            "sys/class/hwmon/hwmon1/temp2_input": "63000\n",
            "sys/class/hwmon/hwmon1/temp2_crit": "0\n",
            "sys/class/hwmon/hwmon1/temp2_max": "95000\n",
            "sys/class/hwmon/hwmon1/temp3_input": "-128000\n",
        },
    )
    assert sensors.hottest_cpu(tmp_path) == sensors.Temperature(celsius=63.0, limit_celsius=95.0)


def test_thermal_zones_are_used_without_a_hardware_monitor(tmp_path: Path) -> None:
    zone = "sys/class/thermal/thermal_zone0"
    put(
        tmp_path,
        {
            f"{zone}/type": "cpu-thermal\n",
            f"{zone}/temp": "48500\n",
            f"{zone}/trip_point_0_type": "passive\n",
            f"{zone}/trip_point_0_temp": "80000\n",
            f"{zone}/trip_point_1_type": "critical\n",
            f"{zone}/trip_point_1_temp": "90000\n",
            "sys/class/thermal/thermal_zone1/type": "iwlwifi_1\n",
            "sys/class/thermal/thermal_zone1/temp": "70000\n",
        },
    )
    assert sensors.hottest_cpu(tmp_path) == sensors.Temperature(celsius=48.5, limit_celsius=90.0)


@pytest.mark.parametrize("content", ["", "warm\n", "0\n", "999000\n"])
def test_implausible_sensor_value_is_not_readable(tmp_path: Path, content: str) -> None:
    put(tmp_path, {"sys/class/hwmon/hwmon0/name": "k10temp\n", "sys/class/hwmon/hwmon0/temp1_input": content})
    assert sensors.hottest_cpu(tmp_path) is None


def test_throttling_is_reported_once(tmp_path: Path) -> None:
    count = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    put(tmp_path, {count: "4\n"})
    watch = HostWatch(tmp_path)
    assert not watch.read().heat_throttled
    put(tmp_path, {count: "5\n"})
    assert watch.read().heat_throttled
    assert not watch.read().heat_throttled
