"""Find at which level the sessions of one machine ran, so that a comparison knows how far sessions differ by chance."""

from __future__ import annotations

import sqlite3

import msgspec

from etui.analysis.disturbance import FEW
from etui.analysis.keep_fp32 import kept_in
from etui.analysis.session_level import configurations, machine_of, make_level
from etui.analysis.session_variance import Level
from etui.results import Environment, InputsInfo, LatencyStats, ModelInfo, SessionInfo, WeightsInfo
from etui.store.past_runs import disturbed

MOST_RUNS = 300
"""The newest finished runs of a machine that are looked at."""


class _Detail(msgspec.Struct, frozen=True):
    """What of a run's detail says which configuration it is of; the rest is skipped, not decoded."""

    model: ModelInfo
    weights: WeightsInfo | None = None
    inputs: InputsInfo | None = None
    arithmetic: str | None = None
    latency_ms: LatencyStats | None = None
    eager_latency_ms: LatencyStats | None = None
    session: SessionInfo | None = None
    repeats: str | None = None


def session_levels(connection: sqlite3.Connection, environment: Environment | None) -> list[Level]:
    """The levels of the newest finished runs on this machine, those of disturbed sessions left out. A configuration
    that was measured in one session only says nothing and is left out too."""
    if environment is None:
        return []
    rows = connection.execute(
        "SELECT runs.id, session, precision, delegate, threads, details.detail AS detail, sessions.spec AS spec,"
        " environments.detail AS environment_detail FROM runs JOIN details ON details.run = runs.id"
        " JOIN sessions ON sessions.id = runs.session JOIN environments ON environments.id = runs.environment"
        " WHERE runs.box = ? AND status = 'done' AND summary_only = 0 ORDER BY runs.rowid DESC LIMIT ?",
        (environment.box, MOST_RUNS),
    )
    by_configuration: dict[str, list[tuple[str, Level]]] = {}
    for row in rows:
        for level in _levels(row):
            by_configuration.setdefault(level.configuration, []).append((row["id"], level))
    repeated = [found for found in by_configuration.values() if len({level.session for _, level in found}) > 1]
    quiet = {run: disturbed(connection, run) < FEW for run in {run for found in repeated for run, _ in found}}
    return [level for found in repeated for run, level in found if quiet[run]]


def _levels(row: sqlite3.Row) -> list[Level]:
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
    )
    found = (
        make_level(session, machine, program, detail.latency_ms, is_control=False),
        make_level(session, machine, eager, detail.eager_latency_ms, is_control=True),
    )
    return [level for level in found if level is not None]
