"""Levels of a run's session: the latencies of its program and of eager, each with the key of its configuration."""

from __future__ import annotations

import hashlib

import msgspec

from etui.analysis.comparability import settings_text
from etui.analysis.disturbance import FEW, session_share
from etui.analysis.keep_fp32 import kept_fp32
from etui.analysis.session_variance import SessionLatency, log_half
from etui.analysis.shape_range import shape_range
from etui.magnitudes import is_latency
from etui.results import Environment, InputsInfo, LatencyStats, ModelInfo, RunDocument, WeightsInfo

Configuration = tuple[object, ...]


def levels_of(document: RunDocument) -> list[SessionLatency]:
    """Return the levels of a finished run's program and of its session's eager; empty if the session was disturbed."""
    if document.status != "done" or document.summary_only:
        return []
    if session_share(document.blocks, document.eager_blocks) >= FEW:
        return []
    program, eager = configurations(
        model=document.model,
        weights=document.weights,
        inputs=document.inputs,
        threads=document.threads,
        environment=document.environment,
        precision=document.precision,
        delegate=document.delegate,
        arithmetic=document.arithmetic,
        kept=kept_fp32(document),
        dynamic=shape_range(document.session.spec, is_dynamic=document.dynamic),
        method=document.method,
    )
    session, machine = document.session.id, machine_of(document.environment)
    levels = (
        make_level(session, machine, program, document.latency_ms, is_control=False),
        make_level(session, machine, eager, document.eager_latency_ms, is_control=True),
    )
    return [level for level in levels if level is not None]


def configurations(
    *,
    model: ModelInfo,
    weights: WeightsInfo | None,
    inputs: InputsInfo | None,
    threads: int | None,
    environment: Environment | None,
    precision: str,
    delegate: str,
    arithmetic: str | None,
    kept: tuple[str, ...],
    dynamic: str,
    method: str | None,
) -> tuple[Configuration, Configuration]:
    """Return what must be equal for two sessions to have measured the same, for a run's program and for its eager."""
    software = (environment.os, sorted(environment.versions.items())) if environment is not None else None
    eager = (
        model.identity,
        weights.sha256 if weights else None,
        inputs.shapes if inputs else None,
        threads,
        machine_of(environment),
        software,
        settings_text(environment),
    )
    own = sorted(environment.runtime_versions.items()) if environment is not None else []
    return (*eager, precision, delegate, arithmetic, kept, dynamic, method, own), eager


def machine_of(environment: Environment | None) -> str:
    """Return the identity of a machine: host name, CPU, cores and CPU quota; empty if unknown."""
    if environment is None:
        return ""
    return f"{environment.box} {environment.cpu} {environment.cores} {environment.cgroup_cpus}"


def make_level(
    session: str, machine: str, configuration: Configuration, stats: LatencyStats | None, *, is_control: bool
) -> SessionLatency | None:
    """Return the level of one configuration in one session; None without a valid latency."""
    if stats is None or stats.median is None or not is_latency(stats.median):
        return None
    key = hashlib.sha256(msgspec.json.encode(configuration)).hexdigest()[:16]
    return SessionLatency(
        session=session,
        machine=machine,
        configuration=key,
        latency_ms=stats.median,
        half=log_half(stats.ci95),
        is_control=is_control,
    )
