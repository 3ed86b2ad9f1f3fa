"""Decide which class of the model each labelled input of a folder is, if that is certain, and which metrics apply."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from etui.catalog.find import Model
from etui.catalog.models import ModelEntry
from etui.engine.models.module_state import hash_tensors
from etui.engine.models.task_metric import NAMED, Metric, metrics_of, scores_of, value_of_metric
from etui.engine.models.torchvision_shim import prepare_torchvision
from etui.errors import PreparationError, UsageError
from etui.text import counted

NOT_USED = "not used"
"""The beginning of the description of labels that are not used."""

CLASSES_FILE = "classes.txt"
"""A file of a folder that names the model's classes, one on each line, in the order of its outputs."""

Label = list[str] | torch.Tensor
"""The labels of one input: the name of a class for each item, or numbers."""

_WORDNET = re.compile(r"n\d{8}")
_IMAGENET = 1000
_SHOWN = 3


class FolderLabels(NamedTuple):
    """What the files of a folder say about the classes of its inputs. ``values`` has the labels of each input; it is
    empty without labels, and ``problem`` is the reason if a user may expect some. ``origin`` describes where they come
    from, ``names`` are the lines of the folder's ``classes.txt``, and ``every`` all names of classes in the folder,
    also those of inputs that are not used."""

    values: list[Label] = []
    origin: str = ""
    names: tuple[str, ...] = ()
    every: tuple[str, ...] = ()
    problem: str = ""

    def dropped(self, problem: str) -> FolderLabels:
        """Return no labels, for a reason; without labels nothing is changed."""
        return FolderLabels(problem=problem) if self.values else self

    def identity(self) -> str:
        """Return a hash of the labels and of what decides their meaning."""
        digest = hashlib.sha256(repr((self.names, self.every, self.problem)).encode())
        for value in self.values:
            if isinstance(value, torch.Tensor):
                hash_tensors(digest, {"label": value})
            else:
                digest.update(repr(value).encode())
        return digest.hexdigest()


class JudgedLabels(NamedTuple):
    """The labels of the evaluation inputs as numbers, the metrics that they are for with eager's values, and a
    description. Without metrics the labels are not used."""

    labels: list[torch.Tensor]
    metrics: list[tuple[str, Metric]]
    eager: list[float]
    detail: str


class _Unusable(Exception):
    """The labels cannot be used; the message is the reason."""


def read_class_names(folder: Path) -> tuple[str, ...]:
    """Return the lines of the ``classes.txt`` of a folder; empty without one.

    Raises:
        PreparationError: it cannot be read, or names a class twice.
    """
    path = folder / CLASSES_FILE
    if not path.is_file():
        return ()
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise PreparationError(f"cannot read {path}: {error}", "write it as UTF-8") from error
    if len({_normalized(name) for name in names}) != len(names):
        raise PreparationError(f"{path} names a class twice", "write each class once, in the order of the outputs")
    return names


def judge_labels(
    given: FolderLabels, model: Model, module: nn.Module, outputs: list[Any], metric: object, weights: str
) -> JudgedLabels:
    """Return what the labels of the evaluation inputs are good for. ``outputs`` are eager's, ``metric`` is the one that
    the model declares, ``weights`` the kind of its weights.

    Raises:
        PreparationError: ``classes.txt`` does not fit the model, or the declared metric does not fit the labels.
    """
    try:
        return _judged(given, model, module, outputs, metric, weights)
    except _Unusable as reason:
        return JudgedLabels([], [], [], f"{NOT_USED}: {reason}" if str(reason) else "")


def _judged(
    given: FolderLabels, model: Model, module: nn.Module, outputs: list[Any], metric: object, weights: str
) -> JudgedLabels:
    if not given.values:
        raise _Unusable(given.problem)
    if weights == "synthetic":
        raise _Unusable("the weights are synthetic, so that accuracy on the task means nothing")
    scores = scores_of(outputs[0])
    labels, meaning = _numbers(given, model, module, scores)
    metrics = metrics_of(metric, True, model.name) if metric is not None else _default_metrics(model, scores, labels)
    try:
        eager = [value_of_metric(one, outputs, labels, model.name) for one in metrics]
    except PreparationError as error:
        if metric is not None:
            raise
        raise _Unusable(str(error)) from error
    detail = f"of {counted(len(labels), 'evaluation input')}, from {given.origin}{meaning}"
    return JudgedLabels(labels, metrics, eager, detail)


def _default_metrics(model: Model, scores: torch.Tensor, labels: list[torch.Tensor]) -> list[tuple[str, Metric]]:
    if model.outputs == "segmentation map":
        names = ["miou"]
    elif model.outputs not in {"logits", "unknown"} or not _are_scores(scores, labels[0]):
        raise _Unusable(
            "the outputs are not scores of classes with one label for each; etui.Model(metric=..) takes a function"
        )
    else:
        names = ["top1", "top5"] if scores.shape[-1] > 5 else ["top1"]
    return [(name, NAMED[name]) for name in names]


def _are_scores(scores: torch.Tensor, label: torch.Tensor) -> bool:
    if scores.dim() not in {1, 2, 3} or scores.shape[-1] < 2 or label.is_floating_point():
        return False
    return scores.numel() // scores.shape[-1] == label.numel()


# The numbers of classes


def _numbers(
    given: FolderLabels, model: Model, module: nn.Module, scores: torch.Tensor
) -> tuple[list[torch.Tensor], str]:
    """Return the labels of each input as numbers, and how the names of classes were understood."""
    named = sorted({name for value in given.values if isinstance(value, list) for name in value} | set(given.every))
    if not named:
        return [value for value in given.values if isinstance(value, torch.Tensor)], ""
    classes = scores.shape[1 if model.outputs == "segmentation map" and scores.dim() > 2 else -1] if scores.dim() else 1
    places, meaning = _places(named, given, model, module, classes)
    labels = [
        value if isinstance(value, torch.Tensor) else torch.tensor([places[name] for name in value])
        for value in given.values
    ]
    return labels, f", {meaning}"


def _places(
    named: Sequence[str], given: FolderLabels, model: Model, module: nn.Module, classes: int
) -> tuple[dict[str, int], str]:
    """Return the class of each name, and where the meaning of the names comes from."""
    if given.names:
        if len(given.names) != classes:
            raise PreparationError(
                f"{CLASSES_FILE} names {len(given.names)} classes, but {model.name} has {classes}",
                "write one class on each line, in the order of the model's outputs",
            )
        return _found(named, [(name,) for name in given.names], CLASSES_FILE), f"numbered by {CLASSES_FILE}"
    if all(name.isascii() and name.isdigit() for name in named):
        if beyond := [name for name in named if int(name) >= classes]:
            raise _Unusable(f"{beyond[-1]} is not the index of a class: the model has {classes}, 0 to {classes - 1}")
        if len({int(name) for name in named}) == len(named):
            return {name: int(name) for name in named}, "which are indexes of the model's classes"
    if classes == len(named) == _IMAGENET and all(_WORDNET.fullmatch(name) for name in named):
        return {name: place for place, name in enumerate(named)}, "which are the WordNet ids of ImageNet in their order"
    known = class_names(model, module)
    if len(known) == classes:
        return _found(named, known, "the model"), "which are names of the model's classes"
    raise _Unusable(
        f"{_listed(named)} {'is not an index' if len(named) == 1 else 'are not indexes'} of the model's classes, and"
        f" the names of its classes are not known; add {CLASSES_FILE} with one name on each line, in the order of the"
        " outputs"
    )


def _found(named: Sequence[str], known: Sequence[tuple[str, ...]], source: str) -> dict[str, int]:
    """Return the class of each name: of exactly this name, else of one that differs in case, accents' encoding, spaces
    and hyphens. A name that several classes share names none of them."""
    exact: dict[str, set[int]] = {}
    places: dict[str, set[int]] = {}
    for place, names in enumerate(known):
        for name in names:
            exact.setdefault(name, set()).add(place)
            places.setdefault(_normalized(name), set()).add(place)
    found = {name: exact.get(name) or places.get(_normalized(name), set()) for name in named}
    if unknown := [name for name in named if not found[name]]:
        raise _Unusable(f"{_listed(unknown)} {'is' if len(unknown) == 1 else 'are'} not among the classes of {source}")
    if shared := [name for name in named if len(found[name]) > 1]:
        raise _Unusable(f"{_listed(shared)} may be several classes of {source}; use their indexes")
    return {name: next(iter(found[name])) for name in named}


def category_places(
    named: Sequence[str], known: Sequence[tuple[str, ...]], model: str, *, imagenet: bool
) -> dict[str, int]:
    """Return the class of each named category among the ``known`` names of a model's classes. With ``imagenet``, 1,000
    of these are ImageNet's in their order, which all WordNet ids or their indexes can name.

    Raises:
        UsageError: a category is not among the classes, or may be several of them.
    """
    if imagenet and len(known) == len(named) == _IMAGENET and all(_WORDNET.fullmatch(name) for name in named):
        return {name: place for place, name in enumerate(sorted(named))}
    indexes = {name: int(name) for name in named if name.isascii() and name.isdigit()}
    if imagenet and indexes and len(set(indexes.values())) == len(named) and max(indexes.values()) < len(known):
        return indexes
    try:
        return _found(named, known, model)
    except _Unusable as error:
        raise UsageError(
            str(error), "evaluate on data whose categories have the names of the model's classes"
        ) from error


def class_names(model: Model, module: nn.Module) -> list[tuple[str, ...]]:
    """Return the names of each class of a model, in the order of its outputs; empty if they are not known.

    They are those of torchvision's and timm's published weights, or of the configuration of a transformers model.
    """
    prepare_torchvision()
    if isinstance(model, ModelEntry) and model.source_kind == "torchvision":
        from torchvision.models import get_model_weights

        categories = next(iter(get_model_weights(model.source_id))).meta.get("categories", ())
        return _with_wordnet([(str(name),) for name in categories])
    if isinstance(model, ModelEntry) and model.source_kind == "timm":
        from timm.data import ImageNetInfo, infer_imagenet_subset

        subset = infer_imagenet_subset(module)
        if subset is None:
            return []
        known = ImageNetInfo(subset)
        return [(name, *_synonyms(known.label_name_to_description(name))) for name in map(str, known.label_names())]
    for part in (module, getattr(module, "model", None)):
        labels = getattr(getattr(part, "config", None), "id2label", None)
        if isinstance(labels, Mapping):
            names = {int(place): str(name) for place, name in labels.items()}
            if sorted(names) == list(range(len(names))):
                return [tuple(_synonyms(names[place])) for place in range(len(names))]
    return []


def _synonyms(text: str) -> list[str]:
    """Return a name such as ``tench, Tinca tinca`` and its parts."""
    return list(dict.fromkeys([text, *(part.strip() for part in text.split(",") if part.strip())]))


def _with_wordnet(names: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Add the WordNet ids to the classes of ImageNet, which timm has a list of."""
    spec = find_spec("timm") if len(names) == _IMAGENET else None
    if spec is None or spec.origin is None:
        return names
    try:
        ids = (Path(spec.origin).parent / "data" / "_info" / "imagenet_synsets.txt").read_text().split()
    except OSError:
        return names
    return [(*one, identifier) for one, identifier in zip(names, ids, strict=True)] if len(ids) == len(names) else names


def _normalized(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", unicodedata.normalize("NFKC", name).casefold())).strip()


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(repr, names[:_SHOWN])) + more


# Labels as they are written in files


def label_of(value: object) -> Label:
    """Return a label as it is written in a file: a name, a number, or nested lists or an array of numbers.

    Raises:
        ValueError, TypeError: it is something else.
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return list(value)
    tensor = torch.as_tensor(value)
    if tensor.is_complex() or not tensor.numel():
        raise TypeError("a label that is not a number")
    return tensor.reshape(1) if tensor.dim() == 0 else tensor.contiguous()
