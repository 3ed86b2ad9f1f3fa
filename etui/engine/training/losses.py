"""Losses of classification: cross entropy, and binary cross entropy, focal and asymmetric loss for several labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from etui.engine.models.torchvision_shim import prepare_torchvision

TaskLossName = Literal["cross-entropy", "bce", "focal", "asymmetric"]
TaskLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""The loss of logits [N, C]: its mean over images, or over images and categories."""

_EPSILON = 1e-8


def binary_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean binary cross entropy of logits [N, C] and targets [N, C] of 0 and 1."""
    return nn.functional.binary_cross_entropy_with_logits(logits, targets)


def focal(logits: torch.Tensor, targets: torch.Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> torch.Tensor:
    """Return the mean focal loss of logits [N, C] and targets [N, C] of 0 and 1.

    Lin et al., Focal Loss for Dense Object Detection, 2017, equation 5: -alpha_t (1 - p_t)^gamma log(p_t).
    """
    prepare_torchvision()
    from torchvision.ops import sigmoid_focal_loss

    loss: torch.Tensor = sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma, reduction="mean")
    return loss


def asymmetric(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    gamma_positive: float = 1.0,
    gamma_negative: float = 4.0,
    shift: float = 0.05,
) -> torch.Tensor:
    """Return the mean asymmetric loss of logits [N, C] and targets [N, C] of 0 and 1.

    Ridnik et al., Asymmetric Loss For Multi-Label Classification, 2021, equations 4 to 6, with p = sigmoid(logit) and
    p_m = max(p - shift, 0): -(1 - p)^gamma_positive log(p) of a positive label, and -p_m^gamma_negative log(1 - p_m)
    of a negative one. As in the authors' implementation, no gradient passes through the focusing weights, the powers.
    """
    probabilities = torch.sigmoid(logits)
    shifted = (probabilities - shift).clamp(min=0)
    cross_entropy = targets * torch.log(probabilities.clamp(min=_EPSILON)) + (1 - targets) * torch.log(
        (1 - shifted).clamp(min=_EPSILON)
    )
    with torch.no_grad():
        weights = targets * (1 - probabilities) ** gamma_positive + (1 - targets) * shifted**gamma_negative
    return -(weights * cross_entropy).mean()


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean cross entropy of logits [N, C] and targets [N] (classes) or [N, C] (probabilities)."""
    return nn.functional.cross_entropy(logits, targets)


LOSSES: dict[TaskLossName, TaskLoss] = {
    "cross-entropy": cross_entropy,
    "bce": binary_cross_entropy,
    "focal": focal,
    "asymmetric": asymmetric,
}
