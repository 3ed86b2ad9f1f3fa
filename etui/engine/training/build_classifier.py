"""Build what is trained: a classifier with an output for each category, and its optimizer."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

from etui.catalog.find import Model, UserModel
from etui.engine.models.build import build
from etui.engine.models.torchvision_shim import prepare_torchvision
from etui.errors import PreparationError
from etui.task_training import TrainingSettings


def build_classifier(model: Model, categories: int, seed: int) -> nn.Module:
    """Build a model of torchvision with an output for each category, or a user's model as it is, with random weights.

    Raises:
        PreparationError: it is neither.
    """
    torch.manual_seed(seed)
    if isinstance(model, UserModel):
        return build(model, seed=seed, freeze=False).module
    if model.source_kind != "torchvision":
        raise PreparationError(
            f"{model.name} cannot be trained", "select a classifier of torchvision or FILE.py:FACTORY"
        )
    prepare_torchvision()
    models = importlib.import_module("torchvision.models")
    try:
        module: nn.Module = models.get_model(model.source_id, weights=None, num_classes=categories)
    except TypeError as error:
        raise PreparationError(f"{model.name} is not a classifier", "select another model") from error
    return module


def check_output(model: Model, module: nn.Module, images: torch.Tensor, categories: int) -> None:
    """Raise PreparationError unless a model takes ``images`` and has one logit for each category."""
    module.eval()
    with torch.no_grad():
        try:
            output = module(images)
        except (RuntimeError, TypeError, ValueError) as error:
            raise PreparationError(f"{model.name} does not take images [N, 3, H, W]: {error}", "see --size") from error
    shape = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    if shape != [len(images), categories]:
        raise PreparationError(
            f"the output of {model.name} is {shape}, and the data set needs [N, {categories}]",
            "return one logit for each category",
        )


def optimizer_for(module: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Return the optimizer of the settings; scales of quantization have no weight decay."""
    scales = [one for name, one in module.named_parameters() if name.endswith("log_scale")]
    groups: list[dict[str, Any]] = [
        {"params": [one for name, one in module.named_parameters() if not name.endswith("log_scale")]},
        *([{"params": scales, "weight_decay": 0.0}] if scales else []),
    ]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    return torch.optim.SGD(
        groups, lr=settings.learning_rate, momentum=settings.momentum, weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
    )  # fmt: skip
