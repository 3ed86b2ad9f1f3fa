"""Read the past runs of a configuration: ended runs that differ only in time and software versions.

This is the one definition of past runs, for trends and for every chart and list of past runs. What needs runs across
configurations uses ``similar``.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import cast

import msgspec

from etui import text
from etui.analysis.comparability import DEFAULT_METHOD, settings_text
from etui.analysis.disturbance import session_share
from etui.analysis.keep_fp32 import kept_in
from etui.analysis.shape_range import shape_range
from etui.facts import RunSummary
from etui.history import UNKNOWN, Configuration, History, Point, TaskPoint
from etui.results import (
    LIVE_STATUSES,
    Block,
    Environment,
    InputsInfo,
    Interval,
    ModelInfo,
    SessionInfo,
    Status,
    WeightsInfo,
)
from etui.spec import Shape, shape_text
from etui.store import queries
from etui.store.conditions import Condition

MAX_EXAMINED = 2_000
"""How many of the newest runs of a model, precision and delegate are examined for those of the same configuration."""

_SELECT = (
    "SELECT runs.id, session, status, runs.created_at AS created_at, model, precision, delegate, threads,"
    " latency_median_ms, latency_ci95_low_ms, latency_ci95_high_ms, eager_latency_median_ms, eager_latency_ci95_low_ms,"
    " eager_latency_ci95_high_ms, mae, verdict, flags, error, etui_version,"
    " details.detail AS detail, environments.detail AS environment_detail, sessions.spec AS spec,"
    " variant, input_height, input_width, batch, sequence, dynamic, method"
    " FROM runs JOIN details ON details.run = runs.id JOIN sessions ON sessions.id = runs.session"
    " LEFT JOIN environments ON environments.id = runs.environment"
)
_NAMES = (
    "weights",
    "shapes",
    "dynamic",
    "method",
    "inputs",
    "threads",
    "arithmetic",
    "box",
    "kept",
    "settings",
    "identity",
)
_TITLES = {
    "identity": "model's code",
    "kept": "modules kept in FP32",
    "shapes": "input shapes",
    "settings": "process settings",
}


class _Circumstances(msgspec.Struct, frozen=True):
    """The parts of a run's detail that belong to its configuration; the rest is not decoded."""

    model: ModelInfo
    weights: WeightsInfo | None = None
    inputs: InputsInfo | None = None
    arithmetic: str | None = None
    session: SessionInfo | None = None
    repeats: str | None = None


class _Images(msgspec.Struct, frozen=True):
    sha256: str


class _Evaluation(msgspec.Struct, frozen=True):
    data: _Images


class _Task(msgspec.Struct, frozen=True):
    """Values that were not finite are null in the database."""

    name: str
    program: float | None
    eager: float | None
    evaluation: _Evaluation | None = None


class _Accuracy(msgspec.Struct, frozen=True):
    task: _Task | None = None


class _Evaluated(msgspec.Struct, frozen=True):
    """The metric of a task in a run's detail."""

    accuracy: _Accuracy | None = None


def similar(model: str, precision: str, delegate: str) -> list[Condition]:
    """Return the conditions of *similar runs*: those of the same model, precision and delegate, whatever the weights,
    inputs, threads or machine.

    They are looser than the past runs of a configuration, and are for what must be known or compared across
    configurations: how long a session may take, and how the conditions of a run differ from those of the run before.
    """
    return [
        Condition("model", "=", model),
        Condition("precision", "=", precision),
        Condition("delegate", "=", delegate),
    ]


def history(connection: sqlite3.Connection, run_id: str, limit: int) -> History:
    """Return the newest ``limit`` ended runs of the configuration of this run; if its status is not done, of the newest
    done run with its model, precision, delegate and variant. Raises UsageError if the run does not exist."""
    own = _row_of(connection, run_id)
    configuration = _configuration(own)
    points: list[Point] = []
    omitted: Counter[str] = Counter()
    total = examined = 0
    for row, difference in _examined(connection, own):
        examined += 1
        if difference is not None:
            omitted[difference] += 1
            continue
        total += 1
        if len(points) < limit:
            points.append(_point(row, disturbed(connection, row["id"])))
    return History(
        configuration=configuration,
        points=points[::-1],
        total=total,
        omitted=dict(omitted.most_common()),
        examined=examined,
    )


def past_runs(connection: sqlite3.Connection, run_id: str, limit: int) -> list[RunSummary]:
    """Return the runs that ``history`` has, as summaries, newest first. Raises UsageError if the run does not exist."""
    rows = _examined(connection, _row_of(connection, run_id))
    ids = list(itertools.islice((row["id"] for row, difference in rows if difference is None), limit))
    return queries.summaries(connection, [Condition("id", "in", ids)])


def _row_of(connection: sqlite3.Connection, run_id: str) -> sqlite3.Row:
    """Return the row whose configuration that of a run is: the run's own, or if it is not done that of the newest done
    run of its variant."""
    row: sqlite3.Row | None = connection.execute(f"{_SELECT} WHERE runs.id = ?", (run_id,)).fetchone()
    if row is None:
        raise queries.unknown_run(run_id)
    if row["status"] != "done":
        # The weights and inputs of such a run may not be known: use those of the newest run that is done.
        done = connection.execute(
            f"{_SELECT} WHERE model = ? AND precision = ? AND delegate = ? AND variant IS ? AND status = 'done'"
            " ORDER BY runs.created_at DESC, runs.rowid DESC LIMIT 1",
            (row["model"], row["precision"], row["delegate"], row["variant"]),
        ).fetchone()
        return done or row
    return row


def _examined(connection: sqlite3.Connection, of: sqlite3.Row) -> Iterator[tuple[sqlite3.Row, str | None]]:
    """Yield the newest ended runs of the model, precision and delegate, newest first, with the first property in which
    each differs from the configuration of a row; None if it belongs to it."""
    configuration, requested = _configuration(of), _requested(of)
    live = sorted(LIVE_STATUSES)
    rows = connection.execute(
        f"{_SELECT} WHERE model = ? AND precision = ? AND delegate = ?"
        f" AND status NOT IN ({', '.join('?' * len(live))}) ORDER BY runs.created_at DESC, runs.rowid DESC LIMIT ?",
        (configuration.model, configuration.precision, configuration.delegate, *live, MAX_EXAMINED),
    )
    for row in rows:
        failed = row["status"] != "done"
        difference = _difference(configuration, _configuration(row), failed=failed)
        # A run that failed before its inputs were made has only the shape that was requested.
        if failed and difference is None and _requested(row) != requested:
            difference = _TITLES["shapes"]
        yield row, difference


def _difference(configuration: Configuration, other: Configuration, *, failed: bool) -> str | None:
    """Return the first property in which two configurations differ; None if they are the same. Unknown properties of a
    failed run are ignored."""
    for name in _NAMES:
        expected, actual = getattr(configuration, name), getattr(other, name)
        if expected != actual and not (failed and actual == UNKNOWN):
            return _TITLES.get(name, name)
    return None


def _configuration(row: sqlite3.Row) -> Configuration:
    known = msgspec.json.decode(row["detail"], type=_Circumstances)
    environment = _environment(row)
    return Configuration(
        model=row["model"],
        identity=known.model.identity,
        precision=row["precision"],
        delegate=row["delegate"],
        weights=UNKNOWN if known.weights is None else _hashed(known.weights.kind, known.weights.sha256),
        shapes=_shapes(known.inputs),
        dynamic=shape_range(_spec(row, known), is_dynamic=bool(row["dynamic"])),
        method="" if row["method"] == DEFAULT_METHOD else row["method"] or "",
        inputs=UNKNOWN if known.inputs is None else _hashed(known.inputs.kind, known.inputs.sha256),
        threads=UNKNOWN if row["threads"] is None else str(row["threads"]),
        # Not set for a run that failed before measurement or that computes in its nominal precision.
        arithmetic=known.arithmetic or UNKNOWN,
        box=UNKNOWN if environment is None else _machine(environment),
        kept=", ".join(_kept(row, known)),
        settings=settings_text(environment),
        variant=row["variant"] or "",
    )


def _shapes(inputs: InputsInfo | None) -> str:
    """Return the shapes of the inputs; not known before these were made."""
    return UNKNOWN if inputs is None else text.shapes(inputs.shapes)


def _requested(row: sqlite3.Row) -> str:
    """Return the requested shape."""
    size = None if row["input_height"] is None else (row["input_height"], row["input_width"])
    return shape_text(Shape(input_size=size, batch=row["batch"], sequence=row["sequence"]))


def _kept(row: sqlite3.Row, known: _Circumstances) -> tuple[str, ...]:
    """Return the modules kept in FP32, from the document's own specification of its session, else from the session's
    row."""
    spec = _spec(row, known)
    return kept_in(spec, row["precision"], known.repeats) if isinstance(spec, dict) else ()


def _spec(row: sqlite3.Row, known: _Circumstances) -> object:
    return known.session.spec if known.session is not None else msgspec.json.decode(row["spec"])


def disturbed(connection: sqlite3.Connection, run_id: str) -> float:
    """Return the share of disturbed blocks of a run or of its session's eager blocks, whichever is larger."""
    rows = connection.execute(
        "SELECT role, detail FROM run_blocks JOIN blocks ON blocks.id = run_blocks.block"
        " WHERE run_blocks.run = ? AND role IN ('own', 'eager')",
        (run_id,),
    )
    sides: dict[str, list[Block]] = {"own": [], "eager": []}
    for row in rows:
        sides[row["role"]].append(msgspec.json.decode(row["detail"], type=Block))
    return session_share(sides["own"], sides["eager"])


def _machine(environment: Environment) -> str:
    quota = "" if environment.cgroup_cpus is None else f", quota of {environment.cgroup_cpus:g} CPUs"
    return f"{environment.box} ({environment.cpu}, {environment.cores} cores{quota})"


def _hashed(kind: str, sha256: str | None) -> str:
    return f"{kind} {sha256[:12]}" if sha256 else kind


def _environment(row: sqlite3.Row) -> Environment | None:
    return None if row["environment_detail"] is None else _decoded(row["environment_detail"])


@lru_cache(maxsize=64)
def _decoded(environment_detail: str) -> Environment:
    """Decode an environment. Cached, since thousands of runs share one and decoding dominates the time of reading a
    history."""
    return msgspec.json.decode(environment_detail, type=Environment)


def _point(row: sqlite3.Row, disturbed: float) -> Point:
    environment = _environment(row)
    software: dict[str, str] = {}
    if environment is not None:
        software = {**environment.all_versions, "Python": environment.python, "etui": row["etui_version"]}
        if environment.governor is not None:
            software["governor"] = environment.governor
    return Point(
        run=row["id"],
        session=row["session"],
        at=row["created_at"],
        status=cast("Status", row["status"]),
        median_ms=row["latency_median_ms"],
        interval_ms=_interval(row, ""),
        eager_ms=row["eager_latency_median_ms"],
        eager_interval_ms=_interval(row, "eager_"),
        disturbed=disturbed,
        mae=row["mae"],
        verdict=row["verdict"],
        flags=msgspec.json.decode(row["flags"], type=list[str]),
        error=row["error"],
        software=software,
        task=_task(row),
    )


def _task(row: sqlite3.Row) -> TaskPoint | None:
    accuracy = msgspec.json.decode(row["detail"], type=_Evaluated).accuracy
    task = accuracy.task if accuracy is not None else None
    if task is None or task.evaluation is None or task.program is None or task.eager is None:
        return None
    return TaskPoint(metric=task.name, program=task.program, eager=task.eager, images=task.evaluation.data.sha256)


def _interval(row: sqlite3.Row, side: str) -> Interval | None:
    low, high = row[f"{side}latency_ci95_low_ms"], row[f"{side}latency_ci95_high_ms"]
    return None if low is None or high is None else (low, high)
