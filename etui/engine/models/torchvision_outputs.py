"""Options and outputs of torchvision's models: tensors, from models that return dictionaries or lists of results."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from etui.catalog.models import ModelEntry

_COCO_CLASSES = 91
_VOC_CLASSES = 21


def torchvision_options(entry: ModelEntry) -> dict[str, Any]:
    """Return the options with which torchvision builds a model that its published weights fit, without downloading
    any."""
    name = entry.source_id
    if entry.task == "segmentation":
        options: dict[str, Any] = {"weights_backbone": None, "num_classes": _VOC_CLASSES}
        return options if name.startswith("lraspp") else {**options, "aux_loss": True}
    if entry.task == "detection":
        return {"weights_backbone": None, "num_classes": _COCO_CLASSES}
    if name in {"googlenet", "inception_v3"}:
        return {"transform_input": True, "aux_logits": True, "init_weights": True}
    if name.startswith("vit_") and entry.image is not None:
        return {"image_size": entry.image.size}
    return {}


def with_output(entry: ModelEntry, raw: nn.Module) -> nn.Module:
    """Return the module that is measured: one whose outputs are tensors."""
    if entry.task == "segmentation":
        return _Segmentation(raw)
    if entry.task == "detection":
        return _Detection(raw)
    return raw


class _Segmentation(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.model(pixels)["out"]
        return scores


class _Detection(nn.Module):
    """The outputs of the heads of a detector with one stage, for an image with values from 0 to 1. What follows in
    torchvision (decoding and non-maximum suppression) depends on values, and usually runs outside the program."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        transform = model.transform
        self.backbone, self.head = model.backbone, model.head
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(transform.image_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(transform.image_std).view(3, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = self.backbone((pixels - self.mean) / self.std)
        listed = [features] if isinstance(features, torch.Tensor) else list(features.values())
        return tuple(self.head(listed).values())
