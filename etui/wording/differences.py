"""Conditions that differ between two runs of one configuration: machine, software, weights, threads, preset."""

from __future__ import annotations

import msgspec

from etui import text
from etui.analysis.keep_fp32 import kept_fp32
from etui.results import Environment, RunDocument


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
    weights, inputs = document.weights, document.inputs
    facts = {
        "threads": _or_missing(document.threads),
        "preset": document.preset,
        "weights": f"{weights.kind}, {weights.detail}" if weights else text.MISSING,
        "weights' hash": (weights.sha256 or text.MISSING)[:12] if weights else text.MISSING,
        "inputs": inputs.detail if inputs else text.MISSING,
        "program's hash": document.artifact.sha256[:12] if document.artifact else text.MISSING,
        "arithmetic": document.arithmetic or text.MISSING,
        "kept in FP32": ", ".join(kept_fp32(document)) or text.MISSING,
        "etui": document.etui_version,
    }
    if document.environment is not None:
        facts |= _environment(document.environment)
    return {name: text.plain(value) for name, value in facts.items()}


def _environment(environment: Environment) -> dict[str, str]:
    turbo = {None: text.MISSING, True: "on", False: "off"}[environment.turbo]
    return {
        "box": environment.box,
        "CPU": environment.cpu,
        "cores": str(environment.cores),
        "CPU quota": _or_missing(environment.cgroup_cpus),
        "memory": text.size(environment.memory_bytes),
        "governor": environment.governor or text.MISSING,
        "turbo": turbo,
        "system": environment.os,
        "Python": environment.python,
        **{name: version for name, version in sorted(environment.versions.items()) if name != "etui"},
    }


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


def _or_missing(value: float | None) -> str:
    return text.MISSING if value is None else f"{value:g}"
