"""Image models of the package timm by name (``timm:NAME``), with the input that their weights were trained with.

The list of its models is only available by importing timm, which imports torch. A separate process does that once for
each version of timm, and the list is kept in the cache folder.
"""

from __future__ import annotations

import contextlib
import difflib
import math
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import msgspec

from etui.catalog.models import (
    DEPTHWISE_TOLERANCES,
    TOLERANCES,
    TRANSFORMER_TOLERANCES,
    Family,
    ImageRecipe,
    ModelEntry,
    PublishedResize,
    with_top1,
)
from etui.errors import EtuiError, UsageError
from etui.files.atomic import write_file
from etui.paths import cache_dir

PREFIX = "timm:"
INSTALL = "pip install 'etui[timm]'"

_LIMIT_S = 180.0
_FORMAT = 2
"""Increase it when the list of the same version of timm has other content than before."""

_TRANSFORMERS = (
    "vit", "former", "swin", "beit", "cait", "coat", "convit", "crossvit", "deit", "eva", "hiera", "levit", "mvit",
    "nest", "pit_", "pvt", "samvit", "tnt", "twins", "visformer", "volo", "xcit", "aimv2", "mixer", "gmlp", "resmlp",
)  # fmt: skip
_CONVOLUTIONS = ("repvit", "metaformer", "convformer", "poolformer", "efficientformer", "swiftformer")
_DEPTHWISE = ("net_edgetpu", "mobile", "efficientnet", "mnasnet", "convnext", "ghostnet", "tinynet", "fbnet", "mixnet",
              "lcnet", "hardcorenas", "spnas", "rexnet", "repghost", "fastvit", "starnet", "edgenext", "inception_next",
              *_CONVOLUTIONS)  # fmt: skip
_CLASSES = 1000
_MANY_CLASSES = 10_000
"""Models with other numbers of outputs, such as 512, return embeddings."""


_listed_here: dict[Path, TimmTable] = {}
"""The lists that this process has read or made, by the path of their file."""


class TimmRow(msgspec.Struct, frozen=True, array_like=True):
    """The input and output of one model of timm: channels, height and width of its images, mean and standard deviation
    of their normalization, interpolation, number of outputs, whether it takes only this size, and for models whose
    images are cropped at the centre the share of the shorter side that is used; 0 for others."""

    size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    classes: int
    is_fixed: bool
    crop_share: float = 0.0


class TimmTable(msgspec.Struct, frozen=True):
    """The models of an installed timm by architecture and tag (``resnet18.a1_in1k``), and the default of each
    architecture."""

    models: dict[str, TimmRow]
    defaults: dict[str, str]


def timm_model(text: str) -> ModelEntry:
    """Return the entry of a model of timm: an architecture, or an architecture and the tag of its weights.

    Raises:
        UsageError: timm is not installed or cannot be imported, it has no such model, or the model does not take square
            RGB images.
    """
    table = _table()
    names = {each.casefold(): each for each in (*table.models, *table.defaults)}
    name = names.get(text.casefold(), text)
    name = table.defaults.get(name, name)
    row = table.models.get(name)
    if row is None:
        similar = difflib.get_close_matches(text, list(table.defaults), n=3, cutoff=0.4)
        guess = f"did you mean {' or '.join(PREFIX + each for each in similar)}?" if similar else ""
        raise UsageError(
            f"timm {version('timm')} has no model {text!r}",
            guess or "see `python -c 'import timm; print(timm.list_models())'`",
            screen_hint=guess,
        )
    return _entry(name, row)


def is_unlisted(text: str) -> bool:
    """Return whether finding a model by this text needs the list of timm's models, which takes seconds to make."""
    if not text.casefold().startswith(PREFIX):
        return False
    path = _path()
    return path is not None and _read(path) is None


def list_models() -> None:
    """Make the list of timm's models unless it exists. Raises UsageError if timm is missing or cannot be imported."""
    _table()


def is_installed() -> bool:
    """Whether timm is installed; imports nothing."""
    return find_spec("timm") is not None


def known_names() -> list[str]:
    """Return the architectures of the installed timm if their list is in the cache, else an empty list. Imports nothing
    and starts no process, for completion and suggestions."""
    try:
        path = _path()
        table = _read(path) if path is not None else None
    except EtuiError:
        return []
    return list(table.defaults) if table is not None else []


def _entry(name: str, row: TimmRow) -> ModelEntry:
    channels, height, width = row.size
    if channels != 3 or height != width:
        raise UsageError(
            f"{PREFIX}{name} takes images of {channels}x{height}x{width}; models by name take square RGB images",
            "write a factory that returns the model and its inputs: FILE.py:FACTORY",
        )
    architecture = name.partition(".")[0]
    is_transformer = any(part in architecture for part in _TRANSFORMERS) and not any(
        part in architecture for part in (*_CONVOLUTIONS, "fastvit")
    )
    family: Family = "vision-transformer" if is_transformer else "cnn"
    tolerances = TOLERANCES
    if is_transformer:
        tolerances = TRANSFORMER_TOLERANCES
    elif any(part in architecture for part in _DEPTHWISE):
        tolerances = DEPTHWISE_TOLERANCES
    is_classifier = row.classes == _CLASSES or row.classes > _MANY_CLASSES
    return ModelEntry(
        name=name,
        title=f"{name} of timm, {'image classifier' if is_classifier else 'image embedding'}",
        family=family,
        source=f"{PREFIX}{name}",
        parameters=0,
        outputs="logits" if is_classifier else "embedding",
        image=ImageRecipe(
            size=height,
            normalization="own",
            mean=row.mean,
            std=row.std,
            interpolation=_interpolation(row.interpolation),
        ),
        resize=_resize(row),
        repeat=30,
        tolerances=with_top1(tolerances) if is_classifier else tolerances,
        prefix=PREFIX,
        fixed_size=row.is_fixed,
    )


def _resize(row: TimmRow) -> PublishedResize | None:
    """Return how timm resizes images for the accuracy that it publishes; None if it does not crop them."""
    if not 0 < row.crop_share <= 1 or row.interpolation not in ("bilinear", "bicubic"):
        return None
    side = math.floor(row.size[1] / row.crop_share)
    return PublishedResize(shorter_side=side, interpolation=_interpolation(row.interpolation))


def _interpolation(name: str) -> Literal["bilinear", "bicubic"]:
    return "bicubic" if name == "bicubic" else "bilinear"


def _table() -> TimmTable:
    path = _path()
    if path is None:
        raise UsageError("timm is not installed", INSTALL)
    if (table := _read(path)) is not None:
        return table
    content = _listed()
    try:
        table = msgspec.json.decode(content, type=TimmTable)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the list of timm's models cannot be read ({error})", INSTALL) from error
    _listed_here[path] = table
    with contextlib.suppress(OSError, EtuiError):
        write_file(path, content, force=True, private=True)
    return table


def _path() -> Path | None:
    """Return the file of the list of the installed timm's models; None if timm is not installed."""
    try:
        installed = version("timm") if is_installed() else None
    except (PackageNotFoundError, ValueError):
        return None
    return cache_dir() / f"timm-models-{_FORMAT}-{installed}.json" if installed is not None else None


def _read(path: Path) -> TimmTable | None:
    if path not in _listed_here:
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            _listed_here[path] = msgspec.json.decode(path.read_bytes(), type=TimmTable)
    return _listed_here.get(path)


def _listed() -> bytes:
    """Return the list of timm's models as JSON, made by a process that imports it.

    Raises UsageError if it cannot be imported.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "etui.engine.models.timm_models"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"importing timm took longer than {_LIMIT_S:.0f} s", "try again") from error
    except OSError as error:
        raise UsageError(f"cannot start the process that lists timm's models: {error.strerror}", "try again") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"]
        raise UsageError(f"timm cannot be imported ({lines[-1]})", f"reinstall it: {INSTALL}")
    return done.stdout
