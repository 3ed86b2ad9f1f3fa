"""The header's facts about the machine: coloured and first when they matter, absent when they are not readable."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from etui.host.current_state import HostFacts
from etui.tui.glyphs import ASCII, UNICODE
from etui.tui.machine_facts import machine_facts

CALM = HostFacts(host="bench-1", cores=4, load=0.5, governor="performance", cpu_pressure=3, temperature_c=50)


def severities(**changes: Any) -> dict[str, str]:
    return {fact.text: fact.severity for fact in machine_facts(msgspec.structs.replace(CALM, **changes), UNICODE)}


def test_a_calm_machine_has_no_colour_and_no_symbol() -> None:
    assert set(severities().values()) == {"faint"}
    assert not any("!" in text for text in severities())


def test_what_is_not_readable_is_absent() -> None:
    unreadable = {"load": None, "governor": None, "cpu_pressure": None, "temperature_c": None}
    assert list(severities(**unreadable)) == ["bench-1", "4 cores"]


@pytest.mark.parametrize(
    ("changes", "text", "severity"),
    [
        ({"load": 5.5}, "! load 5.50 of 4 cores", "warn"),
        ({"load": 9.0}, "! load 9.00 of 4 cores", "bad"),
        ({"cpu_pressure": 21}, "! pressure 21 %", "warn"),
        ({"cpu_pressure": 80}, "! pressure 80 %", "bad"),
        ({"temperature_c": 86}, "! 86°C", "warn"),
        ({"temperature_c": 86, "temperature_limit_c": 110.0}, "86°C", "faint"),
        ({"temperature_c": 96}, "! 96°C", "bad"),
        ({"heat_throttled": True}, "! throttled by heat", "bad"),
        ({"quota_throttled": True}, "! throttled by CPU quota", "bad"),
        ({"governor": "powersave"}, "! governor powersave", "warn"),
    ],
)
def test_a_threshold_has_its_colour(changes: dict[str, Any], text: str, severity: str) -> None:
    assert severities(**changes)[text] == severity


def test_the_most_severe_facts_come_first_after_the_name() -> None:
    facts = severities(load=5.5, cpu_pressure=80, governor="powersave")
    assert list(facts.values())[:4] == ["faint", "bad", "warn", "warn"]
    assert next(iter(facts)) == "bench-1"


def test_ascii_has_ascii_only() -> None:
    assert all(fact.text.isascii() for fact in machine_facts(CALM, ASCII))
