"""The losses of classification against their formulas, computed in numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from etui.engine.training.losses import LOSSES, TaskLossName, asymmetric, focal

_Array = NDArray[np.float64]


def _batch() -> tuple[_Array, _Array]:
    generator = np.random.default_rng(3)
    logits = generator.normal(0, 3, (17, 9))
    return logits, (generator.random((17, 9)) < 0.3).astype(np.float64)


def _sigmoid(logits: _Array) -> _Array:
    result: _Array = 1 / (1 + np.exp(-logits))
    return result


def _bce(logits: _Array, targets: _Array) -> float:
    p = _sigmoid(logits)
    return float(-(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean())


def _focal(logits: _Array, targets: _Array, alpha: float = 0.25, gamma: float = 2.0) -> float:
    p = _sigmoid(logits)
    right = np.where(targets == 1, p, 1 - p)
    balance = np.where(targets == 1, alpha, 1 - alpha)
    return float((-balance * (1 - right) ** gamma * np.log(right)).mean())


def _asymmetric(
    logits: _Array, targets: _Array, positive: float = 1.0, negative: float = 4.0, shift: float = 0.05
) -> float:
    p = _sigmoid(logits)
    shifted = np.maximum(p - shift, 0)
    of_positive = -((1 - p) ** positive) * np.log(p)
    of_negative = -(shifted**negative) * np.log(1 - shifted)
    return float(np.where(targets == 1, of_positive, of_negative).mean())


def _cross_entropy(logits: _Array, targets: _Array) -> float:
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return float(-(targets * np.log(p)).sum(1).mean())


@pytest.mark.parametrize(
    ("name", "formula"),
    [("bce", _bce), ("focal", _focal), ("asymmetric", _asymmetric), ("cross-entropy", _cross_entropy)],
)
def test_a_loss_has_the_value_of_its_formula(name: TaskLossName, formula: Callable[[_Array, _Array], float]) -> None:
    logits, targets = _batch()
    loss = LOSSES[name](torch.from_numpy(logits), torch.from_numpy(targets))
    assert float(loss) == pytest.approx(formula(logits, targets), rel=1e-9)


def test_the_parameters_of_the_focal_and_asymmetric_loss_are_those_of_the_formulas() -> None:
    logits, targets = _batch()
    given = torch.from_numpy(logits), torch.from_numpy(targets)
    assert float(focal(*given, alpha=0.6, gamma=1.5)) == pytest.approx(_focal(logits, targets, 0.6, 1.5), rel=1e-9)
    loss = float(asymmetric(*given, gamma_positive=0.5, gamma_negative=3.0, shift=0.2))
    assert loss == pytest.approx(_asymmetric(logits, targets, 0.5, 3.0, 0.2), rel=1e-9)
    plain = float(asymmetric(*given, gamma_positive=0.0, gamma_negative=0.0, shift=0.0))
    assert plain == pytest.approx(_bce(logits, targets), rel=1e-7)


def test_the_gradient_of_the_asymmetric_loss_takes_its_weights_as_constants() -> None:
    values, targets = _batch()
    logits = torch.from_numpy(values).requires_grad_()
    asymmetric(logits, torch.from_numpy(targets)).backward()  # type: ignore[no-untyped-call]
    p = _sigmoid(values)
    shifted = np.maximum(p - 0.05, 0)
    of_positive = -(1 - p) * (1 - p)
    of_negative = shifted**4 * np.where(p > 0.05, p * (1 - p) / (1 - shifted), 0)
    expected = np.where(targets == 1, of_positive, of_negative) / values.size
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.numpy(), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", ["bce", "focal", "asymmetric"])
def test_a_loss_and_its_gradient_are_finite_for_extreme_logits(name: TaskLossName) -> None:
    logits = torch.tensor([[-200.0, 200.0, -200.0, 200.0]], requires_grad=True)
    loss = LOSSES[name](logits, torch.tensor([[1.0, 0.0, 0.0, 1.0]]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
