"""The bundle of a session: one model's weights, inputs and eager reference outputs, built once and kept by content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import torch
from torch import nn
from torch.utils import _pytree as pytree

from etui.catalog.find import Model, UserModel, find_model
from etui.catalog.models import ModelEntry
from etui.engine import weights
from etui.engine.examples import Examples, Inputs
from etui.engine.inputs import INPUTS_VERSION, InputSet, catalog_inputs, example_inputs, program_file_inputs
from etui.engine.models import build
from etui.errors import PreparationError
from etui.events import Event, utc_now
from etui.jobs import BundleJob, BundleResult
from etui.results import ModelInfo, Stage, WeightsInfo

BUNDLE_VERSION = 1
"""Raise it when a bundle's files change their layout or meaning."""

Say = Callable[[Event], None]

_WEIGHTS = "weights.safetensors"
_INPUTS = "inputs.safetensors"
_REFERENCE = "reference.safetensors"
_DESCRIPTION = "bundle.json"
_ALIASES = "aliases"


def run_bundle(job: BundleJob, say: Say) -> BundleResult:
    """Find or build the bundle a job asks for, under ``<cache_dir>/models/<key>``.

    Raises PreparationError (WeightsError among them) where model, weights or inputs cannot be had.
    """
    start = time.perf_counter()
    model = find_model(job.model)
    say(Event(kind="stage", stage="load", message=f"loading {model.name}", at=utc_now()))
    models = Path(job.cache_dir) / "models"
    result = _kept(models / job.key) if job.key is not None else None
    if result is None:
        resolved = weights.resolve(model, job.weights, job.seed, Path(job.cache_dir), say)
        key = _key(model, resolved, job)
        result = _kept(models / key) or _build(model, resolved, job, key, models / key, start)
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


def _kept(folder: Path) -> BundleResult | None:
    """The bundle in a folder of the cache, marked as used; None where there is none, or none that is whole."""
    if not _is_whole(folder):
        return None
    result = _described(folder)
    with contextlib.suppress(OSError):
        os.utime(folder)  # the cache removes the least recently used first
    stages = [msgspec.structs.replace(stage, cached=True) for stage in result.stages]
    return msgspec.structs.replace(result, path=str(folder), cached=True, stages=stages)


def _is_whole(folder: Path) -> bool:
    """Whether a bundle is there and none of its files is cut short; a damaged one is removed, to be built again.

    The header of a safetensors file says how long the file must be, so that opening it tells without reading it.
    """
    if not (folder / _DESCRIPTION).is_file():
        return False
    from safetensors import SafetensorError, safe_open

    try:
        for name in (_WEIGHTS, _INPUTS, _REFERENCE):
            if (folder / name).is_file():
                with safe_open(folder / name, framework="pt"):
                    pass
    except (SafetensorError, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        return False
    return True


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

        Raises PreparationError for a bundle that has no eager side, or a factory's file that changed since.
        """
        if not self.result.has_eager:
            raise PreparationError(f"{self.result.model.name} is a finished program and has no module")
        factory = isinstance(self.model, UserModel) and self.model.kind == "factory"
        if factory and self.model.identity() != self.result.model.identity:
            raise PreparationError(f"{self.model.reference} changed while it was measured", "run it again")
        module = build(self.model, initialise=False).module
        if (self.path / _WEIGHTS).is_file():
            _load_weights(module, self.path / _WEIGHTS)
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        return module

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


def _key(model: Model, resolved: weights.Resolved, job: BundleJob) -> str:
    if isinstance(model, ModelEntry):
        described: object = (model.source, model.image, model.text, model.builder)
    else:
        described = (model.source, model.identity())
    parts = (
        (BUNDLE_VERSION, INPUTS_VERSION, resolved.identity, job.seed, job.accuracy_inputs, job.calibration_count),
        described,
        [_version(package) for package in ("torch", "torchvision", "transformers", "executorch")],
    )
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _build(
    model: Model, resolved: weights.Resolved, job: BundleJob, key: str, folder: Path, start: float
) -> BundleResult:
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{os.getpid()}-", dir=folder.parent))
    try:
        info = ModelInfo(
            name=model.name,
            family=model.family,
            source=model.source,
            identity=model.identity(),
            outputs=model.outputs,
        )
        weights_info = WeightsInfo(kind=resolved.kind, detail=resolved.detail, revision=resolved.revision)
        has_eager = not (isinstance(model, UserModel) and model.kind == "pte")
        if has_eager:
            module, example = weights.load(model, resolved, job.seed)
            parameters = sum(parameter.numel() for parameter in module.parameters())
            info = msgspec.structs.replace(info, parameters=parameters)
            inputs = _inputs(model, resolved, job, example, module)
            digest = _save_weights(module, None if _is_pt2(model) else making / _WEIGHTS)
            weights_info = msgspec.structs.replace(weights_info, sha256=digest)
            with torch.inference_mode():
                write_reference(making / _REFERENCE, [flat_outputs(module(*one)) for one in inputs.accuracy])
        else:
            assert isinstance(model, UserModel)
            inputs = program_file_inputs(Path(model.path), job.accuracy_inputs, job.seed)
        _write_lists(making / _INPUTS, {"accuracy": inputs.accuracy, "calibration": inputs.calibration})
        result = BundleResult(
            path=str(folder),
            key=key,
            model=info,
            weights=weights_info,
            inputs=inputs.info,
            stages=[Stage(name="load", seconds=time.perf_counter() - start)],
            cached=False,
            has_eager=has_eager,
        )
        (making / _DESCRIPTION).write_bytes(msgspec.json.encode(result))
        put_in_place(making, folder)
        return result
    finally:
        shutil.rmtree(making, ignore_errors=True)


def put_in_place(making: Path, folder: Path) -> None:
    """Give a finished folder its name in one step; where another process was first, its folder stays."""
    try:
        making.replace(folder)
    except OSError:
        if not folder.is_dir():
            raise


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


def _is_pt2(model: Model) -> bool:
    return isinstance(model, UserModel) and model.kind == "pt2"


def _described(folder: Path) -> BundleResult:
    try:
        return msgspec.json.decode((folder / _DESCRIPTION).read_bytes(), type=BundleResult)
    except (OSError, msgspec.DecodeError) as error:
        raise PreparationError(f"the bundle {folder} is not whole", "delete the cache folder and run again") from error


def _save_weights(module: nn.Module, path: Path | None) -> str:
    """Write a module's state once a tensor (tied ones are noted by name) and give the hash over it.

    The hash is over names, types, shapes and bytes, so it does not depend on a file format.
    """
    unique: dict[str, torch.Tensor] = {}
    aliases: dict[str, str] = {}
    seen: dict[tuple[object, ...], str] = {}
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        place = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tuple(tensor.stride()))
        if tensor.numel() and place in seen:
            aliases[name] = seen[place]
            digest.update(f"{name}={seen[place]};".encode())
            continue
        seen[place] = name
        whole = tensor.detach().contiguous()
        # A tensor that shares part of another's memory gets memory of its own, or safetensors refuses it.
        unique[name] = whole.clone() if whole.untyped_storage().nbytes() != whole.nbytes else whole
        digest.update(f"{name}:{tensor.dtype}{list(tensor.shape)};".encode())
        digest.update(whole.flatten().view(torch.uint8).numpy())
    if path is not None:
        from safetensors.torch import save_file

        save_file(unique, path, metadata={_ALIASES: msgspec.json.encode(aliases).decode()})
    return digest.hexdigest()


def _load_weights(module: nn.Module, path: Path) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        aliases = msgspec.json.decode((file.metadata() or {}).get(_ALIASES, "{}"), type=dict[str, str])
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    for name in set(state) & parameters:
        # One Parameter object for every name keeps tied weights tied.
        state[name] = nn.Parameter(state[name], requires_grad=False)
    for name, original in aliases.items():
        state[name] = state[original]
    try:
        module.load_state_dict(state, assign=True)
    except RuntimeError as error:
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
    from safetensors import safe_open

    rows: dict[str, list[torch.Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for key in _of(name, file.keys()):
                rows.setdefault(key.split("/")[1], []).append(file.get_tensor(key))
    except OSError as error:
        raise PreparationError(f"{path} cannot be read", "delete the cache folder and run again") from error
    return [tuple(columns) for columns in rows.values()]


def _of(name: str, keys: Iterable[str]) -> list[str]:
    return sorted(key for key in keys if key.startswith(f"{name}/"))


def _log(message: str) -> Event:
    return Event(kind="log", stage="load", message=message, at=utc_now())
