"""The bundle of a session: one model's weights, inputs and eager reference outputs, built once and kept by content."""

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
from etui.engine.models.inputs import INPUTS_VERSION, InputSet, catalog_inputs, example_inputs, program_file_inputs
from etui.engine.models.module_state import hash_tensors, other_tensors, set_tensors, structure
from etui.engine.models.user_inputs import Examples, Inputs
from etui.errors import PreparationError
from etui.events import Event, utc_now
from etui.files.cache_entries import discard, hold, making
from etui.files.hashing import file_stamp
from etui.jobs import BundleJob, BundleResult
from etui.results import ModelInfo, Stage, WeightsInfo

BUNDLE_VERSION = 1
"""Raise it when a bundle's files change their layout or meaning."""

Log = Callable[[Event], None]

_WEIGHTS = "weights.safetensors"
_STRUCTURE = "structure.json"
_INPUTS = "inputs.safetensors"
_REFERENCE = "reference.safetensors"
_DESCRIPTION = "bundle.json"
_ALIASES = "aliases"
_OTHER = "@"
"""Begins the name of a tensor that the state dict does not have."""


def run_bundle(job: BundleJob, say: Log) -> BundleResult:
    """Find or build the bundle a job asks for, under ``<cache_dir>/models/<key>``.

    Raises PreparationError (WeightsError among them) where model, weights or inputs cannot be had.
    """
    start = time.perf_counter()
    model = find_model(job.model)
    say(Event(kind="stage", stage="load", message=f"loading {model.name}", at=utc_now()))
    models = Path(job.cache_dir) / "models"
    # What a factory gives is only known once it has been called, and the eager model needs it to be called anyway.
    result = _kept(models / job.key, say) if job.key is not None and not _is_factory(model) else None
    if result is None or (result.allow_pickle and not job.allow_pickle):
        resolved = weights.resolve(model, job.weights, job.seed, Path(job.cache_dir), say)
        made = _make(model, resolved, job) if _is_factory(model) else None
        key = _key(model, resolved, job, made)
        result = _kept(models / key, say) or _build(model, resolved, job, made, key, models / key, start)
    if result.cached and _is_pt2(model) and not result.allow_pickle:
        # Earlier versions loaded any.
        check_exported(Path(model.path))
    what = "cached" if result.cached else f"loaded in {result.stages[0].seconds:.1f} s"
    say(_log(f"{what}: weights {result.weights.kind} ({result.weights.detail}), inputs {result.inputs.kind} "
             f"({result.inputs.detail})"))  # fmt: skip
    if result.inputs.split:
        say(_log(f"inputs are split: {result.inputs.split}"))
    if result.weights.kind == "synthetic":
        say(
            Event(
                kind="warning",
                level="warning",
                stage="load",
                message="SYNTHETIC WEIGHTS: times are real, but accuracy figures are not those of the trained model",
                at=utc_now(),
            )
        )
    return result


def _kept(folder: Path, say: Log) -> BundleResult | None:
    """The bundle in a folder of the cache; None if there is none. Whether its other files hold what was written is for
    the runner to check, which knows what it has checked before."""
    if not folder.is_dir():
        return None
    try:
        result = msgspec.json.decode((folder / _DESCRIPTION).read_bytes(), type=BundleResult)
    except (OSError, msgspec.MsgspecError):
        wrong = f"{_DESCRIPTION} is missing or not readable"
        held = hold(folder)
        try:
            discard(folder, held, wrong)
        finally:
            if held is not None:
                held.release()
        say(
            Event(
                kind="warning",
                level="warning",
                stage="load",
                message=f"the cached model was damaged and is loaded again: {wrong}",
                at=utc_now(),
            )
        )
        return None
    stages = [msgspec.structs.replace(stage, cached=True) for stage in result.stages]
    return msgspec.structs.replace(result, path=str(folder), cached=True, stages=stages)


class Bundle:
    """An opened bundle: what every child of a session takes its model, inputs and references from."""

    def __init__(self, path: Path, model: Model, result: BundleResult) -> None:
        self.path = path
        self.model = model
        self.result = result

    @classmethod
    def open(cls, path: Path, model: str) -> Bundle:
        """Open the folder that ``run_bundle`` made. Raises PreparationError where it is not whole."""
        return cls(path, find_model(model), _described(path))

    def eager(self) -> nn.Module:
        """The FP32 module in eval mode, its weights mapped from the bundle's file, no gradients.

        It is built by the same code and from the same seed as the one that computed the reference, and holds the same
        tensors. Raises PreparationError for a bundle that has no eager side, or if the user's file, a module that it
        imports or what its factory builds is no longer the same.
        """
        if not self.result.has_eager:
            raise PreparationError(f"{self.result.model.name} is a finished program and has no module")
        if _is_factory(self.model) and not is_same_file(self.model.identity(), self.result.model.identity):
            raise _changed(self.model, [])
        if _is_pt2(self.model):
            # Before anything of it is loaded.
            self._check_file()
        built = build(self.model, initialise=False, seed=self.result.seed, allow_pickle=self.result.allow_pickle)
        self._check_same(built)
        module = built.module
        if (self.path / _WEIGHTS).is_file():
            _load_weights(module, self.path / _WEIGHTS)
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        return module

    def _check_same(self, built: Built) -> None:
        """Raise PreparationError unless a user's model was built as it was for the reference."""
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
            raise _not_whole(self.path) from error
        found = structure(built.module)
        others = sorted(path for path in known.keys() | found.keys() if known.get(path) != found.get(path))
        if others:
            raise PreparationError(
                f"{model.reference} built another model than before: {others[0] or 'its outermost module'} has other"
                " attributes",
                "have the factory build the same model at every call, and run it again",
            )

    def _check_file(self) -> None:
        """Raise PreparationError unless a user's file is what it was for the reference."""
        model = self.model
        assert isinstance(model, UserModel)
        if file_stamp(Path(model.path)) != self.result.file_stamp and model.identity() != self.result.model.identity:
            raise _changed(model, [])

    def inputs(self) -> list[Inputs]:
        """The accuracy inputs, in order; each is what one inference takes. Measuring uses the first ones."""
        return _read_lists(self.path / _INPUTS, "accuracy")

    def calibration(self) -> list[Inputs]:
        """The calibration inputs, none of which is an accuracy input."""
        return _read_lists(self.path / _INPUTS, "calibration")

    def reference(self) -> list[list[torch.Tensor]]:
        """The eager outputs, flat, for each accuracy input."""
        return read_reference(self.path / _REFERENCE) or []


def flat_outputs(outputs: object) -> list[torch.Tensor]:
    """The tensors of a module's output, in order, contiguous."""
    return [leaf.detach().contiguous() for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor)]


def write_reference(path: Path, outputs: Sequence[Sequence[torch.Tensor]]) -> None:
    """Write the outputs for each accuracy input to a file that ``read_reference`` reads."""
    _write_lists(path, {"output": outputs})


def read_reference(path: Path) -> list[list[torch.Tensor]] | None:
    """The outputs for each accuracy input, or None where there is no such file."""
    if not path.is_file():
        return None
    return [list(outputs) for outputs in _read_lists(path, "output")]


class _Made(NamedTuple):
    """What a user's factory gave: the module with its weights, the inputs made from its example, and its state."""

    built: Built
    inputs: InputSet
    state: _State
    structure: dict[str, str]


def _make(model: Model, resolved: weights.Resolved, job: BundleJob) -> _Made:
    built = weights.load(model, resolved, job.seed, job.allow_pickle)
    inputs = _inputs(model, resolved, job, built.example, built.module)
    return _Made(built, inputs, _state_of(built.module, others=True), structure(built.module))


def _key(model: Model, resolved: weights.Resolved, job: BundleJob, made: _Made | None) -> str:
    """The content address of a bundle: the code and the state of the model, the inputs, and what they are made with."""
    described: object
    if isinstance(model, ModelEntry):
        described = (model.source, model.image, model.text, model.builder)
    elif made is not None:
        code = _code_of(model, made.built.sources or {})
        described = (model.source, code, made.state.sha256, sorted(made.structure.items()), made.inputs.info.sha256)
    else:
        described = (model.source, model.identity())
    parts = (
        (BUNDLE_VERSION, INPUTS_VERSION, resolved.identity, job.seed, job.accuracy_inputs, job.calibration_count),
        # What was made while code of the file ran must not be taken where that is not allowed.
        (described, "allow pickle") if job.allow_pickle and _is_pt2(model) else described,
        [_version(package) for package in ("torch", "torchvision", "transformers", "executorch")],
    )
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


def _code_of(model: UserModel, sources: dict[str, str]) -> dict[str, Any]:
    """The fields of ModelInfo that name the code a factory was run from."""
    modules = {name: digest for name, digest in sorted(sources.items()) if name}
    return {"identity": model.identity_of(sources.get("", ""), modules), "sources": modules}


def _changed(model: UserModel, names: list[str]) -> PreparationError:
    what = f"{', '.join(names)}, which {model.reference} imports," if names else model.reference
    return PreparationError(f"{what} changed while it was measured", "run it again")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _build(
    model: Model,
    resolved: weights.Resolved,
    job: BundleJob,
    made: _Made | None,
    key: str,
    folder: Path,
    start: float,
) -> BundleResult:
    with making(folder) as made_in:
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
            built = made.built if made else weights.load(model, resolved, job.seed, job.allow_pickle)
            module = built.module
            parameters = sum(parameter.numel() for parameter in module.parameters())
            info = msgspec.structs.replace(info, parameters=parameters)
            inputs = made.inputs if made else _inputs(model, resolved, job, built.example, module)
            state = made.state if made else _state_of(module, others=False)
            if not _is_pt2(model):
                state.save(made_in / _WEIGHTS)
            if made is not None:
                assert isinstance(model, UserModel)
                info = msgspec.structs.replace(info, **_code_of(model, built.sources or {}))
                (made_in / _STRUCTURE).write_bytes(msgspec.json.encode(made.structure))
            weights_info = msgspec.structs.replace(weights_info, sha256=state.sha256)
            with torch.inference_mode():
                write_reference(made_in / _REFERENCE, [flat_outputs(module(*one)) for one in inputs.accuracy])
        else:
            assert isinstance(model, UserModel)
            inputs = program_file_inputs(Path(model.path), job.accuracy_inputs, job.seed)
        _write_lists(made_in / _INPUTS, {"accuracy": inputs.accuracy, "calibration": inputs.calibration})
        _check_files(model, resolved, job, made, stamp)
        result = BundleResult(
            path=str(folder),
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
        )
        (made_in / _DESCRIPTION).write_bytes(msgspec.json.encode(result))
    return result


def _check_files(
    model: Model, resolved: weights.Resolved, job: BundleJob, made: _Made | None, stamp: str | None
) -> None:
    """Raise PreparationError if a file that is named in the key was written while it was read."""
    if isinstance(model, UserModel) and made is None and file_stamp(Path(model.path)) != stamp:
        raise _changed(model, [])
    if resolved.path is not None and not weights.is_same(resolved, Path(job.cache_dir)):
        raise PreparationError(f"{resolved.path} changed while it was read", "run it again")


def _inputs(
    model: Model, resolved: weights.Resolved, job: BundleJob, example: Examples | None, module: nn.Module
) -> InputSet:
    if isinstance(model, ModelEntry):
        return catalog_inputs(model, job.accuracy_inputs, job.calibration_count, job.seed, resolved.folder)
    assert example is not None

    def accepts(inputs: Inputs) -> bool:
        try:
            with torch.inference_mode():
                module(*inputs)
        except (IndexError, RuntimeError):  # an index out of range, as an embedding or gather reports it
            return False
        return True

    return example_inputs(example, job.accuracy_inputs, job.calibration_count, job.seed, accepts)


def _is_factory(model: Model) -> TypeGuard[UserModel]:
    return isinstance(model, UserModel) and model.kind == "factory"


def _is_pt2(model: Model) -> TypeGuard[UserModel]:
    return isinstance(model, UserModel) and model.kind == "pt2"


def _described(folder: Path) -> BundleResult:
    try:
        return msgspec.json.decode((folder / _DESCRIPTION).read_bytes(), type=BundleResult)
    except (OSError, msgspec.DecodeError) as error:
        raise _not_whole(folder) from error


def _not_whole(path: Path) -> PreparationError:
    return PreparationError(f"{path} in the cache is damaged or not there", "run it again; or with --no-cache")


class _State(NamedTuple):
    """The tensors of a module, each once, with the names of tied ones; and the hash over names, types, shapes and
    bytes, which does not depend on a file format. Names of those that the state dict leaves out begin with ``_OTHER``.
    """

    unique: dict[str, torch.Tensor]
    aliases: dict[str, str]
    sha256: str

    def save(self, path: Path) -> None:
        """Write the tensors for ``_load_weights``."""
        from safetensors.torch import save_file

        # A tensor that shares part of another's memory gets memory of its own, or safetensors refuses it.
        tensors = {
            name: tensor.clone() if tensor.untyped_storage().nbytes() != tensor.nbytes else tensor
            for name, tensor in self.unique.items()
        }
        save_file(tensors, path, metadata={_ALIASES: msgspec.json.encode(self.aliases).decode()})


def _state_of(module: nn.Module, *, others: bool) -> _State:
    """The state dict of a module; with ``others`` everything else that it computes with, too. Of a catalog's model that
    follows from its code, which its versions name."""
    unique: dict[str, torch.Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[tuple[object, ...], str] = {}
    digest = hashlib.sha256()
    named = sorted(module.state_dict().items())
    if others:
        named += [(f"{_OTHER}{name}", tensor) for name, tensor in sorted(other_tensors(module).items())]
    for name, tensor in named:
        place = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tuple(tensor.stride()))
        if tensor.numel() and place in seen:
            aliases[name] = seen[place]
            digest.update(f"{name}={seen[place]};".encode())
            continue
        seen[place] = name
        unique[name] = tensor.detach().contiguous()
        hash_tensors(digest, {name: unique[name]})
        if others and not tensor.is_contiguous():
            digest.update(f"strides {tensor.stride()};".encode())
    return _State(unique, aliases, digest.hexdigest())


def _load_weights(module: nn.Module, path: Path) -> None:
    """Put the tensors that ``_State.save`` wrote into a module, in the memory format that its own have."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            aliases = msgspec.json.decode((file.metadata() or {}).get(_ALIASES, "{}"), type=dict[str, str])
    except (OSError, SafetensorError, msgspec.MsgspecError) as error:
        raise _not_whole(path) from error
    formats = {name: tensor for name, tensor in module.state_dict().items() if not tensor.is_contiguous()}
    for name in state.keys() & formats.keys():
        strided = torch.empty_strided(state[name].shape, formats[name].stride(), dtype=state[name].dtype)
        state[name] = strided.copy_(state[name])
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    for name in set(state) & parameters:
        # One Parameter object for every name keeps tied weights tied.
        state[name] = nn.Parameter(state[name], requires_grad=False)
    for name, original in aliases.items():
        state[name] = state[original]
    others = {name.removeprefix(_OTHER): state.pop(name) for name in list(state) if name.startswith(_OTHER)}
    try:
        module.load_state_dict(state, assign=True)
        set_tensors(module, others)
    except (RuntimeError, AttributeError) as error:
        raise PreparationError(f"the weights in {path} do not fit the model any more", "run with --no-cache") from error


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
            for key in _of(name, file.keys()):
                rows.setdefault(key.split("/")[1], []).append(file.get_tensor(key))
    except (OSError, SafetensorError) as error:
        raise _not_whole(path) from error
    return [tuple(columns) for columns in rows.values()]


def _of(name: str, keys: Iterable[str]) -> list[str]:
    return sorted(key for key in keys if key.startswith(f"{name}/"))


def _log(message: str) -> Event:
    return Event(kind="log", stage="load", message=message, at=utc_now())
