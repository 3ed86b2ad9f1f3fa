"""The task metric of a user's model: a named metric or a function, over the outputs and labels of evaluation inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from etui.errors import PreparationError

Metric = Callable[[list[Any], list[Any]], float]


def metric_of(metric: object, labels: object, source: str) -> tuple[str, Metric] | None:
    """Return the name and the function of a model's metric; None without one.

    Raises:
        PreparationError: it is unknown, or there is a metric without labels or the reverse.
    """
    if metric is None and labels is None:
        return None
    if metric is None or labels is None:
        missing, given = ("metric", "labels") if metric is None else ("labels", "a metric")
        raise PreparationError(f"{source} has {given} but no {missing}", "give labels and metric together")
    if isinstance(metric, str):
        if metric not in _NAMED:
            raise PreparationError(
                f"{source} has the unknown metric {metric!r}", f"give {', '.join(_NAMED)}, or a function"
            )
        return metric, _NAMED[metric]
    if callable(metric):
        function: Metric = metric
        return str(getattr(metric, "__name__", type(metric).__name__)), function
    raise PreparationError(f"the metric of {source} is not a function", f"give {', '.join(_NAMED)}, or a function")


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


def _scores(output: object) -> torch.Tensor:
    """Return the first tensor of an output: scores of classes in dimension 1."""
    scores: torch.Tensor = next(leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor))
    return scores.float()


def _best(outputs: list[Any], labels: list[Any], count: int) -> float:
    right = total = 0
    for output, label in zip(outputs, labels, strict=True):
        scores = _scores(output)
        if scores.dim() > 3:
            raise PreparationError(
                f"top-{count} needs classes in the last dimension, but the output has shape {list(scores.shape)}",
                "use miou for maps of classes, or a function as metric",
            )
        wanted = torch.as_tensor(label).reshape(-1).long()
        scores = scores.reshape(-1, scores.shape[-1]) if scores.dim() else scores.reshape(1, 1)
        if len(wanted) != len(scores):
            raise PreparationError(
                f"top-{count} needs one label for each row of scores: {len(scores)} rows, {len(wanted)} labels",
                "give labels of the shape of the scores without their last dimension, or a function as metric",
            )
        best = scores.topk(min(count, scores.shape[-1]), dim=-1).indices
        right += int((best == wanted.unsqueeze(-1)).any(dim=-1).sum())
        total += len(wanted)
    return right / total


def _mean_iou(outputs: list[Any], labels: list[Any]) -> float:
    """Return the mean over classes of intersection over union, over all pixels together; pixels labelled 255 or below
    zero are ignored, and classes that occur neither in labels nor in predictions are left out."""
    intersection: dict[int, int] = {}
    union: dict[int, int] = {}
    for output, label in zip(outputs, labels, strict=True):
        predicted, wanted = _scores(output).argmax(dim=1), torch.as_tensor(label).long()
        if predicted.numel() != wanted.numel():
            raise PreparationError(
                f"miou needs a label for each pixel: {predicted.numel()} pixels, {wanted.numel()} labels",
                "give labels of the size of the output, or a function as metric",
            )
        predicted, wanted = predicted.reshape(-1), wanted.reshape(-1)
        known = (wanted >= 0) & (wanted != 255)
        predicted, wanted = predicted[known], wanted[known]
        for kind in sorted(set(predicted.tolist()) | set(wanted.tolist())):
            both = int(((predicted == kind) & (wanted == kind)).sum())
            either = int(((predicted == kind) | (wanted == kind)).sum())
            intersection[kind] = intersection.get(kind, 0) + both
            union[kind] = union.get(kind, 0) + either
    return sum(intersection[kind] / union[kind] for kind in union) / max(1, len(union))


_NAMED: dict[str, Metric] = {
    "top1": lambda outputs, labels: _best(outputs, labels, 1),
    "top5": lambda outputs, labels: _best(outputs, labels, 5),
    "miou": _mean_iou,
}
