"""Runs side by side: every figure of each beside the base's, what differs, by how much, and which is best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal

import msgspec

from etui import text
from etui.analysis.bootstrap import paired_ratio, typical, unpaired_ratio
from etui.analysis.comparison import RunComparison
from etui.analysis.comparison_words import change, change_interval, signed
from etui.results import Block, Interval, Metrics, RunDocument

Better = Literal["lower", "higher"] | None
Value = float | int | str | None
BYTES_IN_MB = 1e6
BEST = "*"


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One run's figure: its change against the base in percent, where there is one, with its 95 % interval."""

    value: Value
    change: float | None = None
    ci95: Interval | None = None
    best: bool = False


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of all runs, the base's first. ``group`` is latency, start, memory, size, accuracy, delegation or
    environment; ``differs`` is whether any run's is another than the base's."""

    group: str
    name: str
    cells: list[Cell]
    differs: bool


def rows(base: RunDocument, others: Sequence[RunDocument], found: Sequence[RunComparison]) -> list[Row]:
    """All figures that any of the runs has. ``found`` are the comparisons of ``others`` with ``base``, in order.

    A time has no change where its comparison was refused, and none is the best: the figures stand there, but what they
    differ by is not the difference of the runs.
    """
    documents = [base, *others]
    made = []
    for group, name, better, of in _figures(documents):
        values = [of(document) for document in documents]
        if all(value is None for value in values):
            continue
        timed = group in ("latency", "start")
        cells = [Cell(value=values[0])]
        for other, value, comparison in zip(others, values[1:], found, strict=True):
            cells.append(_cell(name, values[0], value, timed, base, other, comparison))
        ranked = None if timed and any(one.refused for one in found) else better
        made.append(
            Row(group=group, name=name, cells=_marked(cells, ranked), differs=len(set(map(_figure, values))) > 1)
        )
    return made


def shown(cell: Cell) -> str:
    """A cell as text: the figure, its change with the interval, and a mark on the best of a row."""
    value = cell.value
    words = _figure(value)
    if cell.change is not None:
        words += f"  {signed(cell.change)}"
    if cell.ci95 is not None:
        words += f" ({signed(cell.ci95[0])} to {signed(cell.ci95[1])})"
    return f"{words} {BEST}" if cell.best else words


def _figure(value: Value) -> str:
    if isinstance(value, str):
        return text.plain(value)
    return f"{value:,}" if isinstance(value, int) else text.number(value)


def _cell(
    name: str, before: Value, now: Value, timed: bool, base: RunDocument, other: RunDocument, found: RunComparison
) -> Cell:
    if not isinstance(before, float) or not isinstance(now, float) or before <= 0 or name in _WITHOUT_CHANGE:
        return Cell(value=now)
    if timed and found.refused:
        return Cell(value=now)
    if name == "median ms" and found.ratio is not None:
        return Cell(value=now, change=change(found.ratio), ci95=change_interval(found.ci95) if found.ci95 else None)
    return Cell(value=now, change=100 * (now / before - 1), ci95=_of_blocks(name, base, other, found))


def _of_blocks(name: str, base: RunDocument, other: RunDocument, found: RunComparison) -> Interval | None:
    """The interval of a change of something that every block measures once."""
    of = _ONCE_A_BLOCK.get(name)
    if of is None:
        return None
    first = {block.index: [value] for block in base.blocks if (value := of(block))}
    second = {block.index: [value] for block in other.blocks if (value := of(block))}
    if found.kind == "paired":
        pairs = [(first[index], second[index]) for index in sorted(first.keys() & second.keys())]
        estimate = paired_ratio(pairs) if pairs else None
    else:
        sides = list(first.values()), list(second.values())
        estimate = unpaired_ratio(typical(sides[0]), typical(sides[1])) if all(sides) else None
    return change_interval(estimate.interval) if estimate and estimate.interval else None


def _marked(cells: list[Cell], better: Better) -> list[Cell]:
    known = [cell.value for cell in cells if isinstance(cell.value, float)]
    # What reads the same is no better, whatever its further digits.
    if better is None or len(set(map(_figure, known))) < 2:
        return cells
    best = _figure(min(known) if better == "lower" else max(known))
    return [msgspec.structs.replace(cell, best=_figure(cell.value) == best) for cell in cells]


_ONCE_A_BLOCK: dict[str, Callable[[Block], float | None]] = {
    "first inference ms": lambda block: block.first_inference_ms,
    "program load ms": lambda block: block.program_load_ms,
    "method load ms": lambda block: block.method_load_ms,
}
_WITHOUT_CHANGE = frozenset({"SQNR dB", "cosine", "top-1", "top-5"})


Figure = tuple[str, str, Better, Callable[[RunDocument], Value]]


def _figures(documents: Sequence[RunDocument]) -> Iterator[Figure]:
    for name in ("median", "mean", "min", "max", "std", "mad", "p90", "p95", "p99"):
        yield "latency", f"{name} ms", "lower", partial(_of, lambda run: run.latency_ms, name)
    yield "latency", "samples", None, partial(_of, lambda run: run.latency_ms, "count")
    yield "latency", "against eager", "higher", partial(_of, lambda run: run.speedup, "value")
    yield "start", "first inference ms", "lower", lambda run: run.first_inference_ms
    yield "start", "program load ms", "lower", lambda run: run.program_load_ms
    yield "start", "method load ms", "lower", lambda run: run.method_load_ms
    yield "memory", "peak RSS MB", "lower", partial(_megabytes, lambda run: run.memory, "peak_rss_bytes")
    yield "memory", "RSS after load MB", "lower", partial(_megabytes, lambda run: run.memory, "load_rss_bytes")
    yield "memory", "planned MB", "lower", partial(_megabytes, lambda run: run.memory, "planned_bytes")
    yield "size", "size MB", "lower", partial(_megabytes, lambda run: run.artifact, "size_bytes")
    for name, label, better in _METRICS:
        yield "accuracy", label, better, partial(_of, _overall, name)
    yield "accuracy", "verdict", None, lambda run: run.accuracy.verdict if run.accuracy else None
    yield "delegation", "nodes delegated", None, partial(_of, lambda run: run.delegation, "delegated_nodes")
    yield "delegation", "nodes outside", None, partial(_of, lambda run: run.delegation, "undelegated_nodes")
    yield "delegation", "subgraphs", None, partial(_of, lambda run: run.delegation, "subgraphs")
    for label, of in _ENVIRONMENT.items():
        yield "environment", label, None, of
    for package in sorted({name for run in documents if run.environment for name in run.environment.versions}):
        if package != "etui":
            yield "environment", package, None, partial(_version, package)


_METRICS: tuple[tuple[str, str, Better], ...] = (
    ("mae", "MAE", "lower"),
    ("max_abs", "max error", "lower"),
    ("rmse", "RMSE", "lower"),
    ("sqnr_db", "SQNR dB", "higher"),
    ("cosine", "cosine", "higher"),
    ("top1", "top-1", "higher"),
    ("top5", "top-5", "higher"),
)

_ENVIRONMENT: dict[str, Callable[[RunDocument], Value]] = {
    "model": lambda run: run.model.name,
    "status": lambda run: run.status,
    "when": lambda run: text.local_time(run.created_at),
    "session": lambda run: run.session.id,
    "preset": lambda run: run.preset,
    "threads": lambda run: None if run.threads is None else str(run.threads),
    "arithmetic": lambda run: run.arithmetic,
    "weights": lambda run: f"{run.weights.kind} {(run.weights.sha256 or '')[:8]}".strip() if run.weights else None,
    "inputs": lambda run: f"{run.inputs.kind} {(run.inputs.sha256 or '')[:8]}".strip() if run.inputs else None,
    "box": lambda run: run.environment.box if run.environment else None,
    "CPU": lambda run: run.environment.cpu if run.environment else None,
    "governor": lambda run: (run.environment.governor or "not readable") if run.environment else None,
    "Python": lambda run: run.environment.python if run.environment else None,
    "etui": lambda run: run.etui_version,
    "flags": lambda run: ", ".join(flag.name for flag in run.flags) or "none",
}


def _overall(run: RunDocument) -> Metrics | None:
    return run.accuracy.end_to_end.overall if run.accuracy else None


def _of(part: Callable[[RunDocument], msgspec.Struct | None], field: str, run: RunDocument) -> float | None:
    """A figure of a part of the run that may not be there; counts stay whole numbers."""
    found = part(run)
    value: float | None = getattr(found, field) if found is not None else None
    return value


def _megabytes(part: Callable[[RunDocument], msgspec.Struct | None], field: str, run: RunDocument) -> float | None:
    count = _of(part, field, run)
    return None if count is None else count / BYTES_IN_MB


def _version(package: str, run: RunDocument) -> str | None:
    return run.environment.versions.get(package) if run.environment else None
