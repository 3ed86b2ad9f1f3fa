"""A program next to eager on labelled images, against scikit-learn, and the limits on its loss."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from etui.analysis.task_evaluation import MOST_CHANGED, RECALLS, task_metric
from etui.analysis.task_limits import loss, with_task_limits
from etui.results import Accuracy, AccuracyVerdict, Comparison, Metrics, TaskData, TaskMetric, Tolerance

NAMES = ("cat", "dog", "fish", "never")
IMAGES = 300


def drawn(kind: Literal["multi-label", "single-label"], noise: float = 0.5) -> tuple[TaskMetric, Any, Any, Any]:
    random = np.random.default_rng(3)
    labels = np.zeros((IMAGES, len(NAMES)), dtype=bool)
    if kind == "multi-label":
        labels[:, :3] = random.random((IMAGES, 3)) < 0.3
    else:
        labels[np.arange(IMAGES), random.integers(0, 3, IMAGES)] = True
    logits = random.normal(0, 1, labels.shape) + 2 * labels - 1
    sides = [logits, logits + random.normal(0, noise, labels.shape)]
    if kind == "multi-label":
        eager, program = (1 / (1 + np.exp(-one)) for one in sides)
    else:
        eager, program = (np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in sides)
        program[0] = 1 / len(NAMES)  # equal scores, as of an INT8 program
    found = task_metric(
        eager, program, labels,
        data=TaskData(name="pets", split="val", kind=kind, images=IMAGES, of=IMAGES, sha256="ab"),
        names=NAMES, paths=[f"{number}.jpg" for number in range(IMAGES)], threshold=0.4,
        threshold_from_metadata=True, preprocessing={},
    )  # fmt: skip
    return found, eager, program, labels


def test_categories_and_curves_are_those_of_scikit_learn() -> None:
    found, eager, program, labels = drawn("multi-label")
    evaluation = found.evaluation
    assert evaluation is not None and (found.name, evaluation.threshold) == ("mAP", 0.4)
    mean = average_precision_score(labels[:, :3], program[:, :3], average="macro")
    assert found.program == evaluation.program.value == pytest.approx(mean)
    assert evaluation.difference.value == pytest.approx(found.program - found.eager)
    assert [one.name for one in evaluation.categories] == list(NAMES)
    for place, category in enumerate(evaluation.categories[:3]):
        for values, scores in ((category.eager, eager), (category.program, program)):
            positive, score = labels[:, place], scores[:, place]
            precision, recall, f1, _ = precision_recall_fscore_support(positive, score >= 0.4, average="binary")
            assert (values.precision, values.recall, values.f1) == pytest.approx((precision, recall, f1))
            assert values.average_precision == pytest.approx(average_precision_score(positive, score))
            for least, drawn_precision in zip(RECALLS, values.precisions, strict=True):
                # By its definition: the highest threshold that reaches the recall.
                reached = [one for one in sorted(score, reverse=True) if positive[score >= one].sum()
                           >= round(least * positive.sum(), 9)]  # fmt: skip
                assert drawn_precision == pytest.approx(positive[score >= reached[0]].mean(), abs=1e-4)
    never = evaluation.categories[3]
    assert never.positives == 0 and never.program.average_precision is None and never.program.precisions == []


def test_the_images_with_the_largest_changes_are_listed() -> None:
    found, eager, program, labels = drawn("multi-label", noise=3.0)
    evaluation = found.evaluation
    assert evaluation is not None
    differ = ((eager >= 0.4) != (program >= 0.4)).any(axis=1)
    assert evaluation.changed_count == differ.sum() > MOST_CHANGED == len(evaluation.changed)
    change = np.abs(program - eager).max(axis=1)
    assert evaluation.changed[0].change == pytest.approx(change[differ].max(), abs=1e-6)
    for one in evaluation.changed:
        row = int(one.path.removesuffix(".jpg"))
        assert one.eager == [NAMES[place] for place in np.flatnonzero(eager[row] >= 0.4)] != one.program
        assert one.labels == [NAMES[place] for place in np.flatnonzero(labels[row])]


def test_the_hits_of_single_label_categories_are_top_1() -> None:
    found, *_ = drawn("single-label")
    evaluation = found.evaluation
    assert evaluation is not None and found.name == "top-1" and evaluation.threshold is None
    hits = sum((one.program.recall or 0) * one.positives for one in evaluation.categories)
    assert hits == pytest.approx(found.program * IMAGES)
    equal = next(one for one in evaluation.changed if one.path == "0.jpg")
    assert equal.program == [], "an image whose best score is shared is given none"


def test_a_loss_is_judged_by_its_whole_interval() -> None:
    found, *_ = drawn("multi-label", noise=1.0)
    evaluation = found.evaluation
    assert evaluation is not None
    lost = loss(evaluation)
    assert lost.points == pytest.approx(100 * (found.eager - found.program)) and lost.interval is not None
    low, high = lost.interval
    assert low < lost.points < high
    exact = Metrics(exact=True)
    compared = Comparison(against="eager", overall=exact, worst=exact, outputs=[])
    limits = [(high + 0.1, "PASS"), (lost.points, "UNPROVEN"), (low - 0.1, "FAIL")]
    for tolerance, before in ((Tolerance(sqnr_db_min=1), "PASS"), (None, "UNPROVEN")):
        verdict: AccuracyVerdict = "PASS" if before == "PASS" else "UNPROVEN"
        accuracy = Accuracy(verdict=verdict, reason="given", tolerance=tolerance, end_to_end=compared, task=found)
        for limit, expected in limits:
            judged = with_task_limits(accuracy, limit, None)
            assert judged.verdict == expected
            assert judged.tolerance is not None and judged.tolerance.map_drop == limit
        assert with_task_limits(accuracy, None, 1.0).verdict == "UNPROVEN", "top-1 was not evaluated"
    failed = Accuracy(verdict="FAIL", reason="NaN", tolerance=None, end_to_end=compared, task=found)
    assert with_task_limits(failed, high + 1, None).verdict == "FAIL"
