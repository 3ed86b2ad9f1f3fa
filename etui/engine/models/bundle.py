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
from torch.utils import _pytree as pytree

from etui.catalog.find import Model, UserModel, changed_sources, find_model, is_same_file
from etui.catalog.models import ModelEntry
from etui.engine.models import weights
from etui.engine.models.build import Built, build
from etui.engine.models.exported_program import check_exported
from etui.engine.models.input_shapes import naming_layer, requested
from etui.engine.models.inputs import (
    INPUTS_VERSION,
    InputSet,
    at_shape,
    catalog_inputs,
    example_inputs,
    program_file_inputs,
)
from etui.engine.models.module_state import hash_tensors, other_tensors, set_tensors, structure
from etui.engine.models.user_inputs import Inputs
from etui.errors import PreparationError
from etui.events import Event, utc_now
from etui.files.cache_entries import discard, hold, making
from etui.files.hashing import file_stamp
from etui.jobs import BundleJob, BundleResult
from etui.results import ModelInfo, Stage, WeightsInfo
from etui.spec import OWN_SHAPE

BUNDLE_VERSION = 1
"""Increase it when a bundle's files change their layout or meaning."""

Log = Callable[[Event], None]

_WEIGHTS = "weights.safetensors"
_STRUCTURE = "structure.json"
_INPUTS = "inputs.safetensors"
_REFERENCE = "reference.safetensors"
_DESCRIPTION = "bundle.json"
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
    job = msgspec.structs.replace(job, shape=requested(model, job.shape))
    log(Event(kind="stage", stage="load", message=f"loading {model.name}", at=utc_now()))
    models = Path(job.cache_dir) / "models"
    # A factory's model is only known after the factory was called, which the eager model needs anyway.
    result = _cached(models / job.key, log) if job.key is not None and not _is_factory(model) else None
    if result is None or (result.allow_pickle and not job.allow_pickle):
        resolved = weights.resolve(model, job.weights, job.seed, Path(job.cache_dir), log)
        factory_output = _run_factory(model, resolved, job) if _is_factory(model) else None
        key = _key(model, resolved, job, factory_output)
        result = _cached(models / key, log) or _build(model, resolved, job, factory_output, key, models / key, start)
    if result.cached and _is_pt2(model) and not result.allow_pickle:
        # Earlier versions did not check exported programs.
        check_exported(Path(model.path))
    origin = "cached" if result.cached else f"loaded in {result.stages[0].seconds:.1f} s"
    log(_log_event(f"{origin}: weights {result.weights.kind} ({result.weights.detail}), inputs {result.inputs.kind} "
                   f"({result.inputs.detail})"))  # fmt: skip
    if result.inputs.split:
        log(_log_event(f"evaluation and calibration inputs: {result.inputs.split}"))
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
        )
        self._check_same(built)
        module = built.module
        if (self.path / _WEIGHTS).is_file():
            _load_weights(module, self.path / _WEIGHTS)
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        return module

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

    def inputs(self) -> list[Inputs]:
        """Return the accuracy inputs in order; each is the tensors of one inference. Latency uses the first ones."""
        return _read_lists(self.path / _INPUTS, "accuracy")

    def calibration(self) -> list[Inputs]:
        """Return the calibration inputs, none of which is an accuracy input."""
        return _read_lists(self.path / _INPUTS, "calibration")

    def reference(self) -> list[list[torch.Tensor]]:
        """Return the flattened eager outputs for each accuracy input."""
        return read_reference(self.path / _REFERENCE) or []


def flat_outputs(outputs: object) -> list[torch.Tensor]:
    """Return the tensors of a module's output in order, contiguous."""
    return [leaf.detach().contiguous() for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor)]


def write_reference(path: Path, outputs: Sequence[Sequence[torch.Tensor]]) -> None:
    """Write the outputs for each accuracy input to a file for ``read_reference``."""
    _write_lists(path, {"output": outputs})


def read_reference(path: Path) -> list[list[torch.Tensor]] | None:
    """Return the outputs for each accuracy input, or None if the file does not exist."""
    if not path.is_file():
        return None
    return [list(outputs) for outputs in _read_lists(path, "output")]


class _FactoryOutput(NamedTuple):
    """What a user's factory returned: the module with its weights, the inputs made from its example, and its state."""

    built: Built
    inputs: InputSet
    state: _State
    structure: dict[str, str]


def _run_factory(model: Model, resolved: weights.Resolved, job: BundleJob) -> _FactoryOutput:
    built = weights.load(model, resolved, job.seed, job.allow_pickle, job.shape)
    inputs = _inputs(model, resolved, job, built)
    return _FactoryOutput(built, inputs, _state_of(built.module, others=True), structure(built.module))


def _key(model: Model, resolved: weights.Resolved, job: BundleJob, factory_output: _FactoryOutput | None) -> str:
    """Return the content address of a bundle: a hash over the model's code and state, inputs, options and versions."""
    described: object
    if isinstance(model, ModelEntry):
        described = (model.source, model.image, model.text, model.builder)
    elif factory_output is not None:
        code = _code_of(model, factory_output.built.sources or {})
        attributes = sorted(factory_output.structure.items())
        inputs_sha256 = factory_output.inputs.info.sha256
        described = (model.source, code, factory_output.state.sha256, attributes, inputs_sha256)
    else:
        described = (model.source, model.identity())
    parts = (
        (BUNDLE_VERSION, INPUTS_VERSION, resolved.identity, job.seed, job.accuracy_inputs, job.calibration_count),
        # A bundle that was built while the file's code ran must not be used if that is not allowed.
        (described, "allow pickle") if job.allow_pickle and _is_pt2(model) else described,
        *([job.shape] if job.shape != OWN_SHAPE else []),
        [_version(package) for package in ("torch", "torchvision", "transformers", "executorch")],
    )
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


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
    factory_output: _FactoryOutput | None,
    key: str,
    target: Path,
    start: float,
) -> BundleResult:
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
        if has_eager:
            if factory_output is not None:
                assert isinstance(model, UserModel)
                built, inputs, state = factory_output.built, factory_output.inputs, factory_output.state
                info = msgspec.structs.replace(info, **_code_of(model, built.sources or {}))
                (folder / _STRUCTURE).write_bytes(msgspec.json.encode(factory_output.structure))
            else:
                built = weights.load(model, resolved, job.seed, job.allow_pickle, job.shape)
                inputs = _inputs(model, resolved, job, built)
                state = _state_of(built.module, others=False)
            module = built.module
            parameters = sum(parameter.numel() for parameter in module.parameters())
            info = msgspec.structs.replace(info, parameters=parameters)
            if not _is_pt2(model):
                state.save(folder / _WEIGHTS)
            weights_info = msgspec.structs.replace(weights_info, sha256=state.sha256)
            with naming_layer(module, job.shape, model.name), torch.inference_mode():
                write_reference(folder / _REFERENCE, [flat_outputs(module(*tensors)) for tensors in inputs.accuracy])
        else:
            assert isinstance(model, UserModel)
            inputs = program_file_inputs(Path(model.path), job.accuracy_inputs, job.seed)
        _write_lists(folder / _INPUTS, {"accuracy": inputs.accuracy, "calibration": inputs.calibration})
        _check_files(model, resolved, job, factory_output, stamp)
        result = BundleResult(
            path=str(target),
            key=key,
            model=info,
            weights=weights_info,
            inputs=inputs.info,
            stages=[Stage(name="load", seconds=time.perf_counter() - start)],
            cached=False,
            has_eager=has_eager,
            seed=job.seed,
            file_stamp=stamp,
            allow_pickle=job.allow_pickle,
            shape=job.shape,
        )
        (folder / _DESCRIPTION).write_bytes(msgspec.json.encode(result))
    return result


def _check_files(
    model: Model, resolved: weights.Resolved, job: BundleJob, factory_output: _FactoryOutput | None, stamp: str | None
) -> None:
    """Raise PreparationError if a file that is part of the key changed while it was read."""
    if isinstance(model, UserModel) and factory_output is None and file_stamp(Path(model.path)) != stamp:
        raise _changed(model, [])
    if resolved.path is not None and not weights.is_same(resolved, Path(job.cache_dir)):
        raise PreparationError(f"{resolved.path} changed while it was read", "run it again")


def _inputs(model: Model, resolved: weights.Resolved, job: BundleJob, built: Built) -> InputSet:
    example, module = built.example, built.module
    if isinstance(model, ModelEntry):
        return catalog_inputs(model, job.accuracy_inputs, job.calibration_count, job.seed, resolved.folder, job.shape)
    assert example is not None

    def accepts(inputs: Inputs) -> bool:
        try:
            with torch.inference_mode():
                module(*inputs)
        except (IndexError, RuntimeError):  # what embeddings and gather raise for an index out of range
            return False
        return True

    inputs = example_inputs(example, job.accuracy_inputs, job.calibration_count, job.seed, accepts)
    return at_shape(inputs, built.rest, model.reference)


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
    from safetensors import SafetensorError, safe_open

    rows: dict[str, list[torch.Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for key in _keys_of(name, file.keys()):
                rows.setdefault(key.split("/")[1], []).append(file.get_tensor(key))
    except (OSError, SafetensorError) as error:
        raise _incomplete(path) from error
    return [tuple(columns) for columns in rows.values()]


def _keys_of(name: str, keys: Iterable[str]) -> list[str]:
    return sorted(key for key in keys if key.startswith(f"{name}/"))


def _log_event(message: str) -> Event:
    return Event(kind="log", stage="load", message=message, at=utc_now())
