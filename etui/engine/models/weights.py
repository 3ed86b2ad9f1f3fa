"""Choose the weights of a model and load them: published weights, a checkpoint, or synthetic weights."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from etui.catalog.find import Model, UserModel
from etui.catalog.models import ImageRecipe, ModelEntry
from etui.engine.explain.error_text import first_line
from etui.engine.models import hub, timm_models
from etui.engine.models.build import Built, build, build_raw, finish, transformers_parts
from etui.engine.models.file_hashes import content_hash
from etui.engine.models.inputs import photos
from etui.engine.models.trained_checkpoint import TrainedCheckpoint, trained_checkpoint
from etui.errors import WeightsError
from etui.events import Event, utc_now
from etui.spec import OWN_SHAPE, Shape
from etui.task_data.checkpoint_header import OWN_TENSORS

SYNTHETIC_VERSION = 1
"""Increase it when the same seed gives other synthetic weights than before."""

FETCH_AUTO_S = 120.0
FETCH_PRETRAINED_S = 1800.0

_DEAD_WEIGHT_STD = 0.02
_SETTLING_BATCHES = 2
_SETTLING_PIXELS = 8 * 224 * 224

Log = Callable[[Event], None]
StateDict = dict[str, torch.Tensor]


class Resolved(NamedTuple):
    """The chosen weights, before anything is built. ``identity`` changes when the weights do; ``path`` is their file or
    Hugging Face folder. ``trained`` is the metadata of a checkpoint of `etui train`."""

    kind: Literal["pretrained", "checkpoint", "synthetic", "embedded"]
    detail: str
    identity: str
    path: Path | None = None
    revision: str | None = None
    trained: TrainedCheckpoint | None = None

    @property
    def outputs(self) -> int | None:
        """The number of outputs that a checkpoint of a training needs."""
        return None if self.trained is None else len(self.trained.categories)

    @property
    def folder(self) -> Path | None:
        """The Hugging Face folder, which may contain a tokenizer."""
        return self.path if self.path is not None and self.path.is_dir() else None


def resolve(model: Model, weights: str, seed: int, cache_dir: Path, log: Log) -> Resolved:
    """Choose the weights for ``auto``, ``pretrained``, ``synthetic`` or a path, without loading them.

    May download published weights.

    Raises:
        WeightsError: the requested weights are not available.
    """
    if isinstance(model, UserModel):
        return _resolve_user(model, weights, cache_dir)
    if weights == "synthetic":
        return _synthetic(seed)
    if weights not in {"auto", "pretrained"}:
        return _from_path(weights, cache_dir)
    hub.remove_stale_parts()
    published = hub.find_local(model)
    if published is None and hub.local_folder(model) is not None:
        if weights == "pretrained":
            raise WeightsError(f"{model.source_id} has no model.safetensors", "select auto, or give another folder")
        return _synthetic(seed)
    if published is None and model.source_kind == "timm" and not hub.hub_repository(model):
        if weights == "pretrained":
            raise WeightsError(f"timm has no weights of {model.name} on Hugging Face", "select auto, or give a file")
        return _synthetic(seed)
    if published is None and not hub.hub_repository(model) and model.source_kind == "diffusers":
        if weights == "pretrained":
            raise WeightsError(f"{model.name} has no published weights", "select auto, or give a file")
        return _synthetic(seed)
    if published is None:
        published = _fetch(model, weights == "pretrained", cache_dir, log)
    if published is None:
        return _synthetic(seed)
    identity = _identity(published.path, cache_dir)
    return Resolved("pretrained", published.detail, identity, published.path, published.revision)


def fit(module: nn.Module, path: Path) -> None:
    """Load the weights of a file or folder into a module. Raises WeightsError if they cannot be read or do not fit."""
    _fit(module, read_state_dict(path), path)


def is_same(resolved: Resolved, cache_dir: Path) -> bool:
    """Return whether the files of weights are unchanged since they were resolved."""
    return resolved.path is None or _identity(resolved.path, cache_dir) == resolved.identity


def load(model: Model, resolved: Resolved, seed: int, allow_pickle: bool = False, shape: Shape = OWN_SHAPE) -> Built:
    """Build the module to measure with its weights, in eval mode. ``allow_pickle`` lets an exported program run its own
    code; a factory gets the parts of ``shape`` that it has parameters for.

    Raises:
        WeightsError: the weights do not fit.
    """
    if isinstance(model, UserModel):
        built = build(model, seed=seed, allow_pickle=allow_pickle, shape=shape)
        if resolved.path is not None:
            _fit(built.module, read_state_dict(resolved.path), resolved.path)
        return built
    if resolved.path is None:
        torch.manual_seed(seed)
        raw = build_raw(model, initialize=True)
        _randomize_zero_weights(raw, seed)
        module = finish(model, raw)
        if model.image is not None:
            _estimate_batch_norm(module, model.image, seed)
        return Built(module, None)
    state = read_state_dict(resolved.path)
    if model.source_kind in {"torchvision", "diffusers"}:
        raw = build_raw(model, initialize=False, outputs=resolved.outputs)
        _fit(raw, state, resolved.path)
    elif model.source_kind == "timm":
        raw = _load_timm(model, state, resolved.path)
    else:
        raw = _load_transformers(model, state, resolved.path)
    return Built(finish(model, raw), None)


def read_state_dict(path: Path) -> StateDict:
    """Read the tensors of a safetensors file, a state dict saved by torch, or a Hugging Face folder; never runs code.

    Raises:
        WeightsError: they cannot be read.
    """
    if path.is_dir():
        state: StateDict = {}
        for part in _weight_files(path):
            state.update(read_state_dict(part))
        return state
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return {name: tensor for name, tensor in load_file(path).items() if not name.startswith(OWN_TENSORS)}
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} was not loaded, because it contains more than tensors or is corrupt",
            "save a plain state dict: torch.save(module.state_dict(), FILE)",
        ) from error
    except MemoryError:
        raise
    except Exception as error:
        # Torch's unpickler may raise any exception for a damaged file.
        kind = "safetensors file" if path.suffix == ".safetensors" else "state dict"
        raise WeightsError(f"{path} is not a readable {kind}: {first_line(error)}", _REPLACE) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict) or not loaded or not all(isinstance(x, torch.Tensor) for x in loaded.values()):
        raise WeightsError(f"{path} is not a state dict of tensors", "save module.state_dict()")
    return {str(name).removeprefix("module."): tensor for name, tensor in loaded.items()}


_REPLACE = "give another file, or select auto"


def _resolve_user(model: UserModel, weights: str, cache_dir: Path) -> Resolved:
    if weights in {"auto", "synthetic"}:
        return Resolved("embedded", "from your own file", "embedded")
    if weights == "pretrained":
        raise WeightsError("your own model has no published weights", "select auto, or give a file")
    if model.kind != "factory":
        raise WeightsError(f"a .{model.kind} contains its own weights", "select auto")
    return _from_path(weights, cache_dir)


def _from_path(weights: str, cache_dir: Path) -> Resolved:
    path = Path(weights).expanduser().absolute()
    if not path.exists():
        raise WeightsError(f"weights not found: {path}", "check the path, or use auto, pretrained or synthetic")
    if not path.is_dir() and not path.is_file():
        raise WeightsError(f"{path} is neither a file nor a folder", _REPLACE)
    if path.is_dir():
        return Resolved("checkpoint", f"folder {path.name}", _identity(path, cache_dir), path)
    identity = _identity(path, cache_dir)
    return Resolved("checkpoint", f"file {path.name}", identity, path, trained=trained_checkpoint(path))


def _synthetic(seed: int) -> Resolved:
    return Resolved("synthetic", f"random, seed {seed}", f"synthetic:{SYNTHETIC_VERSION}:{seed}")


def _fetch(entry: ModelEntry, required: bool, cache_dir: Path, log: Log) -> hub.Published | None:
    """Download published weights from their hub; None if they are not ``required`` and not available."""
    title = f"published weights of {entry.name}"
    if not required and hub.recently_unreachable(cache_dir, entry.source_kind):
        _log_message(log, f"not downloading {title}: the hub was unreachable a few minutes ago")
        return None
    _log_message(log, f"downloading {title}")
    try:
        return hub.fetch(entry, FETCH_PRETRAINED_S if required else FETCH_AUTO_S)
    except OSError as error:
        if required:
            raise WeightsError(
                f"{title} not found in {hub.search_location(entry)}, and the hub is unreachable ({first_line(error)})",
                "put them there, give a path, or select synthetic weights",
            ) from error
        hub.remember_unreachable(cache_dir, entry.source_kind)
        pause_minutes = hub.REMEMBER_S / 60
        _log_message(
            log, f"{title} unreachable ({first_line(error)}); the next attempt is in {pause_minutes:.0f} minutes"
        )
        return None


def _weight_files(folder: Path) -> list[Path]:
    """Return the weight files of a Hugging Face folder; safetensors have precedence over torch's format."""
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            listed = json.loads(index.read_text("utf-8"))["weight_map"].values()
            # Only file names, so that an index cannot refer to files outside its folder, or to the folder itself.
            files = [folder / name for name in sorted({Path(str(entry)).name for entry in listed}) if name]
            is_usable = bool(files) and not any(file.is_dir() for file in files)
        except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
            raise WeightsError(f"{index} is not a readable index: {first_line(error)}", _REPLACE) from error
        if not is_usable:
            raise WeightsError(f"{index} is not a readable index: it names no files", _REPLACE)
        return files
    legacy = folder / "pytorch_model.bin"
    if legacy.is_file():
        return [legacy]
    raise WeightsError(f"{folder} has no model.safetensors or pytorch_model.bin", "give a Hugging Face folder")


def _identity(path: Path, cache_dir: Path) -> str:
    """Return a hash over the content of a weight file, or over the weight, tokenizer and other files of a folder.

    Raises WeightsError if one cannot be read.
    """
    files = [path]
    try:
        if path.is_dir():
            # A folder often has the same weights in several formats, of which one is read.
            others = (x for x in path.iterdir() if x.is_file() and x.suffix not in _WEIGHT_SUFFIXES)
            # Missing files of an index are reported when they are read.
            files = [*(x for x in _weight_files(path) if x.is_file()), *others]
        return f"sha256:{content_hash(files, cache_dir)}"
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror or error}", _REPLACE) from error


_WEIGHT_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".ot"})


def _fit(module: nn.Module, state: StateDict, path: Path) -> None:
    try:
        missing, unexpected = module.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise WeightsError(f"{path.name} does not fit the model: {lines[-1].strip()}", _OTHER_MODEL) from error
    _refuse_misfit(path, list(missing), list(unexpected))


_OTHER_MODEL = "these are the weights of another model; give the right file"


def _refuse_misfit(path: Path, missing: list[str], unexpected: list[str]) -> None:
    if missing or unexpected:
        parts = [f"{len(keys)} {kind}, such as {keys[0]}" for kind, keys in
                 (("missing", sorted(missing)), ("unexpected", sorted(unexpected))) if keys]  # fmt: skip
        raise WeightsError(f"{path.name} does not fit the model: {', '.join(parts)}", _OTHER_MODEL)


def _load_timm(entry: ModelEntry, state: StateDict, path: Path) -> nn.Module:
    """Build a model of timm with a state dict, using the library's rules for old names and sizes."""
    if not state:  # without a state timm would download one
        raise WeightsError(f"{path.name} does not fit the model: it has no tensors", _OTHER_MODEL)
    try:
        return timm_models.create(entry.source_id, state)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise WeightsError(f"{path.name} does not fit the model: {lines[-1].strip()}", _OTHER_MODEL) from error


def _load_transformers(entry: ModelEntry, state: StateDict, path: Path) -> nn.Module:
    """Build a transformers model with a state dict, using the library's rules for old names and tied weights."""
    assert entry.builder is not None
    architecture, config = transformers_parts(entry.builder)
    try:
        module, report = architecture.from_pretrained(
            None,
            config=config,
            state_dict=state,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        raise WeightsError(f"{path.name} does not fit the model: {first_line(error)}", _OTHER_MODEL) from error
    mismatched = sorted(report["mismatched_keys"])
    if mismatched:
        name, given, expected = mismatched[0]
        raise WeightsError(
            f"{path.name} does not fit the model: {name} is {list(given)}, not {list(expected)}", _OTHER_MODEL
        )
    # Unexpected weights may be another head or tower of the checkpoint; missing weights would stay random.
    _refuse_misfit(path, list(report["missing_keys"]), [])
    loaded: nn.Module = module
    return loaded


def _randomize_zero_weights(module: nn.Module, seed: int) -> None:
    """Give all-zero weight matrices random values, since otherwise untrained outputs are constant and prove nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            # Checking the first values first avoids scanning nearly every matrix.
            if parameter.dim() > 1 and not parameter.flatten()[:64].any() and not parameter.any():
                parameter.normal_(0.0, _DEAD_WEIGHT_STD, generator=generator)


def _estimate_batch_norm(module: nn.Module, recipe: ImageRecipe, seed: int) -> None:
    """Estimate the BatchNorm statistics of random weights on real photos, with other layers in eval mode.

    With default statistics the activations of deep networks vanish, and every error looks small.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None
        layer.train()
    size = max(2, _SETTLING_PIXELS // recipe.size**2)
    crops = photos(recipe, size * _SETTLING_BATCHES, seed, "settling")
    with torch.no_grad():
        for start in range(0, len(crops), size):
            module(torch.cat(crops[start : start + size]))
    for layer in norms:
        layer.eval()


def _log_message(log: Log, message: str) -> None:
    log(Event(kind="log", stage="load", message=message, at=utc_now()))
