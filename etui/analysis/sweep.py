"""How latency depends on input size, batch, sequence length or threads: runs as lines over one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from etui.facts import RunSummary
from etui.results import Interval
from etui.spec import EAGER, size_text

Axis = Literal["input size", "batch", "sequence", "threads"]


class SweepPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One run (or its eager baseline, without ``run``) at one value of the axis. ``value`` is its place on the axis,
    ``label`` names it; ``items`` is the requested batch, 1 if none was."""

    value: float
    label: str
    latency_ms: float
    interval: Interval | None = None
    items: int = 1
    run: str = ""

    @property
    def per_item_ms(self) -> float:
        """The median latency divided by the number of items."""
        return self.latency_ms / self.items


class SweepLine(msgspec.Struct, frozen=True, kw_only=True):
    """The points of one configuration in ascending order of their values."""

    name: str
    points: list[SweepPoint]


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """The lines over the axis that varies most; ``has_items`` is whether a batch was requested for every run."""

    axis: Axis
    lines: list[SweepLine]
    has_items: bool


def sweep_of(runs: Sequence[RunSummary]) -> Sweep | None:
    """Return the runs with a latency as lines over the property with the most different values; None if there is none
    with at least two, or only one point in every line. The eager baselines are lines too. A line has one run for each
    value, all of one model, machine and number of threads."""
    measured = [run for run in runs if run.latency_median_ms]
    different = {axis: len({value_of(run) for run in measured} - {None}) for axis, value_of in _AXES.items()}
    axis = max(_AXES, key=lambda name: different[name])
    if different[axis] < 2:
        return None
    lines: dict[str, dict[float, SweepPoint]] = {}
    named = _Names(measured, axis)
    for run in measured:
        value = _AXES[axis](run)
        if value is None:
            continue
        sides = (
            (EAGER, run.eager_latency_median_ms, run.eager_latency_ci95_ms, ""),
            (_program(run), run.latency_median_ms, run.latency_ci95_ms, run.id),
        )
        for kind, median, interval, run_id in sides:
            if not median:
                continue
            point = SweepPoint(
                value=value, label=_label(run, axis), latency_ms=median, interval=interval, items=run.batch or 1,
                run=run_id,
            )  # fmt: skip
            lines.setdefault(named(run, kind), {})[value] = point
    found = [
        SweepLine(name=name, points=[points[value] for value in sorted(points)])
        for name, points in lines.items()
        if len(points) > 1
    ]
    if not found:
        return None
    # Programs first: a chart has room for a few lines.
    found.sort(key=lambda line: not line.points[0].run)
    return Sweep(axis=axis, lines=found, has_items=all(run.batch is not None for run in measured))


class _Names:
    """The names of lines, which have what differs between the runs of other lines: model, machine, threads, and the
    session or the run if a line would otherwise have several runs at one value."""

    def __init__(self, runs: Sequence[RunSummary], axis: Axis) -> None:
        self._axis = axis
        self._several_models = len({run.model for run in runs}) > 1
        self._several_machines = len({run.box for run in runs} - {None}) > 1
        self._threads_vary = len({run.threads for run in runs}) > 1
        self._session_cells = _distinct([run.session for run in runs])
        self._run_cells = _distinct([run.id for run in runs])
        self._divided: set[str] = set()
        for _ in range(2):  # by session, then by run
            self._divided |= self._ambiguous(runs)

    def __call__(self, run: RunSummary, kind: str) -> str:
        """Return the name of the line of a run's program, or of its eager baseline."""
        parts = [
            run.model if self._several_models else "",
            kind,
            *_others(run, self._axis),
            f"threads {run.threads}" if self._threads_vary and self._axis != "threads" else "",
            f"on {run.box}" if self._several_machines else "",
        ]
        name = " ".join(filter(None, parts))
        if name in self._divided:
            name += f" session {run.session[: self._session_cells]}"
            if name in self._divided:
                name += f" {run.id[: self._run_cells]}"
        return name

    def _ambiguous(self, runs: Sequence[RunSummary]) -> set[str]:
        """Return the names of lines with several runs at one value; the runs of a session share their baseline."""
        at: dict[tuple[str, float], set[str]] = {}
        for run in runs:
            value = _AXES[self._axis](run)
            if value is not None:
                at.setdefault((self(run, _program(run)), value), set()).add(run.id)
                at.setdefault((self(run, EAGER), value), set()).add(run.session)
        return {name for (name, _), found in at.items() if len(found) > 1}


def _distinct(ids: Sequence[str]) -> int:
    """Return the number of first characters, at least six, in which different ids differ."""
    longest = max(map(len, ids), default=6)
    return next((cells for cells in range(6, longest) if len({one[:cells] for one in ids}) == len(set(ids))), longest)


def _side(run: RunSummary) -> float | None:
    """Return the side of a square of as many pixels."""
    return math.sqrt(run.input_size[0] * run.input_size[1]) if run.input_size is not None else None


_AXES: dict[Axis, Callable[[RunSummary], float | None]] = {
    "input size": _side,
    "batch": lambda run: run.batch,
    "sequence": lambda run: run.sequence,
    "threads": lambda run: run.threads,
}


def _label(run: RunSummary, axis: Axis) -> str:
    if axis == "input size" and run.input_size is not None:
        height, width = run.input_size
        return str(height) if height == width else size_text(run.input_size)
    return f"{_AXES[axis](run):g}"


def _program(run: RunSummary) -> str:
    parts = (f"{run.precision}/{run.delegate}", "dynamic" if run.dynamic else "", run.method or "")
    return " ".join(filter(None, parts))


def _others(run: RunSummary, axis: Axis) -> list[str]:
    """Return the requested values of the other parts of the shape."""
    parts = [size_text(run.input_size)] if run.input_size is not None and axis != "input size" else []
    parts += [f"batch {run.batch}"] if run.batch is not None and axis != "batch" else []
    parts += [f"sequence {run.sequence}"] if run.sequence is not None and axis != "sequence" else []
    return parts
