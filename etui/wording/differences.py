"""Conditions that differ between two runs of one configuration: machine, software, weights, threads, preset."""

from __future__ import annotations

import msgspec

from etui import text
from etui.results import Environment, RunDocument
from etui.wording import run_sections

_SAME = frozenset({"model", "precision", "delegate"})
"""What runs of one configuration have in common."""


PROGRAM_HASH = "program's hash"
"""The condition that a change of almost any other one changes."""


class Difference(msgspec.Struct, frozen=True):
    """One condition whose value changed."""

    name: str
    before: str
    now: str


def differences(document: RunDocument, previous: RunDocument) -> list[Difference]:
    """Return the conditions in which ``document`` differs from ``previous``, the most important first."""
    before, now = _conditions(previous), _conditions(document)
    for name, (old, new) in _settings(previous.environment, document.environment).items():
        before[name], now[name] = old, new
    names = [*now, *(name for name in before if name not in now)]
    return [
        Difference(name, before.get(name, text.MISSING), now.get(name, text.MISSING))
        for name in names
        if before.get(name, text.MISSING) != now.get(name, text.MISSING)
    ]


def _conditions(document: RunDocument) -> dict[str, str]:
    weights, artifact = document.weights, document.artifact
    conditions = {
        "threads": text.MISSING if document.threads is None else str(document.threads),
        "preset": document.preset,
        "weights' hash": ((weights and weights.sha256) or text.MISSING)[:12],
        PROGRAM_HASH: artifact.sha256[:12] if artifact else text.MISSING,
    }
    for make in (run_sections.configuration, run_sections.machine, run_sections.software):
        conditions |= {entry.label: entry.value for entry in make(document).entries if entry.label not in _SAME}
    return {name: text.plain(value) for name, value in conditions.items()}


def _settings(before: Environment | None, now: Environment | None) -> dict[str, tuple[str, str]]:
    """Return the settings of the measuring processes, as (before, now), that both sides recorded."""
    facts: dict[str, tuple[str, str]] = {}
    if before is None or now is None:
        return facts
    if before.nice is not None and now.nice is not None:
        facts["nice level"] = str(before.nice), str(now.nice)
    if before.affinity is not None and now.affinity is not None:
        facts["CPU affinity"] = text.ranges(before.affinity), text.ranges(now.affinity)
    if before.variables is not None and now.variables is not None:
        for name in sorted(before.variables.keys() | now.variables.keys()):
            values = (text.plain(variables.get(name, text.MISSING)) for variables in (before.variables, now.variables))
            facts[text.plain(name)] = next(values), next(values)
    return facts
