"""Metrics of a task, against scikit-learn and against values that are known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from etui.analysis import task_metrics
from etui.analysis.task_metrics import average_precision, best_threshold, calibration_error, differences, evaluate
from etui.errors import EtuiError


def _random(seed: int, images: int = 200, categories: int = 6, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.random((images, categories)) < np.linspace(0.05, 0.5, categories)
    scores = np.clip(random.normal(0.4, 0.2, labels.shape) + 0.15 * labels, 0.0, 1.0)
    return (np.round(scores, 1) if ties else scores), labels


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_metrics_agree_with_scikit_learn(seed: int, ties: bool) -> None:
    scores, labels = _random(seed, ties=ties)
    found = evaluate(scores, labels, "multi-label", 0.5, resamples=2)
    predicted = scores >= 0.5
    assert found.mean_average_precision is not None and found.macro_f1 is not None and found.micro_f1 is not None
    expected = {
        "map": average_precision_score(labels, scores, average="macro"),
        "macro": [score(labels, predicted, average="macro", zero_division=0)
                  for score in (precision_score, recall_score, f1_score)],
        "micro": [score(labels, predicted, average="micro") for score in (precision_score, recall_score, f1_score)],
    }  # fmt: skip
    assert found.mean_average_precision.value == pytest.approx(expected["map"], abs=1e-9)
    macro = [found.macro_precision, found.macro_recall, found.macro_f1.value]
    micro = [found.micro_precision, found.micro_recall, found.micro_f1.value]
    assert macro == pytest.approx(expected["macro"], abs=1e-9)
    assert micro == pytest.approx(expected["micro"], abs=1e-9)
    for place, category in enumerate(found.categories):
        each = average_precision_score(labels[:, place], scores[:, place])
        assert category.average_precision == pytest.approx(each, abs=1e-9)


def test_equal_scores_are_not_an_optimistic_ranking() -> None:
    """With one score for all images, the area is the share of positives, whatever their order."""
    assert average_precision(np.zeros(4), np.array([True, False, False, False])) == 0.25


def test_categories_without_positives_are_excluded() -> None:
    scores, labels = _random(1)
    labels[:, 2] = False
    kept = [0, 1, 3, 4, 5]
    found = evaluate(scores, labels, "multi-label", resamples=2)
    expected = evaluate(scores[:, kept], labels[:, kept], "multi-label", resamples=2)
    assert found.excluded == (2,)
    assert found.categories[2].average_precision is None
    assert found.categories[2].recall is None
    assert found.mean_average_precision is not None and expected.mean_average_precision is not None
    assert found.mean_average_precision.value == expected.mean_average_precision.value
    assert found.macro_f1 is not None and expected.macro_f1 is not None
    assert found.macro_f1.value == expected.macro_f1.value


def test_no_positives_at_all_give_no_value() -> None:
    scores, labels = _random(1)
    found = evaluate(scores, np.zeros_like(labels), "multi-label", resamples=2)
    assert found.mean_average_precision is None and found.macro_f1 is None and found.micro_recall is None
    assert best_threshold(scores, np.zeros_like(labels)) is None


def test_the_interval_is_that_of_repeated_evaluations() -> None:
    """The resamples are computed from counts; drawing the images themselves gives the same values."""
    scores, labels = _random(3, images=60, ties=True)
    found = evaluate(scores, labels, "multi-label", seed=5, resamples=40).mean_average_precision
    random = np.random.default_rng(5)
    values = []
    for drawn in random.integers(0, 60, (40, 60)):
        having = labels[drawn].any(axis=0)
        values.append(average_precision_score(labels[drawn][:, having], scores[drawn][:, having], average="macro"))
    assert found is not None and found.interval is not None
    expected = 2 * found.value - np.percentile(values, [97.5, 2.5])
    assert [found.interval.low, found.interval.high] == pytest.approx(list(expected), abs=1e-9)


def test_the_interval_has_the_value_of_many_images() -> None:
    """Percentiles of resamples would be above it: repeated images make an average precision too high."""
    random = np.random.default_rng(0)
    labels = random.random((6_000, 10)) < 0.15
    scores = random.random(labels.shape)
    true = 0.15  # scores without information have the share of positives as their area
    contained = 0
    for begin in range(0, 6_000, 300):
        part = slice(begin, begin + 300)
        found = evaluate(scores[part], labels[part], "multi-label", resamples=200).mean_average_precision
        assert found is not None and found.interval is not None
        contained += found.interval.low <= true <= found.interval.high
    assert contained >= 16


def test_few_images_have_no_interval() -> None:
    found = evaluate(np.eye(29), np.eye(29, dtype=bool), "single-label").top1
    assert found is not None and (found.value, found.interval) == (1.0, None)


def test_no_error_in_the_images_is_not_certainty() -> None:
    labels = np.eye(6, dtype=bool)[np.arange(30) % 6]
    found = evaluate(labels.astype(np.float64), labels, "single-label")
    assert found.top1 == task_metrics.Estimate(1.0, None)
    same = differences(labels.astype(np.float64), labels.astype(np.float64), labels, "single-label").top1
    assert same == task_metrics.Estimate(0.0, task_metrics.Interval(0.0, 0.0))


def test_differences_are_paired() -> None:
    """Scores that differ little have a difference that is known much better than each value."""
    scores, labels = _random(4)
    worse = scores + np.random.default_rng(0).normal(0, 0.01, scores.shape)
    single = evaluate(scores, labels, "multi-label", resamples=200).mean_average_precision
    lost = differences(worse, scores, labels, "multi-label", resamples=200).mean_average_precision
    assert single is not None and single.interval is not None and lost is not None and lost.interval is not None
    assert lost.interval.high - lost.interval.low < (single.interval.high - single.interval.low) / 3
    assert lost.interval.low <= lost.value <= lost.interval.high
    same = differences(scores, scores, labels, "multi-label", resamples=20).mean_average_precision
    assert same is not None and same.interval is not None
    assert (same.value, same.interval.low, same.interval.high) == (0.0, 0.0, 0.0)


def test_top_1_and_top_5_count_equal_scores_as_wrong() -> None:
    labels = np.eye(6, dtype=bool)
    constant = evaluate(np.full((6, 6), 1 / 6), labels, "single-label", resamples=2)
    assert constant.top1 is not None and constant.top5 is not None
    assert (constant.top1.value, constant.top5.value) == (0.0, 0.0)
    ranked = np.array([[6 - place for place in range(6)]] * 6) / 21
    found = evaluate(ranked, labels, "single-label", resamples=2)
    assert found.top1 is not None and found.top5 is not None
    assert (found.top1.value, found.top5.value) == pytest.approx((1 / 6, 5 / 6))
    assert evaluate(np.eye(3), np.eye(3, dtype=bool), "single-label", resamples=2).top5 is None


def test_the_best_threshold_has_the_largest_micro_f1() -> None:
    scores, labels = _random(6, ties=True)
    best = best_threshold(scores, labels)
    found = {value: f1_score(labels, scores >= value, average="micro") for value in np.unique(scores)}
    assert best is not None
    assert found[best] == pytest.approx(max(found.values()), abs=1e-12)


def test_the_calibration_error_is_the_distance_between_confidence_and_share() -> None:
    scores = np.array([[0.9, 0.1]] * 10)
    labels = np.array([[True, False]] * 7 + [[False, True]] * 3)
    assert calibration_error(scores, labels, "single-label") == pytest.approx(0.2)
    # Of pairs of image and category: 0.9 for a share of 0.7, and 0.1 for a share of 0.3.
    assert calibration_error(scores, labels, "multi-label") == pytest.approx(0.2)
    assert calibration_error(labels.astype(float), labels, "multi-label") == 0.0


@pytest.mark.parametrize("kind", ["multi-label", "single-label"])
def test_nan_is_an_error_and_not_a_number(kind: task_metrics.Kind) -> None:
    labels = np.eye(3, dtype=bool)
    scores = np.eye(3)
    scores[1, 1] = np.nan
    for call in (
        lambda: evaluate(scores, labels, kind),
        lambda: differences(np.eye(3), scores, labels, kind),
        lambda: task_metrics.probabilities(scores, kind),
        lambda: best_threshold(scores, labels),
        lambda: average_precision(scores[:, 1], labels[:, 1]),
    ):
        with pytest.raises(EtuiError):
            call()


def test_probabilities_of_large_logits() -> None:
    logits = np.array([[1000.0, -1000.0, 0.0], [np.inf, 0.0, 0.0]])
    assert task_metrics.probabilities(logits, "multi-label")[0].tolist() == [1.0, 0.0, 0.5]
    assert task_metrics.probabilities(logits, "single-label").tolist() == [[1.0, 0.0, 0.0]] * 2


def test_outputs_that_are_probabilities_are_recognized() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    kinds: tuple[task_metrics.Kind, ...] = ("multi-label", "single-label")
    for kind in kinds:
        found = task_metrics.probabilities(logits, kind)
        assert task_metrics.are_probabilities(found, kind)
        assert task_metrics.are_probabilities(np.round(found * 256) / 256, kind)  # as an 8 bit output
        assert not task_metrics.are_probabilities(logits, kind)
        assert not task_metrics.are_probabilities(np.zeros_like(logits), kind)
    assert not task_metrics.are_probabilities(task_metrics.probabilities(logits, "multi-label"), "single-label")
