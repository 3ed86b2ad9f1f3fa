"""Read the levels of the sessions of one machine, from which a comparison estimates the between-session variance."""

from __future__ import annotations

import sqlite3

import msgspec

from etui.analysis.disturbance import FEW
from etui.analysis.keep_fp32 import kept_in
from etui.analysis.session_level import configurations, machine_of, make_level
from etui.analysis.session_variance import SessionLatency
from etui.analysis.shape_range import shape_range
from etui.results import Environment, InputsInfo, LatencyStats, ModelInfo, SessionInfo, WeightsInfo
from etui.store.past_runs import disturbed

MOST_RUNS = 300
"""How many of the newest finished runs of a machine are read."""


class _Detail(msgspec.Struct, frozen=True):
    """The parts of a run's detail that determine its configuration and level; the rest is not decoded."""

    model: ModelInfo
    weights: WeightsInfo | None = None
    inputs: InputsInfo | None = None
    arithmetic: str | None = None
    latency_ms: LatencyStats | None = None
    eager_latency_ms: LatencyStats | None = None
    session: SessionInfo | None = None
    repeats: str | None = None


def session_levels(connection: sqlite3.Connection, environment: Environment | None) -> list[SessionLatency]:
    """Return the levels of the newest finished runs on this machine, without those of disturbed sessions and of
    configurations that were measured in one session only. Empty if the environment is not known."""
    if environment is None:
        return []
    rows = connection.execute(
        "SELECT runs.id, session, precision, delegate, threads, dynamic, method, details.detail AS detail,"
        " sessions.spec AS spec,"
        " environments.detail AS environment_detail FROM runs JOIN details ON details.run = runs.id"
        " JOIN sessions ON sessions.id = runs.session JOIN environments ON environments.id = runs.environment"
        " WHERE runs.box = ? AND status = 'done' AND summary_only = 0 ORDER BY runs.rowid DESC LIMIT ?",
        (environment.box, MOST_RUNS),
    )
    by_configuration: dict[str, list[tuple[str, SessionLatency]]] = {}
    for row in rows:
        for level in _levels(row):
            by_configuration.setdefault(level.configuration, []).append((row["id"], level))
    repeated = [levels for levels in by_configuration.values() if len({level.session for _, level in levels}) > 1]
    quiet = {run: disturbed(connection, run) < FEW for run in {run for levels in repeated for run, _ in levels}}
    return [level for levels in repeated for run, level in levels if quiet[run]]


def _levels(row: sqlite3.Row) -> list[SessionLatency]:
    detail = msgspec.json.decode(row["detail"], type=_Detail)
    environment = msgspec.json.decode(row["environment_detail"], type=Environment)
    session, machine = row["session"], machine_of(environment)
    spec = detail.session.spec if detail.session is not None else msgspec.json.decode(row["spec"])
    program, eager = configurations(
        model=detail.model,
        weights=detail.weights,
        inputs=detail.inputs,
        threads=row["threads"],
        environment=environment,
        precision=row["precision"],
        delegate=row["delegate"],
        arithmetic=detail.arithmetic,
        kept=kept_in(spec, row["precision"], detail.repeats) if isinstance(spec, dict) else (),
        dynamic=shape_range(spec, is_dynamic=bool(row["dynamic"])),
        method=row["method"],
    )
    levels = (
        make_level(session, machine, program, detail.latency_ms, is_control=False),
        make_level(session, machine, eager, detail.eager_latency_ms, is_control=True),
    )
    return [level for level in levels if level is not None]
