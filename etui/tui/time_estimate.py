"""Estimate how long a session will take, from similar runs, else from the model's size.

Similar runs have the same model, precision and delegate (``etui.store.past_runs.similar``). The weights and inputs of a
session are not known before it is prepared, so the past runs of its configuration cannot be looked up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from etui.catalog.delegates import RECORDS, program_file
from etui.catalog.find import Model, UserModel
from etui.catalog.precisions import PRECISIONS
from etui.paths import program_path
from etui.results import RunDocument
from etui.runner.plan import Plan, make_plan
from etui.spec import EAGER, SessionSpec, Variant
from etui.store import Condition, Store
from etui.store.past_runs import similar

_LOADING = ("load",)
_PREPARING = ("export", "convert", "quantize", "reference", "compile", "lower", "write")
_CHECKS = ("accuracy", "memory")

# For variants without a similar run: orders of magnitude, measured with the catalog's models on two cores.
_IMPORT_S, _IMPORT_TO_LOWER_S, _LOAD_S, _CHECKS_S, _START_S = 4.0, 6.0, 3.0, 3.0, 0.6
_LOWER_S, _LOWER_S_A_MILLION, _QUANTIZED = 8.0, 0.15, 2.0
_EAGER_MS, _EAGER_MS_A_MILLION, _CORES = 8.0, 1.4, 2
_UNKNOWN_MILLIONS = 20.0

_TIMES_FP32 = {"fp16": 2.0, "int8": 0.4, "int8-static": 0.4, "int8-dynamic": 0.5, "8da4w": 0.6}


class SimilarRun(msgspec.Struct, frozen=True, kw_only=True):
    """What the newest similar run took. ``prepared`` means that its program is still in the cache."""

    load_s: float
    prepare_s: float
    checks_s: float
    latency_ms: float | None
    eager_ms: float | None
    start_s: float
    prepared: bool


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from start to end, and what they are based on: similar runs, the model's size, or both."""

    seconds: float
    basis: Literal["similar", "size", "both"]

    @property
    def text(self) -> str:
        """The estimate as a phrase, rounded to its precision."""
        about = about_seconds(self.seconds)
        return f"about {about}" if self.basis == "similar" else f"roughly {about}"


def about_seconds(seconds: float) -> str:
    """Return a rounded duration such as ``50 s``, ``4 min`` or ``1 h 20 min``."""
    if seconds < 95:
        return f"{max(5, round(seconds / 5) * 5)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    minutes = round(minutes / 10) * 10
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes % 60 else f"{minutes // 60} h"


def estimate(spec: SessionSpec, model: Model, similar_runs: Mapping[Variant, SimilarRun], cores: int) -> Estimate:
    """Return the estimate for a session. Variants without an entry in ``similar_runs`` are estimated from the model's
    size."""
    programs = {
        variant: similar_runs.get(variant) or _guess(model, variant, cores, similar_runs) for variant in spec.variants
    }
    plan = make_plan(
        spec, [EAGER, *(variant.label for variant in spec.variants)], repeat=model.repeat, warmup=model.warmup
    )
    to_prepare = [program.prepare_s for program in programs.values() if not program.prepared]
    if isinstance(model, UserModel) and model.kind == "pte":
        to_prepare = []
    seconds = _IMPORT_S + max((program.load_s for program in programs.values()), default=0.0)
    if to_prepare:
        seconds += _IMPORT_TO_LOWER_S + max(max(to_prepare), sum(to_prepare) / max(1, cores))
    eager = [program for program in programs.values() if program.eager_ms is not None]
    if eager:
        seconds += _measuring_s(plan, eager[0].eager_ms or 0.0, eager[0].start_s)
    for program in programs.values():
        seconds += _measuring_s(plan, program.latency_ms or 0.0, program.start_s)
    seconds += sum(program.checks_s for program in programs.values()) / max(1, cores)
    known = sum(variant in similar_runs for variant in spec.variants)
    basis: Literal["similar", "size", "both"] = "similar" if known == len(programs) else "both" if known else "size"
    return Estimate(seconds=min(seconds, spec.timeout_s), basis=basis)


def newest_similar(store: Store, spec: SessionSpec, model: Model, cache: Path) -> dict[Variant, SimilarRun]:
    """Return what the newest similar run that is done took, for each variant that has one. Raises StoreError."""
    found = {}
    for variant in spec.variants:
        runs = store.summaries(
            [
                *similar(model.name, variant.precision, variant.delegate),
                Condition("status", "=", "done"),
                Condition("summary_only", "=", 0),
            ],
            limit=1,
        )
        if runs:
            found[variant] = durations(store.document(runs[0].id), spec, cache)
    return found


def durations(document: RunDocument, spec: SessionSpec, cache: Path) -> SimilarRun:
    """Return what a run took. Its program can be reused only with the same weights, and while it is in the cache."""
    same = all(
        document.session.spec.get(name) == getattr(spec, name) for name in ("weights", "seed", "calibration_count")
    )
    artifact = document.artifact
    key = artifact.key if artifact is not None and same and spec.use_cache else None
    program = None if key is None else program_path(cache, key, program_file(document.delegate))
    prepared = program is not None and program.exists()

    def spent(names: Collection[str]) -> float:
        return sum(stage.seconds for stage in document.stages if stage.name in names)

    return SimilarRun(
        load_s=0.0 if prepared else spent(_LOADING),
        prepare_s=spent(_PREPARING),
        checks_s=spent(_CHECKS),
        latency_ms=document.latency_ms.median if document.latency_ms else None,
        eager_ms=document.eager_latency_ms.median if document.eager_latency_ms else None,
        start_s=((document.method_load_ms or 0.0) + (document.first_inference_ms or 0.0)) / 1000 + 0.3,
        prepared=prepared,
    )


def _measuring_s(plan: Plan, latency_ms: float, start_s: float) -> float:
    """Return the seconds that all blocks of one variant take."""
    total, latency = 0.0, latency_ms / 1000
    for samples in plan.samples:
        warm = latency * (plan.min_warmup * 2 if plan.warmup is None else plan.warmup)
        if samples is None:
            timed = max(plan.preset.block_s, plan.min_samples * latency)
            total += start_s + min(warm + timed, max(plan.block_limit_s, latency))
        else:
            total += start_s + warm + samples * latency
    return total


def _guess(model: Model, variant: Variant, cores: int, similar_runs: Mapping[Variant, SimilarRun]) -> SimilarRun:
    """Estimate a variant without a similar run: from the number of parameters, and from eager's latency if known."""
    millions = _UNKNOWN_MILLIONS if isinstance(model, UserModel) else model.parameters / 1e6
    known = [run.eager_ms for run in similar_runs.values() if run.eager_ms is not None]
    eager_ms = known[0] if known else (_EAGER_MS + _EAGER_MS_A_MILLION * millions) * _CORES / max(1, cores)
    record = RECORDS.get(variant.delegate)
    factor = (record.relative_latency if record is not None else 1.0) * _TIMES_FP32.get(variant.precision, 1.0)
    quantized = variant.precision in PRECISIONS and PRECISIONS[variant.precision].quantized
    is_pte = isinstance(model, UserModel) and model.kind == "pte"
    return SimilarRun(
        load_s=_LOAD_S,
        prepare_s=(_LOWER_S + _LOWER_S_A_MILLION * millions) * (_QUANTIZED if quantized else 1.0),
        checks_s=_CHECKS_S + 8 * eager_ms * factor / 1000,
        latency_ms=eager_ms * factor,
        eager_ms=None if is_pte else eager_ms,
        start_s=_START_S + eager_ms * factor * 2 / 1000,
        prepared=False,
    )
