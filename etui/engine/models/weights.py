"""Decide which weights a model gets, and load them: published, from a file, or synthetic ones that behave."""

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
from etui.engine.models import hub
from etui.engine.models.build import Built, build, build_raw, finish, transformers_parts
from etui.engine.models.file_hashes import content_hash
from etui.engine.models.inputs import photos
from etui.errors import WeightsError
from etui.events import Event, utc_now

SYNTHETIC_VERSION = 1
"""Raise it when the same seed makes other synthetic weights than before."""

FETCH_AUTO_S = 120.0
FETCH_PRETRAINED_S = 1800.0

_DEAD_WEIGHT_STD = 0.02
_SETTLING_BATCHES = 2
_SETTLING_PIXELS = 8 * 224 * 224

Log = Callable[[Event], None]
StateDict = dict[str, torch.Tensor]


class Resolved(NamedTuple):
    """Which weights it will be, before anything is built. ``identity`` changes whenever the weights would;
    ``folder`` is the Hugging Face folder they lie in, which may carry a tokenizer."""

    kind: Literal["pretrained", "checkpoint", "synthetic", "embedded"]
    detail: str
    identity: str
    path: Path | None = None
    revision: str | None = None

    @property
    def folder(self) -> Path | None:
        """The folder a tokenizer may lie in."""
        return self.path if self.path is not None and self.path.is_dir() else None


def resolve(model: Model, weights: str, seed: int, cache_dir: Path, say: Log) -> Resolved:
    """Which weights ``auto``, ``pretrained``, ``synthetic`` or a path means for a model; loads none.

    May fetch published weights. Raises WeightsError where what was asked for is not to be had.
    """
    if isinstance(model, UserModel):
        return _resolve_user(model, weights, cache_dir)
    if weights == "synthetic":
        return _synthetic(seed)
    if weights not in {"auto", "pretrained"}:
        return _from_path(weights, cache_dir)
    hub.sweep_parts()
    published = hub.find_local(model)
    if published is None:
        published = _fetch(model, weights == "pretrained", cache_dir, say)
    if published is None:
        return _synthetic(seed)
    identity = _identity(published.path, cache_dir)
    return Resolved("pretrained", published.detail, identity, published.path, published.revision)


def is_same(resolved: Resolved, cache_dir: Path) -> bool:
    """Whether the files of weights still hold what they did when they were resolved."""
    return resolved.path is None or _identity(resolved.path, cache_dir) == resolved.identity


def load(model: Model, resolved: Resolved, seed: int, allow_pickle: bool = False) -> Built:
    """The module with its weights, in eval mode, ready to be measured. ``allow_pickle`` lets an exported program run
    code of its own. Raises WeightsError where they do not fit."""
    if isinstance(model, UserModel):
        built = build(model, seed=seed, allow_pickle=allow_pickle)
        if resolved.path is not None:
            _fit(built.module, read_state_dict(resolved.path), resolved.path)
        return built
    if resolved.path is None:
        torch.manual_seed(seed)
        raw = build_raw(model, initialise=True)
        _enliven(raw, seed)
        module = finish(model, raw)
        if model.image is not None:
            _settle_batch_norm(module, model.image, seed)
        return Built(module, None)
    state = read_state_dict(resolved.path)
    if model.source_kind == "torchvision":
        raw = build_raw(model, initialise=False)
        _fit(raw, state, resolved.path)
    else:
        raw = _transformers_with(model, state, resolved.path)
    return Built(finish(model, raw), None)


def read_state_dict(path: Path) -> StateDict:
    """The tensors of a safetensors file, a state dict saved by torch, or a Hugging Face folder; never runs code.

    Raises WeightsError where there are none to read.
    """
    if path.is_dir():
        state: StateDict = {}
        for part in _weight_files(path):
            state.update(read_state_dict(part))
        return state
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than tensors, or is corrupt, and was not loaded",
            "save a plain state dict: torch.save(module.state_dict(), FILE)",
        ) from error
    except MemoryError:
        raise
    except Exception as error:
        # Torch's unpickler raises anything at all for a damaged file.
        what = "safetensors file" if path.suffix == ".safetensors" else "state dict"
        raise WeightsError(f"{path} is not a readable {what}: {_line(error)}", _REPLACE) from error
    for wrapping in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapping), dict):
            loaded = loaded[wrapping]
    if not isinstance(loaded, dict) or not loaded or not all(isinstance(x, torch.Tensor) for x in loaded.values()):
        raise WeightsError(f"{path} is not a state dict of tensors", "save module.state_dict()")
    return {str(name).removeprefix("module."): tensor for name, tensor in loaded.items()}


_REPLACE = "give another file, or let etui choose with --weights auto"


def _resolve_user(model: UserModel, weights: str, cache_dir: Path) -> Resolved:
    if weights in {"auto", "synthetic"}:
        return Resolved("embedded", "as your own file gives them", "embedded")
    if weights == "pretrained":
        raise WeightsError("your own model has no published weights", "use --weights auto, or give a file")
    if model.kind != "factory":
        raise WeightsError(f"a .{model.kind} carries its own weights", "leave --weights out")
    return _from_path(weights, cache_dir)


def _from_path(weights: str, cache_dir: Path) -> Resolved:
    path = Path(weights).expanduser().absolute()
    if not path.exists():
        raise WeightsError(f"there are no weights at {path}", "check the path, or use auto, pretrained or synthetic")
    if not path.is_dir() and not path.is_file():
        raise WeightsError(f"{path} is neither a file nor a folder", _REPLACE)
    if path.is_dir():
        return Resolved("checkpoint", f"folder {path.name}", _identity(path, cache_dir), path)
    return Resolved("checkpoint", f"file {path.name}", _identity(path, cache_dir), path)


def _synthetic(seed: int) -> Resolved:
    return Resolved("synthetic", f"random, seed {seed}", f"synthetic:{SYNTHETIC_VERSION}:{seed}")


def _fetch(entry: ModelEntry, required: bool, cache_dir: Path, say: Log) -> hub.Published | None:
    """Published weights from their hub; None where ``auto`` has to do without."""
    title = f"published weights of {entry.name}"
    if not required and hub.recently_out_of_reach(cache_dir, entry.source_kind):
        _log(say, f"not asking for {title}: their hub was out of reach a few minutes ago")
        return None
    _log(say, f"asking for {title}")
    try:
        return hub.fetch(entry, FETCH_PRETRAINED_S if required else FETCH_AUTO_S)
    except OSError as error:
        if required:
            raise WeightsError(
                f"no {title}: none in {hub.looked_in(entry)}, and their hub is out of reach ({_line(error)})",
                "put them there, give --weights PATH, or use --weights synthetic",
            ) from error
        hub.remember_out_of_reach(cache_dir, entry.source_kind)
        _log(say, f"{title} are out of reach ({_line(error)}); not asked again for {hub.REMEMBER_S / 60:.0f} minutes")
        return None


def _weight_files(folder: Path) -> list[Path]:
    """The weight files of a Hugging Face folder, safetensors before torch's own."""
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            named = json.loads(index.read_text("utf-8"))["weight_map"].values()
            # Only names: an index must not point out of its folder, nor to it.
            files = [folder / name for name in sorted({Path(str(one)).name for one in named}) if name]
            is_usable = bool(files) and not any(file.is_dir() for file in files)
        except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
            raise WeightsError(f"{index} is not a readable index: {_line(error)}", _REPLACE) from error
        if not is_usable:
            raise WeightsError(f"{index} is not a readable index: it names no files", _REPLACE)
        return files
    legacy = folder / "pytorch_model.bin"
    if legacy.is_file():
        return [legacy]
    raise WeightsError(f"{folder} holds no model.safetensors and no pytorch_model.bin", "give a Hugging Face folder")


def _identity(path: Path, cache_dir: Path) -> str:
    """Changes whenever the content of a weight file does, or that of a weight or tokenizer file of a folder.

    Raises WeightsError if one cannot be read.
    """
    files = [path]
    try:
        if path.is_dir():
            # The same weights often lie in a folder in several formats, of which one is read.
            others = (x for x in path.iterdir() if x.is_file() and x.suffix not in _WEIGHT_SUFFIXES)
            # One that an index names and that is not there is for reading to refuse.
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


_OTHER_MODEL = "these are another model's weights; give the right file"


def _refuse_misfit(path: Path, missing: list[str], unexpected: list[str]) -> None:
    if missing or unexpected:
        parts = [f"{len(keys)} {what} such as {keys[0]}" for what, keys in
                 (("missing", sorted(missing)), ("unexpected", sorted(unexpected))) if keys]  # fmt: skip
        raise WeightsError(f"{path.name} does not fit the model: {', '.join(parts)}", _OTHER_MODEL)


def _transformers_with(entry: ModelEntry, state: StateDict, path: Path) -> nn.Module:
    """A transformers model with a state dict, by the library's own rules for older names and tied weights."""
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
        raise WeightsError(f"{path.name} does not fit the model: {_line(error)}", _OTHER_MODEL) from error
    mismatched = sorted(report["mismatched_keys"])
    if mismatched:
        name, given, wanted = mismatched[0]
        raise WeightsError(
            f"{path.name} does not fit the model: {name} is {list(given)}, not {list(wanted)}", _OTHER_MODEL
        )
    # What is left over may be another head or tower of the same checkpoint; what is missing would stay random.
    _refuse_misfit(path, list(report["missing_keys"]), [])
    checked: nn.Module = module
    return checked


def _enliven(module: nn.Module, seed: int) -> None:
    """Give all-zero weight matrices random values: with them, untrained outputs are constant and prove nothing."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            # The first values alone acquit nearly every matrix.
            if parameter.dim() > 1 and not parameter.flatten()[:64].any() and not parameter.any():
                parameter.normal_(0.0, _DEAD_WEIGHT_STD, generator=generator)


def _settle_batch_norm(module: nn.Module, recipe: ImageRecipe, seed: int) -> None:
    """Re-estimate the BatchNorm statistics of random weights on real photos, everything else in eval mode.

    At their defaults they let the activations of deep nets die out, and then every error looks small.
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


def _log(say: Log, message: str) -> None:
    say(Event(kind="log", stage="load", message=message, at=utc_now()))


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
