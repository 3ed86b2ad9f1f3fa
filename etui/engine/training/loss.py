"""The losses of a model's outputs: which loss fits an output, and what it is trained towards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from etui.catalog.find import Model
from etui.engine.models.call_structure import Inputs
from etui.errors import PreparationError, UsageError
from etui.training_check import LossName

_RESHAPING = (
    "Alias", "Clone", "Expand", "Permute", "Reshape", "Select", "Slice", "Squeeze", "TBackward", "ToCopy", "Transpose",
    "Unsqueeze", "UnsafeView", "View",
)  # fmt: skip
"""The beginnings of the names of autograd's operators that change only the shape."""
_OUTPUT_HINT = "return at least one output of floating-point values that depends on a parameter"


class OutputLoss(NamedTuple):
    """The loss of one output: its place among all output tensors, its text, and the function of the output."""

    place: int
    text: str
    function: Callable[[torch.Tensor], torch.Tensor]


def choose_losses(
    model: Model, outputs: Sequence[torch.Tensor], inputs: Inputs, loss: LossName | None, labels: torch.Tensor | None,
    seed: int,
) -> list[OutputLoss]:  # fmt: skip
    """Return a loss for each output that depends on a parameter, so that no branch is without a gradient.

    The first has the loss named ``loss``, or one that fits it, and the labels if there are any; the others have the
    mean squared error. Targets without labels are drawn with ``seed``.

    Raises:
        UsageError: the requested loss or the labels do not fit the first output.
        PreparationError: no output depends on a trainable parameter.
    """
    usable = [
        (index, tensor)
        for index, tensor in enumerate(outputs)
        if tensor.is_floating_point() and tensor.requires_grad and tensor.numel() > 0
    ]
    if not usable:
        floating = any(tensor.is_floating_point() for tensor in outputs)
        cause = "do not depend on its trainable parameters" if floating else "are not floating-point values"
        raise PreparationError(f"the outputs of {model.name} {cause}, so that no loss has gradients", _OUTPUT_HINT)
    generator = torch.Generator().manual_seed(seed)
    chosen: list[OutputLoss] = []
    for index, output in usable:
        first = not chosen
        name: LossName = (loss or _fitting(model, output, inputs, labels)) if first else "mse"
        with torch.no_grad():
            text, function = _LOSSES[name](model, output, inputs, labels if first else None, generator)
        chosen.append(OutputLoss(index, text, function))
    return chosen


def _fitting(model: Model, output: torch.Tensor, inputs: Inputs, labels: torch.Tensor | None) -> LossName:
    if labels is not None:
        return "mse" if labels.is_floating_point() else "cross-entropy"
    kind = model.outputs
    if kind in {"embedding", "hidden state", "boxes and scores"}:
        return "mse"
    if output.dim() == 3 and _tokens(output, inputs) is not None:
        return "language-modelling"
    if (output.dim() == 2 and output.shape[1] > 1) or kind == "segmentation map":
        return "cross-entropy"
    return "mse"


def _tokens(output: torch.Tensor, inputs: Inputs) -> torch.Tensor | None:
    """Return the input tokens that an output of shape [N, T, V] has logits for; None if there are none."""
    for tensor in inputs:
        if (
            not tensor.is_floating_point()
            and not tensor.is_complex()
            and tensor.shape == output.shape[:2]
            and tensor.shape[1] > 1
            and 0 <= int(tensor.min()) <= int(tensor.max()) < output.shape[2]
            and output.shape[2] > 2
        ):
            return tensor.long()
    return None


Made = tuple[str, Callable[[torch.Tensor], torch.Tensor]]


def _cross_entropy(
    model: Model, output: torch.Tensor, inputs: Inputs, labels: torch.Tensor | None, generator: torch.Generator
) -> Made:
    if output.dim() < 2 or output.shape[1] < 2:
        raise _misfit(model, "cross-entropy", output, "[N, C] or [N, C, ..] with at least two classes C")
    classes = output.shape[1]
    wanted = (output.shape[0], *output.shape[2:])
    if labels is None:
        # The same for all positions of an item: a convolution cannot learn noise by position.
        single = (output.shape[0], *(1 for _ in output.shape[2:]))
        targets = torch.randint(0, classes, single, generator=generator).expand(wanted).contiguous()
    else:
        targets = _labels(model, labels, wanted, "cross-entropy").long()
        if int(targets.min()) < 0 or int(targets.max()) >= classes:
            raise UsageError(
                f"the labels of {model.name} are not classes from 0 to {classes - 1}", "correct the labels"
            )
    if _are_probabilities(output):
        text = f"cross entropy of {classes:,} probabilities"
        return text, lambda values: nn.functional.nll_loss(values.clamp_min(1e-12).log(), targets)
    return f"cross entropy of {classes:,} logits", lambda values: nn.functional.cross_entropy(values, targets)


def _are_probabilities(output: torch.Tensor) -> bool:
    """Whether softmax was applied: cross entropy would apply it again."""
    sums = output.sum(1)
    return bool((output >= 0).all()) and bool(torch.allclose(sums, torch.ones_like(sums), atol=1e-4))


def _bce(
    model: Model, output: torch.Tensor, inputs: Inputs, labels: torch.Tensor | None, generator: torch.Generator
) -> Made:
    if labels is None:
        targets = torch.randint(0, 2, output.shape, generator=generator).to(output.dtype)
    else:
        targets = _labels(model, labels, tuple(output.shape), "bce").to(output.dtype)
        if not bool(((targets >= 0) & (targets <= 1)).all()):
            raise UsageError(f"the labels of {model.name} are not from 0 to 1", "correct the labels")
    if _is_sigmoid(output):
        return "binary cross entropy of probabilities", lambda values: nn.functional.binary_cross_entropy(
            values, targets
        )
    return "binary cross entropy of logits", lambda values: nn.functional.binary_cross_entropy_with_logits(
        values, targets
    )


def _is_sigmoid(output: torch.Tensor) -> bool:
    """Whether the last operator of an output, apart from changes of its shape, is a sigmoid or softmax. Values alone do
    not tell: a few logits may all be between 0 and 1."""
    operator = output.grad_fn
    while operator is not None and operator.name().startswith(_RESHAPING):
        operator = operator.next_functions[0][0]
    in_range = bool(((output >= 0) & (output <= 1)).all())
    return in_range and operator is not None and ("igmoid" in operator.name() or "Softmax" in operator.name())


def _mse(
    model: Model, output: torch.Tensor, inputs: Inputs, labels: torch.Tensor | None, generator: torch.Generator
) -> Made:
    if labels is None:
        # Like the outputs, so that a normalized output can reach them.
        finite = output[torch.isfinite(output)]
        spread = float(finite.std(correction=0)) if finite.numel() > 1 else 0.0
        middle = float(finite.mean()) if finite.numel() else 0.0
        drawn = output.shape if output.dim() < 4 else (*output.shape[:2], *(1 for _ in output.shape[2:]))
        targets = middle + (spread or 1.0) * torch.randn(drawn, generator=generator)
        targets = targets.expand(output.shape).to(output.dtype)
    else:
        targets = _labels(model, labels, tuple(output.shape), "mse").to(output.dtype)
    return "mean squared error", lambda values: nn.functional.mse_loss(values, targets)


def _language_modelling(
    model: Model, output: torch.Tensor, inputs: Inputs, labels: torch.Tensor | None, generator: torch.Generator
) -> Made:
    tokens = _tokens(output, inputs) if output.dim() == 3 else None
    if tokens is None:
        raise _misfit(
            model, "language-modelling", output, "[N, T, V] with the logits of V tokens, and integer inputs [N, T]"
        )
    if labels is not None:
        raise UsageError("language-modelling takes no labels: the targets are the next tokens", "choose another --loss")
    targets = tokens[:, 1:].flatten()
    return f"cross entropy of the next of {output.shape[2]:,} tokens", lambda values: nn.functional.cross_entropy(
        values[:, :-1].flatten(0, 1), targets
    )


_LOSSES: dict[
    LossName,
    Callable[[Model, torch.Tensor, Inputs, torch.Tensor | None, torch.Generator], Made],
] = {"cross-entropy": _cross_entropy, "bce": _bce, "mse": _mse, "language-modelling": _language_modelling}


def _labels(model: Model, labels: torch.Tensor, shape: tuple[int, ...], loss: str) -> torch.Tensor:
    if tuple(labels.shape) == shape:
        return labels
    if labels.numel() == torch.Size(shape).numel():
        return labels.reshape(shape)
    raise UsageError(
        f"the labels of {model.name} have shape {list(labels.shape)}, but {loss} needs {list(shape)}",
        "choose another --loss, or correct the labels",
    )


def _misfit(model: Model, loss: str, output: torch.Tensor, needed: str) -> UsageError:
    return UsageError(
        f"{loss} does not fit {model.name}: it needs an output of shape {needed}, and its first output is"
        f" {list(output.shape)}",
        "choose another --loss, or auto",
    )
