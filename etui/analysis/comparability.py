"""Obstacles to comparing the latencies of two runs, and cautions that apply if they can be compared."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from etui import text
from etui.host.process_settings import affects_speed
from etui.results import Environment, RunDocument, TaskMetric
from etui.spec import size_text

UNKNOWN = "not known"
NOT_SET = "not set"
DEFAULT_METHOD = "forward"
_VARIED = frozenset({"model", "weights", "inputs", "arithmetic", "threads"})
"""Conditions in which variants of one session may differ."""


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """One reason against a comparison: the name of the condition, its value on both sides, and an explanation."""

    name: str
    base: str
    other: str
    detail: str


def work_of(document: RunDocument) -> tuple[str, str]:
    """Return what one inference of a run's model does: the shapes of its inputs and its method. The faster of two runs
    that differ in it is not the better one. The shapes are empty if the inputs are not known."""
    shapes = text.shapes(document.inputs.shapes) if document.inputs is not None else ""
    return shapes, document.method or DEFAULT_METHOD


def same_session(base: RunDocument, other: RunDocument) -> bool:
    """Whether both were measured interleaved in one session, so that their blocks form pairs."""
    return base.session.id == other.session.id


def batches(base: RunDocument, other: RunDocument) -> tuple[int, int] | None:
    """Return the requested batches of two runs of one session if nothing else differs in the shapes of their inputs and
    in their method: then their latencies can be compared per item. None if latencies are compared as they are."""
    return _batches(base, other) if same_session(base, other) else None


def _batches(base: RunDocument, other: RunDocument) -> tuple[int, int] | None:
    if base.batch is None or other.batch is None:
        return None
    is_only = {name for name, *_ in _work_conditions(base, other)} == {"batch"}
    return (base.batch, other.batch) if is_only else None


def different_work(base: RunDocument, other: RunDocument) -> str:
    """Return the conditions in which one inference of the runs does different work, such as ``input size differs:
    128x128 and 224x224``; empty if it does not, and if the batch alone differs, since latencies are compared per item.

    Different models are compared as they are, as long as the same shape was requested for both.
    """
    if _batches(base, other) is not None:
        return ""
    differing = [
        f"{name} {verb}: {_both(one, two)}"
        for name, verb, one, two in _work_conditions(base, other)
        if not (name == "input shapes" and _model(base) != _model(other))
    ]
    return "; ".join(differing)


def obstacles(base: RunDocument, other: RunDocument) -> list[Obstacle]:
    """Return the conditions that differ but must be equal to compare latencies, the most important first.

    A condition unknown on both sides is not an obstacle (see ``cautions``); one unknown on a single side is. Runs of
    one session may differ in what ``_VARIED`` has, and in their batch, since the latencies are then compared per item.
    """
    differing = [
        Obstacle(
            name=name,
            base=base_value,
            other=other_value,
            # The stored name of the machine is "box".
            detail=f"{'machine' if name == 'box' else name} {verb}: {_both(base_value, other_value)}",
        )
        for name, verb, base_value, other_value in _conditions(base, other)
        if base_value != other_value
    ]
    if not same_session(base, other):
        return differing
    # Variants of one session were timed interleaved. In a duel they may be different models, which take what they take.
    allowed = _allowed(base, other)
    return [obstacle for obstacle in differing if obstacle.name not in allowed]


def cautions(base: RunDocument, other: RunDocument) -> list[str]:
    """Return notes that qualify a valid comparison, one sentence each."""
    notes = []
    for name, to_text in (("weights", _weights), ("inputs", _inputs)):
        if to_text(base) == to_text(other) == UNKNOWN and not (name == "inputs" and _shapes_differ(base, other)):
            notes.append(f"Whether the {name} are the same is not known: neither run has their hash.")
    images = [task.evaluation.data.sha256 for task in (_task(base), _task(other)) if task and task.evaluation]
    if len(set(images)) > 1:
        notes.append(
            "The metrics of the task are not comparable: the runs were evaluated on different labelled images."
        )
    if same_session(base, other):
        allowed = _allowed(base, other)
        notes += [
            f"The {name} {verb}: {_both(base_value, other_value)}{_PER_ITEM if name == 'batch' else ''}."
            for name, verb, base_value, other_value in _conditions(base, other)
            if name in allowed and base_value != other_value
        ]
    return notes


def _task(document: RunDocument) -> TaskMetric | None:
    return document.accuracy.task if document.accuracy is not None else None


_PER_ITEM = "; the latencies are compared per item"


def _allowed(base: RunDocument, other: RunDocument) -> frozenset[str]:
    """Return the conditions in which these two runs of one session may differ."""
    if batches(base, other) is not None:
        return _VARIED | {"batch"}
    return _VARIED | {"input shapes"} if _model(base) != _model(other) else _VARIED


def _both(base_value: str, other_value: str) -> str:
    return f"{text.shortened(base_value, text.LINE_CELLS)} and {text.shortened(other_value, text.LINE_CELLS)}"


def _conditions(base: RunDocument, other: RunDocument) -> Iterator[tuple[str, str, str, str]]:
    yield "model", "differs", _model(base), _model(other)
    yield "threads", "differ", _or_unknown(base.threads), _or_unknown(other.threads)
    work = list(_work_conditions(base, other))
    yield from (condition for condition in work if condition[0] == "method")
    yield "weights", "differ", _weights(base), _weights(other)
    shape = [condition for condition in work if condition[0] != "method"]
    yield from shape
    if not shape:
        yield "inputs", "differ", _inputs(base), _inputs(other)
    yield "arithmetic", "differs", _arithmetic(base), _arithmetic(other)
    yield "box", "differs", _machine(base.environment), _machine(other.environment)
    yield "governor", "differs", _governor(base.environment), _governor(other.environment)
    if base.environment is not None and other.environment is not None:
        yield from _settings(base.environment, other.environment)


def _work_conditions(base: RunDocument, other: RunDocument) -> Iterator[tuple[str, str, str, str]]:
    """Yield the conditions in which one inference of two runs differs: the method, and the requested parts of the shape
    if both runs have them, else the shapes of all inputs."""
    methods = base.method or DEFAULT_METHOD, other.method or DEFAULT_METHOD
    if methods[0] != methods[1]:
        yield "method", "differs", *methods
    sizes = [run.input_size and size_text(run.input_size) for run in (base, other)]
    requested: dict[str, list[str | int | None]] = {
        "input size": [*sizes],
        "batch": [base.batch, other.batch],
        "sequence": [base.sequence, other.sequence],
    }
    known = {name: values for name, values in requested.items() if None not in values}
    differing = {name: values for name, values in known.items() if values[0] != values[1]}
    for name, (one, two) in differing.items():
        yield name, "differs", str(one), str(two)
    is_one_sided = any(values.count(None) == 1 for values in requested.values())
    if _shapes_differ(base, other) and (is_one_sided or not differing):
        assert base.inputs is not None and other.inputs is not None
        yield "input shapes", "differ", text.shapes(base.inputs.shapes), text.shapes(other.inputs.shapes)


def _model(document: RunDocument) -> str:
    model = document.model
    return text.plain(f"{model.name} ({model.identity})")


def _weights(document: RunDocument) -> str:
    weights = document.weights
    return text.plain(f"{weights.kind} {weights.sha256[:12]}") if weights and weights.sha256 else UNKNOWN


def _inputs(document: RunDocument) -> str:
    inputs = document.inputs
    return text.plain(f"{inputs.kind} {inputs.sha256[:12]}") if inputs and inputs.sha256 else UNKNOWN


def _shapes_differ(base: RunDocument, other: RunDocument) -> bool:
    return base.inputs is not None and other.inputs is not None and base.inputs.shapes != other.inputs.shapes


def _arithmetic(document: RunDocument) -> str:
    return text.plain(document.arithmetic) if document.arithmetic else "that of the precision"


def _machine(environment: Environment | None) -> str:
    if environment is None:
        return UNKNOWN
    quota = "" if environment.cgroup_cpus is None else f", CPU quota {environment.cgroup_cpus:g}"
    return text.plain(f"{environment.box} ({environment.cpu}, {environment.cores} cores{quota})")


def _governor(environment: Environment | None) -> str:
    return text.plain(environment.governor) if environment and environment.governor else "not readable"


def _settings(base: Environment, other: Environment) -> Iterator[tuple[str, str, str, str]]:
    """Yield the settings of the measuring processes; settings not recorded on both sides are omitted."""
    if base.nice is not None and other.nice is not None:
        yield "nice level", "differs", str(base.nice), str(other.nice)
    if base.affinity is not None and other.affinity is not None:
        yield "CPU affinity", "differs", text.ranges(base.affinity), text.ranges(other.affinity)
    if base.variables is not None and other.variables is not None:
        for name in sorted(filter(affects_speed, base.variables.keys() | other.variables.keys())):
            before, now = base.variables.get(name, NOT_SET), other.variables.get(name, NOT_SET)
            yield f"environment variable {text.plain(name)}", "differs", text.plain(before), text.plain(now)


def settings_text(environment: Environment | None) -> str:
    """Return the nice level and the environment variables that affect speed as one text; empty for the defaults and
    if they were not recorded."""
    if environment is None:
        return ""
    settings = [f"nice {environment.nice}"] if environment.nice else []
    variables = environment.variables or {}
    settings += [f"{name}={variables[name]}" for name in sorted(filter(affects_speed, variables))]
    return text.plain(", ".join(settings))


def _or_unknown(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)
