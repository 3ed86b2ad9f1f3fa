"""Make a model's inputs, and their labels, from the files of a folder: images, tensors (``.npz``, ``.safetensors``) or
JSON lines."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from etui.catalog.models import ImageRecipe, PublishedResize
from etui.engine.explain.error_text import first_line
from etui.engine.models.call_structure import CallStructure, Inputs
from etui.engine.models.data_labels import FolderLabels, Label, label_of, read_class_names
from etui.engine.models.user_inputs import content
from etui.errors import PreparationError
from etui.files.data_files import data_files
from etui.task_data.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preprocessing,
    open_picture,
    picture_array,
    resized,
)
from etui.text import counted

MEAN_AND_STD: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
"""The normalization of image values from 0 to 1, by its name in the catalog."""

_IMAGENET = ImageRecipe(size=0)
_CHANNELS = 3
_OBJECTS = 'write one JSON object for each line, such as {"text": ".."}'

_NUMBERED = re.compile(r"(.*?)(\d+)")
"""A name that ends in a number, such as those that ``numpy.savez`` gives to unnamed arrays."""

_LABELS = ("labels", "label")
"""The names of what is not an input but its label."""

Load = Callable[[], Mapping[str, object] | torch.Tensor]


class Target(NamedTuple):
    """What the files are made into: ``example`` are tensors that the model takes, with ``structure``; ``module`` has
    the names of its arguments, if it is known, or ``names`` has that of each tensor. ``image`` and ``resize`` are how
    the model's images are prepared (None: ImageNet's normalization, and scaled to cover), ``tokenize`` makes the
    tensors of a text, ``name`` is the model's in messages."""

    example: Inputs
    structure: CallStructure
    name: str
    module: nn.Module | None = None
    image: ImageRecipe | None = None
    resize: PublishedResize | None = None
    tokenize: Callable[[str], Inputs] | None = None
    names: tuple[str, ...] = ()


class FromFolder(NamedTuple):
    """Distinct inputs in a seeded order, a description of where they come from, and their labels."""

    inputs: list[Inputs]
    detail: str
    labels: FolderLabels


class _Source(NamedTuple):
    """One file, or one line of a file: its name for messages, how it is loaded, and the folder of its class."""

    name: str
    load: Load
    folder: str | None = None


class _Read(NamedTuple):
    """One input with its label; None without one."""

    tensors: Inputs
    label: Label | None


def read_folder(folder: Path, target: Target, count: int, seed: int) -> FromFolder:
    """Return up to ``count`` distinct inputs from a seeded sample of a folder's files, which may be in subfolders.

    Raises:
        UsageError: the folder has no usable files, or files of several kinds.
        PreparationError: a file does not fit the model, or there are too few.
    """
    kind, files = data_files(folder)
    if kind == "images":
        sources = [_image_source(folder, file, target) for file in files]
        fill = _fill_batch
    else:
        sources = list(_tensor_sources(folder, files, kind, target))
        fill = _one_each
    order = torch.randperm(len(sources), generator=torch.Generator().manual_seed(seed)).tolist()
    inputs: dict[bytes, _Read] = {}
    for read in fill(target, (sources[index] for index in order)):
        inputs.setdefault(content(read.tensors), read)
        if len(inputs) == count:
            break
    if len(inputs) < 2:
        raise PreparationError(
            f"{folder} has {counted(len(inputs), 'usable input')} for {target.name}, and"
            " calibration and evaluation need at least two",
            "add files: each input is used for only one of them",
        )
    labels = _labels(folder, sources, [read.label for read in inputs.values()])
    detail = f"{len(inputs)} inputs from {len(sources)} {kind} in {folder}"
    return FromFolder([read.tensors for read in inputs.values()], detail, labels)


def read_images(folder: Path, paths: Sequence[str], target: Target, count: int, seed: int) -> list[Inputs]:
    """Return up to ``count`` distinct inputs from a seeded sample of the images with these paths below a folder.

    Raises:
        PreparationError: an image cannot be read, or the model does not take images.
    """
    order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(seed)).tolist()
    inputs: dict[bytes, Inputs] = {}
    for read in _fill_batch(target, (_image_source(folder, folder / paths[index], target) for index in order)):
        inputs.setdefault(content(read.tensors), read.tensors)
        if len(inputs) == count:
            break
    return list(inputs.values())


def _labels(folder: Path, sources: Sequence[_Source], labels: Sequence[Label | None]) -> FolderLabels:
    """Return the labels of the inputs of a folder, all of which must have one."""
    given = [label for label in labels if label is not None]
    every = sorted({source.folder for source in sources if source.folder is not None})
    if any(source.folder is None for source in sources) and every:
        return FolderLabels(problem=f"{folder} has images in folders and others that are in none")
    if not given:
        return FolderLabels()
    if len(given) < len(labels):
        return FolderLabels(problem=f"{len(labels) - len(given)} of {len(labels)} inputs have none")
    origin = "the names of their folders" if every else "their files"
    return FolderLabels(given, origin, read_class_names(folder), tuple(every))


# Images


def _image_source(folder: Path, file: Path, target: Target) -> _Source:
    """Return an image, which belongs to the class of the first folder of its path."""
    path = file.relative_to(folder)
    return _Source(str(path), _image_loader(file, target), path.parts[0] if len(path.parts) > 1 else None)


def _image_loader(file: Path, target: Target) -> Load:
    place = _image_place(target)
    _, channels, height, width = target.example[place].shape

    def load() -> torch.Tensor:
        prepared = file_preprocessing(target.image or _IMAGENET, target.resize, (height, width))
        return read_image(file, channels, prepared).to(target.example[place].dtype)

    return load


def _image_place(target: Target) -> int:
    places = [
        place
        for place, tensor in enumerate(target.example)
        if tensor.dim() == 4 and tensor.shape[1] in {1, _CHANNELS} and tensor.is_floating_point()
    ]
    if len(places) != 1:
        has = "several inputs that could be" if places else "no input that is"
        raise PreparationError(
            f"{target.name} has {has} an image: a floating-point tensor of shape [N, 3, H, W] or [N, 1, H, W]",
            "give .npz or .safetensors files with every input",
        )
    return places[0]


def mean_and_std(recipe: ImageRecipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of the channels of an image with values from 0 to 1, of shape (3, 1, 1)."""
    mean, std = _normalization(recipe)
    return torch.tensor(mean).view(3, 1, 1), torch.tensor(std).view(3, 1, 1)


def _normalization(recipe: ImageRecipe) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    if recipe.normalization != "own":
        return MEAN_AND_STD[recipe.normalization]
    (red, green, blue), (red_std, green_std, blue_std) = recipe.mean, recipe.std
    return (red, green, blue), (red_std, green_std, blue_std)


def resampling(recipe: ImageRecipe) -> Any:
    """Return Pillow's filter for the interpolation with which images are resized."""
    from PIL import Image

    return Image.Resampling.BICUBIC if recipe.interpolation == "bicubic" else Image.Resampling.BILINEAR


def file_preprocessing(recipe: ImageRecipe, resize: PublishedResize | None, size: tuple[int, int]) -> Preprocessing:
    """Return how an image file becomes an input of ``size`` (height, width): as for the published accuracy of the
    model, if ``resize`` is known, else scaled until it covers the size. For another size than the model's own, the
    shorter side is scaled with it."""
    mean, std = _normalization(recipe)
    if resize is None:
        return Preprocessing(size, mean, std, "crop", recipe.interpolation)
    shorter = max(max(size), round(resize.shorter_side * max(size) / recipe.size))
    return Preprocessing(size, mean, std, "crop", resize.interpolation, shorter)


def read_image(file: Path, channels: int, preprocessing: Preprocessing) -> torch.Tensor:
    """Return an image as a tensor of shape (1, channels, height, width).

    It is rotated as its EXIF data says, resized and cropped. Values are from 0 to 1; those of three channels are
    normalized.

    Raises:
        PreparationError: the file is not an image.
    """
    import numpy

    picture = open_picture(file)
    if channels == _CHANNELS:
        pixels = torch.from_numpy(picture_array(picture, preprocessing))
    else:
        grey = numpy.array(resized(picture.convert("L"), preprocessing))
        pixels = torch.from_numpy(grey).unsqueeze(0).float() / 255
    return pixels.unsqueeze(0).contiguous()


def _fill_batch(target: Target, sources: Iterator[_Source]) -> Iterator[_Read]:
    """Yield inputs of as many images as the batch of the example has. Each image is used once, so that evaluation and
    calibration do not share one."""
    place = _image_place(target)
    seen: set[bytes] = set()
    batch: list[torch.Tensor] = []
    classes: list[str | None] = []
    for source in sources:
        image = source.load()
        assert isinstance(image, torch.Tensor)
        if (known := content((image,))) in seen:
            continue
        seen.add(known)
        batch.append(image)
        classes.append(source.folder)
        if len(batch) == target.example[place].shape[0]:
            joined = torch.cat(batch).contiguous()
            names = [name for name in classes if name is not None]
            batch, classes = [], []
            tensors = tuple(joined if at == place else tensor for at, tensor in enumerate(target.example))
            yield _Read(tensors, names if len(names) == len(joined) else None)


# Tensors by name


def _tensor_sources(folder: Path, files: Sequence[Path], kind: str, target: Target) -> Iterator[_Source]:
    for file in files:
        name = str(file.relative_to(folder))
        if kind != "JSON lines":
            yield _Source(name, _tensor_loader(file))
            continue
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise PreparationError(f"cannot read {file}: {error}", "write it as UTF-8") from error
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _Source(f"{name}, line {number}", _line_loader(line, f"{file}, line {number}", target))


def _tensor_loader(file: Path) -> Load:
    def load() -> Mapping[str, object]:
        import numpy
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            if file.suffix.lower() == ".safetensors":
                return dict(load_file(file))
            with numpy.load(file, allow_pickle=False) as arrays:
                return {name: _of_array(arrays[name]) for name in arrays.files}
        except (OSError, ValueError, TypeError, EOFError, SafetensorError) as error:
            raise PreparationError(
                f"cannot read {file}: {first_line(error)}", "write it with plain numeric arrays"
            ) from error

    return load


def _of_array(array: Any) -> object:
    import numpy

    return array.tolist() if array.dtype.kind == "U" else torch.from_numpy(numpy.ascontiguousarray(array))


def _line_loader(line: str, where: str, target: Target) -> Load:
    def load() -> Mapping[str, object]:
        try:
            value: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PreparationError(f"{where} is not JSON", _OBJECTS) from error
        if not isinstance(value, dict) or not value:
            raise PreparationError(f"{where} is not an object", _OBJECTS)
        if isinstance(value.get("text"), str):
            if target.tokenize is None:
                raise PreparationError(
                    f"{where} has text, but {target.name} has no tokenizer here",
                    "give the tensors by name instead, as lists",
                )
            tensors = target.tokenize(value["text"])
            labels = {name: value[name] for name in _LABELS if name in value}
            return {**{f"{at}": tensor for at, tensor in enumerate(tensors)}, **labels}
        inputs = _names(target)
        try:
            return {
                str(name): numbers if name in _LABELS and name not in inputs else torch.tensor(numbers)
                for name, numbers in value.items()
            }
        except (TypeError, ValueError, RuntimeError) as error:
            raise PreparationError(
                f"{where} has values that are not numbers", "write nested lists of numbers, or a text"
            ) from error

    return load


def _one_each(target: Target, sources: Iterator[_Source]) -> Iterator[_Read]:
    names = _names(target)
    for where, load, _ in sources:
        given = load()
        assert isinstance(given, Mapping)
        labels: dict[str, object] = {}
        tensors: dict[str, torch.Tensor] = {}
        for name, value in given.items():
            if name in _LABELS and name not in names:
                labels[name] = value
            elif isinstance(value, torch.Tensor):
                tensors[name] = value
            else:
                raise PreparationError(f"{where} has text as {name}", "write numbers; only labels may be text")
        yield _Read(_fitted(tensors, names, where, target), _label(labels, where))


def _label(labels: Mapping[str, object], where: str) -> Label | None:
    if len(labels) > 1:
        raise PreparationError(f"{where} has {' and '.join(labels)}", "give one of them")
    for name, value in labels.items():
        try:
            return None if value is None else label_of(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise PreparationError(
                f"{where} has a {name} that is neither a number nor a name", "give a class, or a list of them"
            ) from error
    return None


def _names(target: Target) -> list[str]:
    """Return the name of each tensor of the model: its path in the arguments, which begins with the parameter's name
    if that is known."""
    if target.names:
        return list(target.names)
    names = target.structure.names()
    if target.module is None:
        return names
    try:
        parameters = list(inspect.signature(target.module.forward).parameters)
    except (TypeError, ValueError):
        return names
    renamed = []
    for name in names:
        end = next((at for at, letter in enumerate(name) if letter in ".["), len(name))
        position = name[:end]
        known = position.isdigit() and int(position) < len(parameters)
        renamed.append((parameters[int(position)] if known else position) + name[end:])
    return renamed


def _fitted(given: Mapping[str, torch.Tensor], names: Sequence[str], where: str, target: Target) -> Inputs:
    """Return the tensors of a file in the model's order: by name, or in that of their numbers if they are numbered.
    Other names have no order: tensors of the same shape would be exchanged unnoticed."""
    numbers = {name: found for name in given if (found := _NUMBERED.fullmatch(name))}
    if set(names) <= set(given):
        ordered = [given[name] for name in names]
    elif len(given) == len(names) == 1:
        ordered = list(given.values())
    elif (
        len(given) == len(names) == len(numbers)
        and len({found[1] for found in numbers.values()}) == 1
        and not set(names) & set(given)
    ):
        ordered = [given[name] for name in sorted(given, key=lambda name: int(numbers[name][2]))]
    else:
        raise PreparationError(
            f"{where} has {', '.join(sorted(given))}, but {target.name} takes {', '.join(names)}",
            "name the tensors like the arguments of the model, or number them: arr_0, arr_1",
        )
    return tuple(
        _converted(tensor, example, name, where, target.name)
        for tensor, example, name in zip(ordered, target.example, names, strict=True)
    )


def _converted(tensor: torch.Tensor, example: torch.Tensor, name: str, where: str, model: str) -> torch.Tensor:
    if tensor.shape != example.shape:
        raise PreparationError(
            f"{where} has {name} of shape {list(tensor.shape)}, but {model} takes {list(example.shape)}",
            "write tensors of the shapes of the example inputs, batch included",
        )
    same_kind = tensor.is_floating_point() == example.is_floating_point() and not (
        tensor.is_complex() or example.is_complex()
    )
    converted = tensor.to(example.dtype)
    if not same_kind or not (tensor.is_floating_point() or torch.equal(converted.to(tensor.dtype), tensor)):
        kinds = [str(one.dtype).removeprefix("torch.") for one in (tensor, example)]
        raise PreparationError(
            f"{where} has {name} of dtype {kinds[0]}, but {model} takes {kinds[1]}", "convert it before it is written"
        )
    return converted.contiguous()
