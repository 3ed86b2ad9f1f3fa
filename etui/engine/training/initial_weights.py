"""The weights that a training begins with: a checkpoint of a training, published weights, or any weight file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from etui.catalog.find import Model
from etui.engine.models.weights import Log, read_state_dict, resolve
from etui.engine.training.checkpoints import is_checkpoint, model_tensors, read_checkpoint
from etui.errors import PreparationError
from etui.text import counted, plain


def initialize(
    model: Model, module: nn.Module, initial: str, categories: tuple[str, ...], cache_dir: Path, log: Log
) -> None:
    """Set the weights of a module from ``pretrained`` or the path of a file.

    A checkpoint of a training must have the same categories. Of other weights, the last layer stays random if it has
    another number of outputs.

    Raises:
        PreparationError: the weights are not available, or those of another architecture.
    """
    if initial == "pretrained":
        path = resolve(model, initial, 0, cache_dir, log).path
        assert path is not None
        adopt(module, read_state_dict(path), f"the published weights of {model.name}")
        return
    path = Path(initial)
    if not is_checkpoint(path):
        adopt(module, read_state_dict(path), plain(initial))
        return
    position, tensors = read_checkpoint(path)
    if position.settings.qat is not None:
        raise PreparationError(f"{plain(initial)} was trained with --qat", "select an FP32 checkpoint")
    if position.categories != categories:
        raise PreparationError(
            f"{plain(initial)} was trained for other categories than those of the data set"
            f" ({len(position.categories)} and {len(categories)})",
            "select a checkpoint of the same categories",
        )
    load_weights(module, model_tensors(tensors), plain(initial))


def load_weights(module: nn.Module, tensors: dict[str, torch.Tensor], name: str) -> None:
    """Load all tensors of a module. Raises PreparationError if they are those of another architecture."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise PreparationError(
            f"{name} is a checkpoint of another architecture", "select the model that it was trained with"
        ) from error


def adopt(module: nn.Module, tensors: dict[str, torch.Tensor], name: str) -> None:
    """Load the tensors of a module, except those of the last layer if their shapes are others.

    Raises:
        PreparationError: anything else does not fit.
    """
    own = module.state_dict()
    weights = [key for key in own if own[key].dim() > 1]
    last = weights[-1].rpartition(".")[0] if weights else ""
    head = {key for key in own if key.rpartition(".")[0] == last}
    odd = {key for key in head if key in tensors and tensors[key].shape != own[key].shape}
    fitting = {key: value for key, value in tensors.items() if key not in odd}
    wrong = [key for key in {*own, *fitting} - odd if key not in own or key not in fitting]
    wrong += [key for key in {*own} & {*fitting} if own[key].shape != fitting[key].shape]
    if wrong:
        raise PreparationError(
            f"{name} does not fit the model: {counted(len(wrong), 'tensor')}, such as {plain(min(wrong))}",
            "select the weights of this model",
        )
    module.load_state_dict(fitting, strict=False)
