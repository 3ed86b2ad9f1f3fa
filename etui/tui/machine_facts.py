"""The facts about the machine in the header, each with the tone of its threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from etui.analysis.disturbance import CPU_PRESSURE_PERCENT
from etui.text import counted, plain
from etui.tui.glyphs import Glyphs

if TYPE_CHECKING:
    from etui.host.current_state import HostFacts

Severity = Literal["faint", "warn", "bad"]

MOST_LOAD_PER_CORE = 1.25
"""The load counts tasks that run or wait: a measurement with one thread per core makes about one per core by itself."""

OVERLOAD_PER_CORE = 2.0
"""From here on, tasks wait as long as they run."""

HIGH_PRESSURE_PERCENT = 50.0
"""Above this, some task waits most of the time; from ``CPU_PRESSURE_PERCENT`` on, a block would count as disturbed."""

USUAL_LIMIT_C = 100.0
"""The temperature at which most CPUs are throttled, for sensors that do not state their limit."""

WARM_MARGIN_C, HOT_MARGIN_C = 15.0, 5.0
"""Distances to the limit: turbo frequencies fall well below it."""


class MachineFact(msgspec.Struct, frozen=True):
    """A fact as text, with its severity."""

    text: str
    severity: Severity = "faint"


def machine_facts(host: HostFacts, glyphs: Glyphs) -> list[MachineFact]:
    """Return the name of the machine, then its readable facts, those that need attention first and with a symbol."""
    facts = [_load(host)]
    if host.cpu_pressure is not None:
        facts.append(MachineFact(f"pressure {host.cpu_pressure:.0f} %", _of_pressure(host.cpu_pressure)))
    if host.temperature_c is not None:
        facts.append(MachineFact(f"{host.temperature_c:.0f}{glyphs.degree}C", _of_temperature(host)))
    if host.heat_throttled:
        facts.append(MachineFact("throttled by heat", "bad"))
    if host.quota_throttled:
        facts.append(MachineFact("throttled by CPU quota", "bad"))
    if host.governor:
        severity: Severity = "faint" if host.governor == "performance" else "warn"
        facts.append(MachineFact(plain(f"governor {host.governor}"), severity))
    # What needs attention must not be what is omitted in a narrow terminal.
    facts.sort(key=lambda fact: ("bad", "warn", "faint").index(fact.severity))
    marked = [
        fact if fact.severity == "faint" else MachineFact(f"{glyphs.flagged} {fact.text}", fact.severity)
        for fact in facts
    ]
    return [MachineFact(plain(host.host)), *marked]


def _load(host: HostFacts) -> MachineFact:
    if host.load is None:
        return MachineFact(counted(host.cores, "core"))
    per_core = host.load / max(1, host.cores)
    severity: Severity = "bad" if per_core > OVERLOAD_PER_CORE else "warn" if per_core > MOST_LOAD_PER_CORE else "faint"
    return MachineFact(f"load {host.load:.2f} of {counted(host.cores, 'core')}", severity)


def _of_pressure(percent: float) -> Severity:
    return "bad" if percent > HIGH_PRESSURE_PERCENT else "warn" if percent > CPU_PRESSURE_PERCENT else "faint"


def _of_temperature(host: HostFacts) -> Severity:
    margin = (host.temperature_limit_c or USUAL_LIMIT_C) - (host.temperature_c or 0.0)
    return "bad" if margin <= HOT_MARGIN_C else "warn" if margin <= WARM_MARGIN_C else "faint"
