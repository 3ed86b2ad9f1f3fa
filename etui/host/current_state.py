"""What the machine is doing now, for display: load, CPU pressure, temperature, throttling."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import msgspec

from etui.host import sensors
from etui.host.cgroups import throttled_seconds
from etui.host.cpus import usable_cores
from etui.host.environment import governor


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The machine: host name, cores this process may use, load average over one minute, CPU frequency governor, percent
    of the last ten seconds in which some task waited for a core, and the hottest CPU sensor with its limit in °C.

    ``heat_throttled`` and ``quota_throttled``: since the previous reading, cores were throttled because of their
    temperature, or this cgroup by its CPU quota. None means not readable.
    """

    host: str
    cores: int
    load: float | None
    governor: str | None
    cpu_pressure: float | None = None
    temperature_c: float | None = None
    temperature_limit_c: float | None = None
    heat_throttled: bool = False
    quota_throttled: bool = False


class HostWatch:
    """Reads the facts repeatedly and notices throttling between two readings. ``root`` contains /proc and /sys."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._throttles = sensors.thermal_throttles(root)
        self._throttled_s = throttled_seconds(root)

    def read(self) -> HostFacts:
        """Read the present facts; raises nothing."""
        throttles, throttled_s = sensors.thermal_throttles(self._root), throttled_seconds(self._root)
        before, self._throttles = self._throttles, throttles
        before_s, self._throttled_s = self._throttled_s, throttled_s
        pressure, hottest = sensors.recent_cpu_pressure(self._root), sensors.hottest_cpu(self._root)
        return HostFacts(
            host=socket.gethostname(),
            cores=usable_cores(),
            load=_load(),
            governor=governor(self._root),
            # Rounded, because each change redraws the header, even while a run is measured.
            cpu_pressure=None if pressure is None else round(pressure),
            temperature_c=None if hottest is None else round(hottest.celsius),
            temperature_limit_c=None if hottest is None else hottest.limit_celsius,
            heat_throttled=before is not None and throttles is not None and throttles > before,
            quota_throttled=before_s is not None and throttled_s is not None and throttled_s > before_s,
        )


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None
