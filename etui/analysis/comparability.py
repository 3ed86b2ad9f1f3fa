"""Why the latencies of two runs cannot be compared, and what must be known with them where they can."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from etui import text
from etui.host.process_settings import affects_speed
from etui.results import Environment, RunDocument

UNKNOWN = "not known"
NOT_SET = "not set"
_OF_THE_PROGRAM = frozenset({"model", "weights", "inputs", "arithmetic"})


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why a comparison does not hold: the circumstance, what it was on either side, and a sentence."""

    name: str
    base: str
    other: str
    detail: str


def same_session(base: RunDocument, other: RunDocument) -> bool:
    """Whether both were measured interleaved, so that their blocks make pairs."""
    return base.session.id == other.session.id


def obstacles(base: RunDocument, other: RunDocument) -> list[Obstacle]:
    """The circumstances that differ and have no business to where latencies are compared, the weightiest first.

    What is known of neither side is no obstacle (see ``cautions``); what is known of one alone is.
    """
    found = [
        Obstacle(name=name, base=before, other=now, detail=f"{name} {verb}: {_both(before, now)}")
        for name, verb, before, now in _circumstances(base, other)
        if before != now
    ]
    # Variants of one session were timed side by side, whatever they compute: in a duel that may be another model.
    return [one for one in found if one.name not in _OF_THE_PROGRAM] if same_session(base, other) else found


def cautions(base: RunDocument, other: RunDocument) -> list[str]:
    """What must be known with the comparison although it holds, a sentence each."""
    said = []
    for name, of in (("weights", _weights), ("inputs", _inputs)):
        if of(base) == of(other) == UNKNOWN:
            said.append(f"Whether the {name} are the same is not known: neither run has their hash.")
    if same_session(base, other):
        said += [
            f"The {name} {verb}: {_both(before, now)}."
            for name, verb, before, now in _circumstances(base, other)
            if name in _OF_THE_PROGRAM and before != now
        ]
    return said


def _both(before: str, now: str) -> str:
    return f"{text.shortened(before, text.LINE_CELLS)} and {text.shortened(now, text.LINE_CELLS)}"


def _circumstances(base: RunDocument, other: RunDocument) -> Iterator[tuple[str, str, str, str]]:
    yield "model", "differs", _model(base), _model(other)
    yield "threads", "differ", _or_unknown(base.threads), _or_unknown(other.threads)
    yield "weights", "differ", _weights(base), _weights(other)
    yield "inputs", "differ", _inputs(base), _inputs(other)
    yield "arithmetic", "differs", _arithmetic(base), _arithmetic(other)
    yield "box", "differs", _box(base.environment), _box(other.environment)
    yield "governor", "differs", _governor(base.environment), _governor(other.environment)
    if base.environment is not None and other.environment is not None:
        yield from _settings(base.environment, other.environment)


def _model(document: RunDocument) -> str:
    model = document.model
    return text.plain(f"{model.name} ({model.identity})")


def _weights(document: RunDocument) -> str:
    found = document.weights
    return text.plain(f"{found.kind} {found.sha256[:12]}") if found and found.sha256 else UNKNOWN


def _inputs(document: RunDocument) -> str:
    found = document.inputs
    return text.plain(f"{found.kind} {found.sha256[:12]}") if found and found.sha256 else UNKNOWN


def _arithmetic(document: RunDocument) -> str:
    return text.plain(document.arithmetic) if document.arithmetic else "that of the precision"


def _box(found: Environment | None) -> str:
    if found is None:
        return UNKNOWN
    quota = "" if found.cgroup_cpus is None else f", CPU quota {found.cgroup_cpus:g}"
    return text.plain(f"{found.box} ({found.cpu}, {found.cores} cores{quota})")


def _governor(found: Environment | None) -> str:
    return text.plain(found.governor) if found and found.governor else "not readable"


def _settings(base: Environment, other: Environment) -> Iterator[tuple[str, str, str, str]]:
    """The settings of the measuring processes; what either side did not record is left out."""
    if base.nice is not None and other.nice is not None:
        yield "nice level", "differs", str(base.nice), str(other.nice)
    if base.affinity is not None and other.affinity is not None:
        yield "CPU affinity", "differs", text.ranges(base.affinity), text.ranges(other.affinity)
    if base.variables is not None and other.variables is not None:
        for name in sorted(filter(affects_speed, base.variables.keys() | other.variables.keys())):
            before, now = base.variables.get(name, NOT_SET), other.variables.get(name, NOT_SET)
            yield f"environment variable {text.plain(name)}", "differs", text.plain(before), text.plain(now)


def settings_text(environment: Environment | None) -> str:
    """The nice level and the environment variables that affect speed, in one text; empty for the defaults and if they
    were not recorded."""
    if environment is None:
        return ""
    found = [f"nice {environment.nice}"] if environment.nice else []
    variables = environment.variables or {}
    found += [f"{name}={variables[name]}" for name in sorted(filter(affects_speed, variables))]
    return text.plain(", ".join(found))


def _or_unknown(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)
