"""The task metrics of a model: named metrics or functions, over the outputs and labels of evaluation inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from etui.errors import PreparationError

Metric = Callable[[list[Any], list[Any]], float]


def metrics_of(metric: object, labels: object, source: str) -> list[tuple[str, Metric]]:
    """Return the names and the functions of a model's metrics, which may be one or a list of them.

    Raises:
        PreparationError: one is unknown, or there is a metric without labels or the reverse.
    """
    if metric is None and labels is None:
        return []
    if metric is None or labels is None:
        missing, given = ("metric", "labels") if metric is None else ("labels", "a metric")
        raise PreparationError(
            f"{source} has {given} but no {missing}",
            "give labels and metric together, or the labels in the files of --data",
        )
    found = [_metric(one, source) for one in (metric if isinstance(metric, list | tuple) else [metric])]
    if not found or len({name for name, _ in found}) != len(found):
        raise PreparationError(f"the metrics of {source} are not different ones", f"give {_CHOICE}, or several")
    return found


def _metric(metric: object, source: str) -> tuple[str, Metric]:
    if isinstance(metric, str):
        name = _OTHER_NAMES.get(metric, metric)
        if name not in NAMED:
            raise PreparationError(f"{source} has the unknown metric {metric!r}", f"give {_CHOICE}")
        return name, NAMED[name]
    if callable(metric):
        function: Metric = metric
        return str(getattr(metric, "__name__", type(metric).__name__)), function
    raise PreparationError(f"the metric of {source} is not a function", f"give {_CHOICE}")


def value_of_metric(metric: tuple[str, Metric], outputs: list[Any], labels: list[Any], source: str) -> float:
    """Compute a metric. Exceptions of the user's function are not caught.

    Raises:
        PreparationError: it is not a finite number, or a named metric does not fit the outputs or labels.
    """
    name, function = metric
    with torch.no_grad():
        returned: Any = function(outputs, labels)
    if isinstance(returned, torch.Tensor) and returned.numel() == 1:
        returned = returned.item()
    if isinstance(returned, bool) or not isinstance(returned, int | float) or not math.isfinite(returned):
        raise PreparationError(
            f"the metric {name} of {source} returned {str(returned)[:60]!r} instead of a number",
            "return a finite float from it",
        )
    return float(returned)


def like(template: object, tensors: Sequence[torch.Tensor]) -> Any:
    """Return an output with the structure of ``template``, the tensors of which are replaced in order."""
    leaves, structure = pytree.tree_flatten(template)
    remaining = iter(tensors)
    return pytree.tree_unflatten(
        [next(remaining) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves], structure
    )


def scores_of(output: object) -> torch.Tensor:
    """Return the first tensor of an output as FP32: scores of classes or predicted values."""
    scores: torch.Tensor = next(leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor))
    return scores.float()


def _rows(outputs: list[Any], labels: list[Any], name: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield scores of shape (rows, classes) and labels of shape (rows,); rows with a label below zero are left out."""
    for output, label in zip(outputs, labels, strict=True):
        scores = scores_of(output)
        if scores.dim() > 3:
            raise PreparationError(
                f"{name} needs classes in the last dimension, but the output has shape {list(scores.shape)}",
                "use miou for maps of classes, or a function as metric",
            )
        wanted = _classes(label)
        scores = scores.reshape(-1, scores.shape[-1]) if scores.dim() else scores.reshape(1, 1)
        if len(wanted) != len(scores):
            raise PreparationError(
                f"{name} needs one label for each row of scores: {len(scores)} rows, {len(wanted)} labels",
                "give labels of the shape of the scores without their last dimension, or a function as metric",
            )
        _check_classes(wanted, scores.shape[-1])
        known = wanted >= 0
        yield scores[known], wanted[known]


def _classes(label: object) -> torch.Tensor:
    """Return the classes of one example, flat."""
    given = torch.as_tensor(label).reshape(-1)
    if given.is_floating_point() and not torch.equal(given, given.round()):
        raise PreparationError(
            "a label is not the number of a class, but has a fraction", "give r2 or a function as metric"
        )
    return given.long()


def _check_classes(labels: torch.Tensor, classes: int) -> None:
    if labels.numel() and int(labels.max()) >= classes:
        raise PreparationError(
            f"label {int(labels.max())} is not a class of the output, which has {classes}: 0 to {classes - 1}",
            "number the classes from 0, in the order of the output",
        )


def _best(outputs: list[Any], labels: list[Any], count: int) -> float:
    right = total = 0
    for scores, wanted in _rows(outputs, labels, f"top{count}"):
        best = scores.topk(min(count, scores.shape[-1]), dim=-1).indices
        right += int((best == wanted.unsqueeze(-1)).any(dim=-1).sum())
        total += len(wanted)
    if not total:
        raise _no_labels()
    return right / total


def _f1_macro(outputs: list[Any], labels: list[Any]) -> float:
    """Return the mean of the F1 score (2 TP / (2 TP + FP + FN)) over classes that occur in labels or predictions."""
    pairs = [(scores.argmax(dim=-1), wanted) for scores, wanted in _rows(outputs, labels, "f1_macro")]
    predicted, wanted = (torch.cat([pair[side] for pair in pairs]) for side in (0, 1))
    classes = sorted(set(predicted.tolist()) | set(wanted.tolist()))
    if not classes:
        raise _no_labels()
    scores = []
    for kind in classes:
        both = int(((predicted == kind) & (wanted == kind)).sum())
        scores.append(2 * both / (int((predicted == kind).sum()) + int((wanted == kind).sum())))
    return sum(scores) / len(scores)


def _mean_iou(outputs: list[Any], labels: list[Any]) -> float:
    """Return the mean over classes of intersection over union, over all pixels together; pixels labelled 255 or below
    zero are ignored, and classes that occur neither in labels nor in predictions are left out."""
    intersection: dict[int, int] = {}
    union: dict[int, int] = {}
    for output, label in zip(outputs, labels, strict=True):
        scores = scores_of(output)
        if scores.dim() < 3:
            raise PreparationError(
                f"miou needs classes in dimension 1 and pixels, but the output has shape {list(scores.shape)}",
                "use top1 for scores of classes, or a function as metric",
            )
        predicted, wanted = scores.argmax(dim=1), _classes(label)
        if predicted.numel() != wanted.numel():
            raise PreparationError(
                f"miou needs a label for each pixel: {predicted.numel()} pixels, {wanted.numel()} labels",
                "give labels of the size of the output, or a function as metric",
            )
        predicted = predicted.reshape(-1)
        known = (wanted >= 0) & (wanted != _IGNORED_PIXEL)
        predicted, wanted = predicted[known], wanted[known]
        _check_classes(wanted, scores.shape[1])
        for kind in sorted(set(predicted.tolist()) | set(wanted.tolist())):
            both = int(((predicted == kind) & (wanted == kind)).sum())
            either = int(((predicted == kind) | (wanted == kind)).sum())
            intersection[kind] = intersection.get(kind, 0) + both
            union[kind] = union.get(kind, 0) + either
    if not union:
        raise _no_labels()
    return sum(intersection[kind] / union[kind] for kind in union) / len(union)


def _values(outputs: list[Any], labels: list[Any], name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the predicted and the true values of all outputs, flat."""
    predicted, wanted = [], []
    for output, label in zip(outputs, labels, strict=True):
        values = scores_of(output).reshape(-1).double()
        known = torch.as_tensor(label).reshape(-1).double()
        if len(values) != len(known):
            raise PreparationError(
                f"{name} needs a label for each value of the output: {len(values)} values, {len(known)} labels",
                "give labels of the shape of the output, or a function as metric",
            )
        predicted.append(values)
        wanted.append(known)
    return torch.cat(predicted), torch.cat(wanted)


def _r2(outputs: list[Any], labels: list[Any]) -> float:
    """Return the coefficient of determination over all values: 1 - SSE / SST."""
    predicted, wanted = _values(outputs, labels, "r2")
    total = float((wanted - wanted.mean()).pow(2).sum())
    if total == 0:
        raise PreparationError(
            "r2 is undefined: all labels are equal", "give more labelled examples, or another metric"
        )
    return 1 - float((wanted - predicted).pow(2).sum()) / total


def _negative_mae(outputs: list[Any], labels: list[Any]) -> float:
    predicted, wanted = _values(outputs, labels, "neg_mean_absolute_error")
    return -float((predicted - wanted).abs().mean())


def _no_labels() -> PreparationError:
    return PreparationError("no label is that of a class: all are below zero", "give labels from 0 on")


_IGNORED_PIXEL = 255

NAMED: dict[str, Metric] = {
    "top1": lambda outputs, labels: _best(outputs, labels, 1),
    "top5": lambda outputs, labels: _best(outputs, labels, 5),
    "f1_macro": _f1_macro,
    "miou": _mean_iou,
    "r2": _r2,
    "neg_mean_absolute_error": _negative_mae,
}
"""The metrics that can be given by name, all larger being better."""

_OTHER_NAMES = {"accuracy": "top1"}
_CHOICE = f"{', '.join([*NAMED, *_OTHER_NAMES])}, or a function"
