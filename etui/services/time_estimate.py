"""Estimate how long a session will take, from similar runs, else from the model's size.

Similar runs have the same model, precision and delegate (``etui.store.past_runs.similar``). The weights and inputs of a
session are not known before it is prepared, so the past runs of its configuration cannot be looked up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from etui.analysis.keep_fp32 import kept_in
from etui.catalog.delegates import RECORDS, program_file
from etui.catalog.find import Model, UserModel
from etui.catalog.models import ModelEntry
from etui.catalog.precisions import PRECISIONS, keeps
from etui.errors import UsageError
from etui.facts import RunSummary
from etui.paths import program_path
from etui.results import RunDocument
from etui.runner.plan import Plan, make_plan
from etui.spec import EAGER, SessionSpec, Shape, Variant
from etui.store import Condition, Store
from etui.store.past_runs import similar
from etui.text import about_seconds

_DECIDE_PROGRAM = ("weights", "seed", "calibration_count", "accuracy_inputs", "data", "split")
"""The options, apart from the modules kept in FP32, that decide which program is prepared."""
_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(SessionSpec)}
"""What a session of a version without an option had."""

_LOADING = ("load",)
_PREPARING = ("export", "convert", "quantize", "reference", "compile", "lower", "write")
_CHECKS = ("accuracy", "memory")

# For variants without a similar run: orders of magnitude, measured with the catalog's models on two cores.
_IMPORT_S, _IMPORT_TO_LOWER_S, _LOAD_S, _CHECKS_S, _START_S = 4.0, 6.0, 3.0, 3.0, 0.6
_LOWER_S, _LOWER_S_A_MILLION, _QUANTIZED = 8.0, 0.15, 2.0
_EAGER_MS, _EAGER_MS_A_MILLION, _CORES = 8.0, 1.4, 2
_UNKNOWN_MILLIONS = 20.0
_TYPICAL_SHARES = {"export": 0.08, "quantize": 0.2, "reference": 0.02, "lower": 0.68, "write": 0.02}
"""The shares of the stages in the preparation of a program without a similar run."""

_MOST_SIMILAR = 100
"""How many of the newest runs of a model, precision and delegate are searched for one at the same shape."""

_TIMES_FP32 = {"fp16": 2.0, "int8": 0.4, "int8-static": 0.4, "int8-dynamic": 0.5, "8da4w": 0.6}


class SimilarRun(msgspec.Struct, frozen=True, kw_only=True):
    """What the newest similar run took. ``prepared`` means that its program is still in the cache; ``stages_s`` are the
    seconds of each stage of its preparation."""

    load_s: float
    prepare_s: float
    checks_s: float
    latency_ms: float | None
    eager_ms: float | None
    start_s: float
    prepared: bool
    stages_s: Mapping[str, float] = {}


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from start to end, and what they are based on: similar runs, the model's size, or both."""

    seconds: float
    basis: Literal["similar", "size", "both"]

    @property
    def text(self) -> str:
        """The estimate as a phrase, rounded to its precision."""
        about = about_seconds(self.seconds)
        return f"about {about}" if self.basis == "similar" else f"roughly {about}"


class ExpectedTimes(msgspec.Struct, frozen=True, kw_only=True):
    """What the parts of a session are expected to take, in seconds; variants are named by their labels.

    ``load_s``: until the first program is prepared; ``stages_s``: the stages of each program that has to be prepared,
    by the first variant that has it; ``blocks_s``: all blocks of a variant, of which there are ``blocks``;
    ``checks_s``: the checks of all variants.
    ``is_measured``: each figure is that of a similar run.
    """

    load_s: float
    stages_s: Mapping[str, Mapping[str, float]]
    blocks: int
    blocks_s: Mapping[str, float]
    checks_s: float
    cores: int
    is_measured: bool = False

    @property
    def prepare_s(self) -> float:
        """Loading, and preparing the programs in parallel."""
        programs_s = [sum(stages.values()) for stages in self.stages_s.values()]
        return self.load_s + (max(max(programs_s), sum(programs_s) / self.cores) if programs_s else 0.0)

    @property
    def measure_s(self) -> float:
        """All blocks of all variants."""
        return sum(self.blocks_s.values())

    @property
    def seconds(self) -> float:
        """From start to end."""
        return self.prepare_s + self.measure_s + self.checks_s


def estimate(spec: SessionSpec, model: Model, similar_runs: Mapping[Variant, SimilarRun], cores: int) -> Estimate:
    """Return the estimate for a session. Variants without an entry in ``similar_runs`` are estimated from the model's
    size."""
    expected = expected_times(spec, model, similar_runs, cores)
    known = sum(variant in similar_runs for variant in spec.variants)
    basis: Literal["similar", "size", "both"] = (
        "similar" if known == len(spec.variants) else "both" if known else "size"
    )
    return Estimate(seconds=min(expected.seconds, spec.timeout_s), basis=basis)


def expected_times(
    spec: SessionSpec, model: Model, similar_runs: Mapping[Variant, SimilarRun], cores: int
) -> ExpectedTimes:
    """Return what the parts of a session take; as for ``estimate``."""
    programs = {
        variant: similar_runs.get(variant) or _guess(model, variant, cores, similar_runs) for variant in spec.variants
    }
    baselines = {variant.eager_label: each for variant, each in programs.items() if each.eager_ms is not None}
    labels = [*(baselines or [EAGER]), *(variant.label for variant in spec.variants)]
    plan = make_plan(spec, labels, repeat=model.repeat, warmup=model.warmup)
    is_as_is = isinstance(model, UserModel) and model.kind == "pte"
    missing = [
        group[0] for group in by_program(programs) if not is_as_is and not any(programs[one].prepared for one in group)
    ]
    to_prepare = {variant: programs[variant] for variant in missing}
    blocks_s = {
        variant.label: _measuring_s(plan, each.latency_ms or 0.0, each.start_s) for variant, each in programs.items()
    }
    for label, each in baselines.items():
        blocks_s[label] = _measuring_s(plan, each.eager_ms or 0.0, each.start_s)
    return ExpectedTimes(
        load_s=_IMPORT_S
        + max((program.load_s for program in programs.values()), default=0.0)
        + (_IMPORT_TO_LOWER_S if to_prepare else 0.0),
        stages_s={
            variant.label: each.stages_s or {name: each.prepare_s * share for name, share in _TYPICAL_SHARES.items()}
            for variant, each in to_prepare.items()
        },
        blocks=plan.blocks,
        blocks_s=blocks_s,
        checks_s=sum(program.checks_s for program in programs.values()) / max(1, cores),
        cores=max(1, cores),
        is_measured=programs.keys() <= similar_runs.keys(),
    )


def by_program(variants: Iterable[Variant]) -> list[list[Variant]]:
    """Return the variants that have the same program together: those that differ only in threads, unless it is compiled
    for a number of threads, the shapes of a dynamic program, and the methods of a finished one."""
    groups: dict[Variant, list[Variant]] = {}
    for variant in variants:
        record = RECORDS.get(variant.delegate)
        threads = variant.threads if record is not None and record.depends_on_threads else None
        program = msgspec.structs.replace(variant, threads=threads, method=None)
        if variant.dynamic:
            program = msgspec.structs.replace(program, input_size=None, batch=None, sequence=None)
        groups.setdefault(program, []).append(variant)
    return list(groups.values())


def expected_of_session(store: Store, spec: SessionSpec, model: Model, cache: Path, cores: int) -> ExpectedTimes:
    """Return what a session is expected to take; the variants of a duel as the runs that they repeat. Raises
    StoreError."""
    similar_runs = newest_similar(store, spec, model, cache)
    for variant in spec.variants:
        if variant.repeats is not None:
            with contextlib.suppress(UsageError):
                similar_runs[variant] = durations(store.document(variant.repeats.run), spec, cache)
    return expected_times(spec, model, similar_runs, cores)


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
            limit=_MOST_SIMILAR,
        )
        if (run := next((run for run in runs if _is_at_shape(run, variant)), None)) is not None:
            found[variant] = durations(store.document(run.id), spec, cache)
    return found


def _is_at_shape(run: RunSummary, variant: Variant) -> bool:
    # Compared here: the indexes on these columns are useless, since nearly all runs have no value.
    wanted = (variant.input_size, variant.batch, variant.sequence, variant.dynamic, variant.method)
    return (run.input_size, run.batch, run.sequence, run.dynamic, run.method) == wanted


def durations(document: RunDocument, spec: SessionSpec, cache: Path) -> SimilarRun:
    """Return what a run took. Its program can be reused only with the same weights, inputs and modules in FP32, and
    while it is in the cache."""
    before = document.session.spec
    same = all(before.get(name, _DEFAULTS[name]) == getattr(spec, name) for name in _DECIDE_PROGRAM) and (
        kept_in(before, document.precision, document.repeats) == keeps(document.precision, spec.keep_fp32)
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
        # An evaluation is only in sessions with data.
        checks_s=spent(_CHECKS) + (spent(("evaluate",)) if spec.data is not None else 0.0),
        latency_ms=document.latency_ms.median if document.latency_ms else None,
        eager_ms=document.eager_latency_ms.median if document.eager_latency_ms else None,
        start_s=((document.method_load_ms or 0.0) + (document.first_inference_ms or 0.0)) / 1000 + 0.3,
        prepared=prepared,
        stages_s={stage.name: stage.seconds for stage in document.stages if stage.name in _PREPARING},
    )


def has_known_size(model: Model) -> bool:
    """Whether the number of a model's parameters is known without loading it; it is not for models of timm and of
    Hugging Face that the catalog does not list."""
    return isinstance(model, ModelEntry) and model.parameters > 0


def is_known(spec: SessionSpec, model: Model, similar_runs: Collection[Variant]) -> bool:
    """Whether a session's time can be estimated: the size of its model is known, or every variant has a similar run."""
    return has_known_size(model) or all(variant in similar_runs for variant in spec.variants)


def work(model: Model, shape: Shape) -> float:
    """Return the amount of computation at a shape relative to the model's own: pixels, items and tokens."""
    factor = float(shape.batch or 1)
    if isinstance(model, ModelEntry):
        if shape.input_size is not None and model.image is not None:
            factor *= shape.input_size[0] * shape.input_size[1] / model.image.size**2
        if shape.sequence is not None and model.text is not None:
            factor *= shape.sequence / model.text.length
    return factor


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
    millions = model.parameters / 1e6 if isinstance(model, ModelEntry) and has_known_size(model) else _UNKNOWN_MILLIONS
    known = [
        run.eager_ms / work(model, similar_to.shape)
        for similar_to, run in similar_runs.items()
        if run.eager_ms is not None
    ]
    own_ms = known[0] if known else (_EAGER_MS + _EAGER_MS_A_MILLION * millions) * _CORES / max(1, cores)
    eager_ms = own_ms * work(model, variant.shape)
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
