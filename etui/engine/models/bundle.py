"""The bundle of a session: one model's weights, inputs and eager reference outputs, built once and cached by
content."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import msgspec
import torch
from torch import nn

from etui.catalog.find import Model, UserModel, changed_sources, find_model, is_same_file, tolerance_for
from etui.catalog.models import ModelEntry
from etui.engine.models import weights
from etui.engine.models.build import Built, build
from etui.engine.models.call_structure import (
    Arguments,
    CallStructure,
    Inputs,
    Node,
    flat_value,
    plain_structure,
    value_of,
)
from etui.engine.models.data_folder import Target
from etui.engine.models.data_labels import NOT_USED, judge_labels
from etui.engine.models.declared import tolerances_of
from etui.engine.models.declared_dims import declared_dims, ranges
from etui.engine.models.evaluation import TRAINED_IMAGES, Chosen, Evaluation, choose_evaluation, task_metadata
from etui.engine.models.exported_program import check_exported
from etui.engine.models.input_shapes import changed_to, check_made, naming_layer, requested
from etui.engine.models.inputs import (
    INPUTS_VERSION,
    InputSet,
    at_shape,
    catalog_inputs,
    catalog_target,
    data_inputs,
    example_inputs,
    program_file_inputs,
    split_inputs,
)
from etui.engine.models.memory_need import check_memory
from etui.engine.models.module_state import (
    hash_tensors,
    other_tensors,
    set_tensors,
    structure,
    unchanged,
    weights_dtype,
)
from etui.engine.models.outputs import check_outputs, flat_outputs, has_dataclasses, register_dataclasses
from etui.engine.models.task_metric import NAMED, Metric, like, metrics_of, value_of_metric
from etui.errors import PreparationError
from etui.events import Event, utc_now
from etui.files.cache_entries import discard, hold, making
from etui.files.hashing import file_stamp
from etui.jobs import BundleJob, BundleResult, DynamicDims
from etui.results import MetricValue, ModelInfo, Stage, TaskMetric, Tolerance, WeightsInfo
from etui.spec import OWN_SHAPE, Shape

BUNDLE_VERSION = 2
"""Increase it when a bundle's files change their layout or meaning."""

Log = Callable[[Event], None]

_WEIGHTS = "weights.safetensors"
_STRUCTURE = "structure.json"
_INPUTS = "inputs.safetensors"
_REFERENCE = "reference.safetensors"
_DESCRIPTION = "bundle.json"
_EVALUATION = "evaluation.json"
_ALIASES = "aliases"
_OTHER = "@"
"""The prefix of the names of tensors that the state dict does not have."""


def run_bundle(job: BundleJob, log: Log) -> BundleResult:
    """Find or build the bundle of a job, under ``<cache_dir>/models/<key>``.

    Raises:
        PreparationError: the model, its weights (WeightsError) or its inputs are not available.
    """
    start = time.perf_counter()
    model = find_model(job.model)
    given = job.shape.input_size
    job = msgspec.structs.replace(job, shape=requested(model, job.shape))
    log(Event(kind="stage", stage="load", message=f"loading {model.name}", at=utc_now()))
    models = Path(job.cache_dir) / "models"
    # A factory's model is only known after the factory was called, which the eager model needs anyway.
    result = _cached(models / job.key, log) if job.key is not None and not _is_factory(model) else None
    if result is None or (result.allow_pickle and not job.allow_pickle):
        check_memory(model, "load")
        resolved = weights.resolve(model, job.weights, job.seed, Path(job.cache_dir), log)
        if resolved.trained is not None and isinstance(model, ModelEntry):
            # Without a request, images have the size of the training; a request may be the catalog's own size.
            shape = msgspec.structs.replace(job.shape, input_size=given or resolved.trained.preprocessing.size)
            job = msgspec.structs.replace(job, shape=shape)
        chosen = _chosen(model, resolved, job)
        factory_output = _run_factory(model, resolved, job, chosen) if _is_factory(model) else None
        is_ready = job.data is None or factory_output is not None
        data = None if is_ready else _from_folder(model, resolved, job, chosen)
        key = _key(model, resolved, job, factory_output, data, chosen)
        made = _Made(factory_output, data, chosen)
        result = _cached(models / key, log) or _build(model, resolved, job, made, key, models / key, start)
    if result.cached and _is_pt2(model) and not result.allow_pickle:
        # Earlier versions did not check exported programs.
        check_exported(Path(model.path))
    origin = "cached" if result.cached else f"loaded in {result.stages[0].seconds:.1f} s"
    log(_log_event(f"{origin}: weights {result.weights.kind} ({result.weights.detail}), inputs {result.inputs.kind} "
                   f"({result.inputs.detail})"))  # fmt: skip
    if result.inputs.split:
        log(_log_event(f"evaluation and calibration inputs: {result.inputs.split}"))
    if result.inputs.labels.startswith(NOT_USED):
        log(
            Event(
                kind="warning",
                level="warning",
                stage="load",
                message=f"labels are {result.inputs.labels}",
                at=utc_now(),
            )
        )
    elif result.inputs.labels:
        log(_log_event(f"labels {result.inputs.labels}"))
    if result.weights.kind == "synthetic":
        log(
            Event(
                kind="warning",
                level="warning",
                stage="load",
                message="SYNTHETIC WEIGHTS: latency is valid, but accuracy is not that of the trained model",
                at=utc_now(),
            )
        )
    return result


def _cached(folder: Path, log: Log) -> BundleResult | None:
    """Return the bundle in a folder of the cache; None if there is none. Only its description is read; the runner
    verifies the other files by hash."""
    if not folder.is_dir():
        return None
    try:
        result = msgspec.json.decode((folder / _DESCRIPTION).read_bytes(), type=BundleResult)
    except (OSError, msgspec.MsgspecError):
        damage = f"{_DESCRIPTION} is missing or unreadable"
        held = hold(folder)
        try:
            discard(folder, held, damage)
        finally:
            if held is not None:
                held.release()
        log(
            Event(
                kind="warning",
                level="warning",
                stage="load",
                message=f"the cached model is damaged and is loaded again: {damage}",
                at=utc_now(),
            )
        )
        return None
    stages = [msgspec.structs.replace(stage, cached=True) for stage in result.stages]
    return msgspec.structs.replace(result, path=str(folder), cached=True, stages=stages)


class Bundle:
    """An opened bundle, which provides the model, inputs and references to the workers of a session."""

    def __init__(self, path: Path, model: Model, result: BundleResult) -> None:
        self.path = path
        self.model = model
        self.result = result

    @classmethod
    def open(cls, path: Path, model: str) -> Bundle:
        """Open the folder of a bundle. Raises PreparationError if it is incomplete."""
        return cls(path, find_model(model), _read_description(path))

    def eager(self) -> nn.Module:
        """Build the FP32 module in eval mode, without gradients, its weights mapped from the bundle's file.

        It is built by the same code and with the same seed as the one that computed the reference, and has the same
        tensors.

        Raises:
            PreparationError: the bundle has no eager model, or the user's file, a module that it imports or the model
                that its factory builds has changed.
        """
        return self._built().module

    def _built(self) -> Built:
        if not self.result.has_eager:
            raise PreparationError(f"{self.result.model.name} is a finished program and has no module")
        if _is_factory(self.model) and not is_same_file(self.model.identity(), self.result.model.identity):
            raise _changed(self.model, [])
        if _is_pt2(self.model):
            # Before any part of it is loaded.
            self._check_file()
        built = build(
            self.model,
            initialize=False,
            seed=self.result.seed,
            allow_pickle=self.result.allow_pickle,
            shape=self.result.shape,
            outputs=self.result.trained_outputs,
        )
        self._check_same(built)
        module = built.module
        if (self.path / _WEIGHTS).is_file():
            _load_weights(module, self.path / _WEIGHTS)
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        return built

    def _check_same(self, built: Built) -> None:
        """Raise PreparationError if a user's model differs from the one built for the reference."""
        model, info = self.model, self.result.model
        if not isinstance(model, UserModel):
            return
        if built.sources is None:
            self._check_file()
            return
        now = msgspec.structs.replace(info, **_code_of(model, built.sources))
        if now.identity != info.identity:
            same_file = is_same_file(info.identity, now.identity)
            raise _changed(model, changed_sources(info, now) if same_file else [])
        try:
            known = msgspec.json.decode((self.path / _STRUCTURE).read_bytes(), type=dict[str, str])
        except (OSError, msgspec.DecodeError) as error:
            raise _incomplete(self.path) from error
        current = structure(built.module)
        changed = sorted(path for path in known.keys() | current.keys() if known.get(path) != current.get(path))
        if changed:
            raise PreparationError(
                f"{model.reference} built a different model than before: the attributes of"
                f" {changed[0] or 'the model itself'} changed",
                "make the factory build the same model at every call, and run it again",
            )

    def _check_file(self) -> None:
        """Raise PreparationError if a user's file changed since the reference was computed."""
        model = self.model
        assert isinstance(model, UserModel)
        if file_stamp(Path(model.path)) != self.result.file_stamp and model.identity() != self.result.model.identity:
            raise _changed(model, [])

    def exportable(self) -> nn.Module:
        """Build the module like ``eager``, ready to be exported: torch knows the dataclasses it returns.

        Raises:
            PreparationError: see ``eager``.
        """
        module = self.eager()
        if self.result.dataclass_outputs:
            with unchanged(module), torch.inference_mode():
                register_dataclasses(self.structure.bound(module)(*self.inputs()[0]))
        return module

    @property
    def structure(self) -> CallStructure:
        """The structure of the arguments of the module."""
        return _structure_of(self.result, len(self.result.inputs.shapes))

    def flat(self, outputs: Any) -> list[torch.Tensor]:
        """Return the tensors among outputs of the module."""
        return flat_outputs(outputs)

    def inputs(self) -> list[Inputs]:
        """Return the accuracy inputs in order; each is the flat tensors of one inference. Latency uses the first
        ones."""
        return _read_lists(self.path / _INPUTS, "accuracy")

    def arguments(self) -> list[Arguments]:
        """Return the accuracy inputs as arguments of the module."""
        structure = self.structure
        return [structure.arguments([tensor.contiguous() for tensor in tensors]) for tensors in self.inputs()]

    def tolerance(self, precision: str, arithmetic: str | None, delegate: str) -> Tolerance | None:
        """Return the model's own limits of accuracy if it declares any for ``precision``, else those of the catalog."""
        own = self.result.tolerances
        known = tolerance_for(self.model, precision, arithmetic, delegate)
        return own.get(precision) or own.get("") or known

    def task_metric(self, outputs: Sequence[Sequence[torch.Tensor]]) -> TaskMetric | None:
        """Return the metric of a model with labels for a program's outputs, which may be of fewer inputs.

        Raises:
            PreparationError: see ``eager``, and the metric does not return a number.
        """
        result = self.result
        if result.metric_eager is None:
            return None
        eager = {result.metric: result.metric_eager, **result.other_metrics}
        count = len(outputs)
        labels = self._labels()[:count]
        metrics, template = self._metrics_and_output(list(eager))
        if count < len(self.reference()):
            references = [like(template, tensors) for tensors in self.reference()[:count]]
            eager = {name: value_of_metric((name, metric), references, labels, self.model.name)
                     for name, metric in metrics}  # fmt: skip
        returned = [like(template, tensors) for tensors in outputs]
        first, *others = [
            MetricValue(
                name=name,
                eager=eager[name],
                program=value_of_metric((name, metric), returned, labels, self.model.name),
            )
            for name, metric in metrics
        ]
        return TaskMetric(name=first.name, eager=first.eager, program=first.program, count=count, others=others)

    def _metrics_and_output(self, names: list[str]) -> tuple[list[tuple[str, Metric]], object]:
        """Return the metrics and an output of the module, the structure of which the metrics expect. Named metrics
        need only the tensors, so that the module is not built."""
        if self.result.named_metrics:
            return [(name, NAMED[name]) for name in names], list(self.reference()[0])
        built = self._built()
        with unchanged(built.module), torch.inference_mode():
            template = self.structure.bound(built.module)(*self.inputs()[0])
        declared = built.declared
        return metrics_of(declared and declared.metric, True, self.model.name), template

    def evaluation(self) -> Evaluation:
        """Return the evaluation of a bundle that has ``evaluated`` images."""
        try:
            return msgspec.json.decode((self.path / _EVALUATION).read_bytes(), type=Evaluation)
        except (OSError, msgspec.MsgspecError) as error:
            raise _incomplete(self.path) from error

    def _labels(self) -> list[Any]:
        nodes = msgspec.json.decode(self.result.labels, type=list[Node])
        tensors = _read_rows(self.path / _INPUTS, "labels")
        return [value_of(node, tensors.get(f"{row:05d}", [])) for row, node in enumerate(nodes)]

    def calibration(self) -> list[Inputs]:
        """Return the calibration inputs, none of which is an accuracy input."""
        return _read_lists(self.path / _INPUTS, "calibration")

    def reference(self) -> list[list[torch.Tensor]]:
        """Return the flattened eager outputs for each accuracy input."""
        return read_reference(self.path / _REFERENCE) or []


def write_reference(path: Path, outputs: Sequence[Sequence[torch.Tensor]]) -> None:
    """Write the outputs for each accuracy input to a file for ``read_reference``."""
    _write_lists(path, {"output": outputs})


def read_reference(path: Path) -> list[list[torch.Tensor]] | None:
    """Return the outputs for each accuracy input, or None if the file does not exist."""
    if not path.is_file():
        return None
    return [list(outputs) for outputs in _read_lists(path, "output")]


class _FactoryOutput(NamedTuple):
    """What a user's factory returned: the module with its weights, the inputs made from its example, its state, and
    what else it declares."""

    built: Built
    inputs: InputSet
    state: _State
    structure: dict[str, str]
    declared: _Declared


class _Declared(NamedTuple):
    """What an ``etui.Model`` or the files of a folder declare: tolerances by precision, metrics, the labels of the
    evaluation inputs as tensors and structure, and dynamic dimensions."""

    tolerances: dict[str, Tolerance]
    metrics: list[tuple[str, Metric]]
    labels: list[tuple[Inputs, Node]]
    dynamic: DynamicDims | None = None

    @property
    def outputs(self) -> str:
        """The kind of outputs, if a metric or a limit on top-1 implies one."""
        names = {name for name, _ in self.metrics}
        if "miou" in names:
            return "segmentation map"
        limits_top1 = any(tolerance.top1_min is not None for tolerance in self.tolerances.values())
        return "logits" if limits_top1 or names & {"top1", "top5", "f1_macro"} else ""

    def identity(self) -> object:
        """Return what identifies it; the function of a metric is part of the user's code."""
        digest = hashlib.sha256()
        for number, (tensors, node) in enumerate(self.labels):
            hash_tensors(digest, {f"{number:05d}/{index:05d}": tensor for index, tensor in enumerate(tensors)})
            digest.update(msgspec.json.encode(node))
        names = [name for name, _ in self.metrics]
        # The form of one metric keeps the keys of programs that were prepared before there could be several.
        named = names if len(names) > 1 else names[0] if names else None
        return (self.tolerances, named, digest.hexdigest(), self.dynamic)


def _chosen(model: Model, resolved: weights.Resolved, job: BundleJob) -> Chosen | None:
    """Return the evaluation on the labelled images of the job's folder, if there is one.

    Raises:
        UsageError, PreparationError: see ``choose_evaluation``.
    """
    if job.data is None or (isinstance(model, UserModel) and model.kind == "pte"):
        if job.must_evaluate:
            raise PreparationError(
                f"{model.name} is a finished program, whose accuracy is not measured in a session"
                if job.data is not None
                else "there is no data to evaluate on",
                "evaluate it with etui evaluate" if job.data is not None else "give labelled images with --data",
            )
        return None
    folder = Path(job.data)
    return choose_evaluation(model, resolved, folder, job.split, job.seed, job.shape, required=job.must_evaluate)


def _run_factory(model: Model, resolved: weights.Resolved, job: BundleJob, chosen: Chosen | None) -> _FactoryOutput:
    built = weights.load(model, resolved, job.seed, job.allow_pickle, job.shape)
    inputs = _inputs(model, resolved, job, built, chosen)
    state, attributes = _state_of(built.module, others=True), structure(built.module)
    return _FactoryOutput(built, inputs, state, attributes, _declared(built, inputs, model))


def _declared(built: Built, inputs: InputSet, model: Model) -> _Declared:
    if built.declared is None:
        return _Declared({}, [], [])
    labels = [flat_value(label, model.name) for label in inputs.labels or []]
    metrics: list[tuple[str, Metric]] = []
    # The labels of a folder's files, and whether they fit, are only known with the outputs.
    if inputs.files is None and (inputs.labels is not None or built.declared.labels is None):
        metrics = metrics_of(built.declared.metric, built.declared.labels, model.name)
    example = inputs.accuracy[0]
    call = inputs.structure or plain_structure(len(example))
    dynamic = declared_dims(built.declared.dynamic_shapes, built.module, call, example, model.name)
    return _Declared(tolerances_of(built.declared, model.name), metrics, labels, dynamic)


class _Made(NamedTuple):
    """What was made before the key was known: a factory's output, or the inputs from a folder."""

    factory_output: _FactoryOutput | None
    data: InputSet | None
    chosen: Chosen | None


def _from_folder(model: Model, resolved: weights.Resolved, job: BundleJob, chosen: Chosen | None) -> InputSet:
    """Return the inputs that a folder has for a model that is not a factory's."""
    assert job.data is not None
    if isinstance(model, ModelEntry):
        target, batch = catalog_target(model, resolved.folder, job.seed, job.shape), job.shape.batch
    elif model.kind == "pte":
        tensors = program_file_inputs(Path(model.path), 1, job.seed, job.method).accuracy[0]
        target, batch = Target(tensors, plain_structure(len(tensors)), model.name), None
    else:
        built = weights.load(model, resolved, job.seed, job.allow_pickle, job.shape)
        target, batch = target_of(model, built, job.seed, job.shape), built.rest.batch
    if resolved.trained is not None:
        target = target._replace(image=TRAINED_IMAGES, resize=None)
    return _of_target(target, job, batch, model.reference, chosen)


def _of_target(target: Target, job: BundleJob, batch: int | None, source: str, chosen: Chosen | None) -> InputSet:
    """Return the inputs that a folder has for a target of single items, in batches."""
    assert job.data is not None
    folder, counts = Path(job.data), (job.accuracy_inputs, job.calibration_count)
    if chosen is None:
        inputs = data_inputs(folder, target, *counts, job.seed)
    else:
        paths, names = chosen.evaluation.paths, (chosen.evaluation.data.split or "", chosen.calibration_split)
        inputs = split_inputs(folder, paths, chosen.calibration, names, target, *counts, job.seed)
    return at_shape(inputs, Shape(batch=batch), source)


def target_of(model: UserModel, built: Built, seed: int, shape: Shape = OWN_SHAPE) -> Target:
    """Return what files become as inputs of a user's module: of the requested shape, except for the batch."""
    assert built.example is not None
    example = built.example.take(1, seed)[0]
    check_made(shape, built.rest, example.tensors, model.reference)
    shape = msgspec.structs.replace(built.rest, batch=None)
    (tensors,) = changed_to(shape, [example.tensors], model.reference)
    return Target(tensors, example.structure, model.name, module=built.module)


def _key(
    model: Model,
    resolved: weights.Resolved,
    job: BundleJob,
    factory_output: _FactoryOutput | None,
    data: InputSet | None,
    chosen: Chosen | None,
) -> str:
    """Return the content address of a bundle: a hash over the model's code and state, inputs, options and versions."""
    described: object
    if isinstance(model, ModelEntry):
        described = (model.source, model.image, model.text, model.builder)
        if model.diffusion is not None:
            described = (described, model.diffusion)
    elif factory_output is not None:
        code = _code_of(model, factory_output.built.sources or {})
        attributes = sorted(factory_output.structure.items())
        inputs = factory_output.inputs
        described = (
            model.source,
            code,
            factory_output.state.sha256,
            attributes,
            # Where the inputs are divided decides what a program was calibrated on.
            _content_of(inputs),
            inputs.structure,
            factory_output.declared.identity(),
        )
    else:
        described = (model.source, model.identity())
    if data is not None:
        described = (described, _content_of(data))
    if chosen is not None:
        described = (described, "evaluation", chosen.evaluation.identity())
    if job.method is not None:
        described = (described, "method", job.method)
    parts = (
        (BUNDLE_VERSION, INPUTS_VERSION, resolved.identity, job.seed, job.accuracy_inputs, job.calibration_count),
        # A bundle that was built while the file's code ran must not be used if that is not allowed.
        (described, "allow pickle") if job.allow_pickle and _is_pt2(model) else described,
        *([job.shape] if job.shape != OWN_SHAPE else []),
        [_version(package) for package in ("torch", "torchvision", "transformers", "executorch")],
        *([_version("timm")] if model.source.startswith("timm:") else []),
        *([_version("diffusers")] if model.source.startswith("diffusers:") else []),
    )
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


def _content_of(inputs: InputSet) -> tuple[str | None, ...]:
    info, files = inputs.info, inputs.files
    labels = (files.identity(),) if files is not None and (files.values or files.problem) else ()
    return info.sha256, info.accuracy_sha256, info.calibration_sha256, *labels


def _code_of(model: UserModel, sources: dict[str, str]) -> dict[str, Any]:
    """Return the fields of ModelInfo that identify the code of a factory."""
    modules = {name: digest for name, digest in sorted(sources.items()) if name}
    return {"identity": model.identity_of(sources.get("", ""), modules), "sources": modules}


def _changed(model: UserModel, names: list[str]) -> PreparationError:
    subject = f"{', '.join(names)}, which {model.reference} imports," if names else model.reference
    return PreparationError(f"{subject} changed while it was measured", "run it again")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _build(
    model: Model,
    resolved: weights.Resolved,
    job: BundleJob,
    made: _Made,
    key: str,
    target: Path,
    start: float,
) -> BundleResult:
    factory_output = made.factory_output
    with making(target) as folder:
        info = ModelInfo(
            name=model.name,
            family=model.family,
            source=model.source,
            identity=model.identity(),
            outputs=model.outputs,
        )
        weights_info = WeightsInfo(kind=resolved.kind, detail=resolved.detail, revision=resolved.revision)
        stamp = file_stamp(Path(model.path)) if isinstance(model, UserModel) else None
        has_eager = not (isinstance(model, UserModel) and model.kind == "pte")
        declared, eager_metrics, dataclass_outputs = _Declared({}, [], []), list[float](), False
        is_named, labels_detail = False, ""
        if has_eager:
            if factory_output is not None:
                assert isinstance(model, UserModel)
                built, inputs, state = factory_output.built, factory_output.inputs, factory_output.state
                declared = factory_output.declared
                info = msgspec.structs.replace(info, **_code_of(model, built.sources or {}))
                (folder / _STRUCTURE).write_bytes(msgspec.json.encode(factory_output.structure))
            else:
                built = weights.load(model, resolved, job.seed, job.allow_pickle, job.shape)
                inputs = made.data or _inputs(model, resolved, job, built)
                state = _state_of(built.module, others=False)
            module = built.module
            parameters = sum(parameter.numel() for parameter in module.parameters())
            info = msgspec.structs.replace(info, parameters=parameters, dtype=weights_dtype(module))
            if not _is_pt2(model):
                state.save(folder / _WEIGHTS)
            weights_info = msgspec.structs.replace(weights_info, sha256=state.sha256)
            call = (inputs.structure or plain_structure(len(inputs.accuracy[0]))).bound(module)
            with unchanged(module), naming_layer(module, job.shape, model.name), torch.inference_mode():
                outputs = [call(*tensors) for tensors in inputs.accuracy]
            check_outputs(outputs[0], model.name)
            dataclass_outputs = has_dataclasses(outputs[0])
            register_dataclasses(outputs[0])
            write_reference(folder / _REFERENCE, [flat_outputs(output) for output in outputs])
            if made.chosen is not None:
                evaluated = made.chosen.evaluation.of_size(inputs.accuracy[0][0].shape[-2:])
                _check_columns(flat_outputs(outputs[0]), inputs.accuracy[0], evaluated, model.name)
                (folder / _EVALUATION).write_bytes(msgspec.json.encode(evaluated))
                labels_detail = f"of {evaluated.data.images:,} images of the split {evaluated.data.split}, evaluated"
            elif inputs.files is not None:
                wanted = built.declared.metric if built.declared is not None else None
                judged = judge_labels(inputs.files, model, module, outputs, wanted, weights_info.kind)
                labels = [flat_value(label, model.name) for label in judged.labels]
                declared = declared._replace(metrics=judged.metrics, labels=labels)
                eager_metrics, labels_detail = judged.eager, judged.detail
            elif declared.metrics:
                known = [value_of(node, tensors) for tensors, node in declared.labels]
                eager_metrics = [value_of_metric(metric, outputs, known, model.name) for metric in declared.metrics]
            is_named = all(NAMED.get(name) is metric for name, metric in declared.metrics)
            info = msgspec.structs.replace(info, outputs=declared.outputs or info.outputs)
        else:
            assert isinstance(model, UserModel)
            inputs = made.data or program_file_inputs(Path(model.path), job.accuracy_inputs, job.seed, job.method)
            if inputs.files is not None and inputs.files.values:
                labels_detail = (
                    f"{NOT_USED}: a finished program has no eager baseline, and its accuracy is not measured"
                )
        lists = {"accuracy": inputs.accuracy, "calibration": inputs.calibration}
        described = msgspec.structs.replace(inputs.info, labels=labels_detail)
        if declared.dynamic is not None:
            call_names = (inputs.structure or plain_structure(len(inputs.accuracy[0]))).names()
            described = msgspec.structs.replace(described, dynamic=ranges(declared.dynamic, call_names))
        _write_lists(folder / _INPUTS, {**lists, "labels": [tensors for tensors, _ in declared.labels]})
        _check_files(model, resolved, job, factory_output, stamp)
        result = BundleResult(
            path=str(target),
            key=key,
            model=info,
            weights=weights_info,
            inputs=described,
            stages=[Stage(name="load", seconds=time.perf_counter() - start)],
            cached=False,
            has_eager=has_eager,
            seed=job.seed,
            file_stamp=stamp,
            allow_pickle=job.allow_pickle,
            method=job.method,
            structure=msgspec.json.encode(inputs.structure).decode() if inputs.structure is not None else "",
            dataclass_outputs=dataclass_outputs,
            tolerances=declared.tolerances,
            metric=declared.metrics[0][0] if declared.metrics else "",
            metric_eager=eager_metrics[0] if eager_metrics else None,
            other_metrics={
                name: value for (name, _), value in zip(declared.metrics[1:], eager_metrics[1:], strict=True)
            },
            named_metrics=is_named,
            dynamic=declared.dynamic,
            labels=msgspec.json.encode([node for _, node in declared.labels]).decode() if declared.labels else "",
            shape=job.shape,
            evaluated=made.chosen.evaluation.data if made.chosen is not None else None,
            trained_outputs=None if isinstance(model, UserModel) else resolved.outputs,
            task=_task(model, resolved, job, made.chosen),
        )
        (folder / _DESCRIPTION).write_bytes(msgspec.json.encode(result))
    return result


def _task(model: Model, resolved: weights.Resolved, job: BundleJob, chosen: Chosen | None) -> dict[str, object] | None:
    metadata = task_metadata(model, resolved, job.shape, chosen)
    return None if metadata is None else msgspec.to_builtins(metadata)


def _check_files(
    model: Model, resolved: weights.Resolved, job: BundleJob, factory_output: _FactoryOutput | None, stamp: str | None
) -> None:
    """Raise PreparationError if a file that is part of the key changed while it was read."""
    if isinstance(model, UserModel) and factory_output is None and file_stamp(Path(model.path)) != stamp:
        raise _changed(model, [])
    if resolved.path is not None and not weights.is_same(resolved, Path(job.cache_dir)):
        raise PreparationError(f"{resolved.path} changed while it was read", "run it again")


def _check_columns(outputs: list[torch.Tensor], inputs: Inputs, evaluated: Evaluation, name: str) -> None:
    """Raise PreparationError if the first output is not one score for each category of each image."""
    expected = [inputs[0].shape[0], len(evaluated.outputs)]
    if list(outputs[0].shape) != expected:
        raise PreparationError(
            f"the first output of {name} has the shape {list(outputs[0].shape)}, but the images are evaluated by scores"
            f" of the shape {expected}",
            "measure it without --split, or give weights with these categories",
        )


def _inputs(
    model: Model, resolved: weights.Resolved, job: BundleJob, built: Built, chosen: Chosen | None = None
) -> InputSet:
    if isinstance(model, ModelEntry):
        return catalog_inputs(model, job.accuracy_inputs, job.calibration_count, job.seed, resolved.folder, job.shape)
    if job.data is not None:
        target = target_of(model, built, job.seed, job.shape)
        if resolved.trained is not None:
            target = target._replace(image=TRAINED_IMAGES, resize=None)
        return _of_target(target, job, built.rest.batch, model.reference, chosen)
    example, module = built.example, built.module
    assert example is not None

    def accepts(inputs: Inputs, structure: CallStructure) -> bool:
        try:
            with unchanged(module), torch.inference_mode():
                structure.bound(module)(*inputs)
        except (IndexError, RuntimeError):  # what embeddings and gather raise for an index out of range
            return False
        return True

    inputs = example_inputs(example, job.accuracy_inputs, job.calibration_count, job.seed, accepts)
    check_made(job.shape, built.rest, inputs.accuracy[0], model.reference)
    return at_shape(inputs, built.rest, model.reference)


def _structure_of(result: BundleResult, count: int) -> CallStructure:
    if not result.structure:
        return plain_structure(count)
    return msgspec.json.decode(result.structure, type=CallStructure)


def _is_factory(model: Model) -> TypeGuard[UserModel]:
    return isinstance(model, UserModel) and model.kind == "factory"


def _is_pt2(model: Model) -> TypeGuard[UserModel]:
    return isinstance(model, UserModel) and model.kind == "pt2"


def _read_description(folder: Path) -> BundleResult:
    try:
        return msgspec.json.decode((folder / _DESCRIPTION).read_bytes(), type=BundleResult)
    except (OSError, msgspec.DecodeError) as error:
        raise _incomplete(folder) from error


def _incomplete(path: Path) -> PreparationError:
    return PreparationError(
        f"{path} in the cache is damaged or missing", "measure again, without the cache if it recurs"
    )


class _State(NamedTuple):
    """The distinct tensors of a module, the names of tied tensors, and the hash over names, dtypes, shapes and bytes,
    which does not depend on a file format. Names of tensors that are not in the state dict begin with ``_OTHER``.
    """

    unique: dict[str, torch.Tensor]
    aliases: dict[str, str]
    sha256: str

    def save(self, path: Path) -> None:
        """Write the tensors for ``_load_weights``."""
        from safetensors.torch import save_file

        # safetensors does not accept tensors that share parts of their memory.
        tensors = {
            name: tensor.clone() if tensor.untyped_storage().nbytes() != tensor.nbytes else tensor
            for name, tensor in self.unique.items()
        }
        save_file(tensors, path, metadata={_ALIASES: msgspec.json.encode(self.aliases).decode()})


def weights_hash(module: nn.Module) -> str:
    """Return the hash of a catalog model's weights, which runs have."""
    return _state_of(module, others=False).sha256


def _state_of(module: nn.Module, *, others: bool) -> _State:
    """Return the state dict of a module; with ``others`` also its other tensors. For a catalog model those follow from
    its code, which is identified by package versions."""
    unique: dict[str, torch.Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[tuple[object, ...], str] = {}
    digest = hashlib.sha256()
    named = sorted(module.state_dict().items())
    if others:
        named += [(f"{_OTHER}{name}", tensor) for name, tensor in sorted(other_tensors(module).items())]
    for name, tensor in named:
        memory = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tuple(tensor.stride()))
        if tensor.numel() and memory in seen:
            aliases[name] = seen[memory]
            digest.update(f"{name}={seen[memory]};".encode())
            continue
        seen[memory] = name
        unique[name] = tensor.detach().contiguous()
        hash_tensors(digest, {name: unique[name]})
        if others and not tensor.is_contiguous():
            digest.update(f"strides {tensor.stride()};".encode())
    return _State(unique, aliases, digest.hexdigest())


def _load_weights(module: nn.Module, path: Path) -> None:
    """Load the tensors that ``_State.save`` wrote into a module, in the memory formats of its own tensors."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            aliases = msgspec.json.decode((file.metadata() or {}).get(_ALIASES, "{}"), type=dict[str, str])
    except (OSError, SafetensorError, msgspec.MsgspecError) as error:
        raise _incomplete(path) from error
    formats = {name: tensor for name, tensor in module.state_dict().items() if not tensor.is_contiguous()}
    for name in state.keys() & formats.keys():
        strided = torch.empty_strided(state[name].shape, formats[name].stride(), dtype=state[name].dtype)
        state[name] = strided.copy_(state[name])
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    for name in set(state) & parameters:
        # One Parameter object for all names of a tied weight keeps it tied.
        state[name] = nn.Parameter(state[name], requires_grad=False)
    for name, original in aliases.items():
        state[name] = state[original]
    others = {name.removeprefix(_OTHER): state.pop(name) for name in list(state) if name.startswith(_OTHER)}
    try:
        module.load_state_dict(state, assign=True)
        set_tensors(module, others)
    except (RuntimeError, AttributeError) as error:
        raise PreparationError(
            f"the weights in {path} no longer fit the model", "measure without the program cache"
        ) from error


def _write_lists(path: Path, lists: dict[str, Sequence[Sequence[torch.Tensor]]] | dict[str, list[Inputs]]) -> None:
    from safetensors.torch import save_file

    tensors = {
        f"{name}/{row:05d}/{column:03d}": tensor.detach().contiguous().clone()
        for name, rows in lists.items()
        for row, columns in enumerate(rows)
        for column, tensor in enumerate(columns)
    }
    save_file(tensors, path)


def _read_lists(path: Path, name: str) -> list[Inputs]:
    return [tuple(columns) for columns in _read_rows(path, name).values()]


def _read_rows(path: Path, name: str) -> dict[str, list[torch.Tensor]]:
    from safetensors import SafetensorError, safe_open

    rows: dict[str, list[torch.Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for key in _keys_of(name, file.keys()):
                rows.setdefault(key.split("/")[1], []).append(file.get_tensor(key))
    except (OSError, SafetensorError) as error:
        raise _incomplete(path) from error
    return rows


def _keys_of(name: str, keys: Iterable[str]) -> list[str]:
    return sorted(key for key in keys if key.startswith(f"{name}/"))


def _log_event(message: str) -> Event:
    return Event(kind="log", stage="load", message=message, at=utc_now())
