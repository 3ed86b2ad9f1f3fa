"""Texts of a training check say what failed, with which optimizers, and what to do."""

from __future__ import annotations

from typing import Any

from etui.training_check import Failure, OptimizerCheck, TrainingCheck, Trial
from etui.wording import training_check as wording


def optimizer(*failures: Failure, **changes: Any) -> OptimizerCheck:
    facts: dict[str, Any] = {
        "optimizer": "adam", "learning_rate": 0.003, "passed": not failures, "failures": list(failures),
        "losses": [2.0, 1.0], "begin_loss": 2.0, "end_loss": 1.9,
    }  # fmt: skip
    return OptimizerCheck(**(facts | changes))


def check(*optimizers: OptimizerCheck, **changes: Any) -> TrainingCheck:
    facts: dict[str, Any] = {
        "model": "net", "title": "a net", "losses": ["mean squared error"], "targets": "drawn with seed 0",
        "inputs": ["4x8 float32"], "batch": 4, "steps": 2, "seed": 0, "trainable_parameters": 2,
        "trainable_elements": 20, "frozen": [], "optimizers": list(optimizers),
    }  # fmt: skip
    return TrainingCheck(**(facts | changes))


def test_the_same_failure_of_several_optimizers_is_one_line() -> None:
    branch = Failure(kind="no gradient", places=["branch (Linear): weight, bias"])
    falls = Failure(kind="loss does not fall")
    shown = wording.failures(check(optimizer(branch), optimizer(branch, falls, optimizer="sgd")))
    assert [entry.label for entry in shown] == ["FAIL adam, sgd", "FAIL sgd"]
    assert shown[0].value.endswith("branch (Linear): weight, bias")


def test_many_layers_are_counted() -> None:
    places = [f"{number} (Linear): weight" for number in range(30)]
    (shown,) = wording.failures(check(optimizer(Failure(kind="zero gradient", places=places))))
    assert shown.value.endswith("7 (Linear): weight; and 22 more")


def test_a_smaller_learning_rate_is_advised_only_if_the_loss_rose() -> None:
    rose, slow = Failure(kind="loss does not fall", step=2), Failure(kind="loss does not fall")
    broken = Failure(kind="loss not finite", step=1, places=["1 (Log)"])
    later = Failure(kind="loss not finite", step=3, places=["1 (Log)"])
    for failure, advised in ((rose, True), (slow, False), (broken, False), (later, True)):
        one = optimizer(failure)
        assert ("may be too large" in wording.failure(failure, one)) is advised
    assert "another --learning-rate" in wording.failure(slow, optimizer(slow))
    trial = Trial(learning_rate=0.1, begin_loss=2.0, end_loss=None)
    tried = optimizer(slow, tried=[trial])
    assert "another --learning-rate" not in wording.failure(slow, tried)
    assert "0.1 (2.00 to not finite)" in wording.tried(tried)


def test_gradients_have_the_layers_with_the_smallest_and_largest() -> None:
    one = optimizer(gradient_norms=[3.0, 1.0, 2.0, None], module_gradient_norms={"a": 0.5, "": 0.25, "b": 2.0})
    shown = wording.gradients(one)
    assert "3.00 at first, median 2.00, largest 3.00" in shown
    assert "0.250 (the model itself) to 2.00 (b)" in shown
    assert not wording.gradients(optimizer())


def test_values_that_are_missing_are_not_numbers() -> None:
    cells = wording.cells(optimizer(losses=[2.0, None]))
    assert cells[4:] == ["2.00", "not finite", "-", "-"]


def test_frozen_parameters_are_listed() -> None:
    labels = {entry.label: entry.value for entry in wording.entries(check(frozen=["0 (Linear): weight"]))}
    assert "0 (Linear): weight" in labels["frozen"]
    assert "frozen" not in {entry.label for entry in wording.entries(check())}
