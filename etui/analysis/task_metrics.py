"""Metrics of a task: how well scores of images agree with their labels, and how sure that is.

Scores have the shape [N, C]: one row per image, one column per category; a larger score means more certain. Labels are
an array of the same shape, true for the categories of an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from etui.errors import EtuiError, UsageError

Kind = Literal["multi-label", "single-label"]
Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

RESAMPLES = 1_000
"""The number of bootstrap resamples of an interval."""

LEAST_IMAGES = 30
"""With fewer images there is no interval: resamples of so little say nothing about other images."""

_LEVEL = 95.0
_BINS = 15
"""Of the calibration error, as in Guo et al., On Calibration of Modern Neural Networks (2017)."""

_ROUNDING = 0.02
"""By how much probabilities with 8 bits may be outside of the range, and their sum differ from 1."""

_LOGITS = "if they are logits, use --outputs logits"

_TOGETHER = 125
"""Resamples that are computed at once: their counts of some thousand images fit a core's cache."""


class Interval(msgspec.Struct, frozen=True):
    """A 95 % bootstrap interval over images: the basic interval of Davison and Hinkley, Bootstrap Methods and their
    Application (1997), chapter 5.2. Repeated images make an average precision too high, in a resample as in the data,
    which shifts percentiles away from the true value; the basic interval is shifted towards it.

    A metric that all resamples have the same value of, as 1 with no error in the images, has no interval: it would say
    that no other image is an error. A difference does have one, as that of a program to itself is 0."""

    low: float
    high: float


class Estimate(msgspec.Struct, frozen=True):
    """A metric from 0 to 1 with its interval; of a difference, from -1 to 1. The interval is None if there are too few
    images for one, or all resamples have the same value."""

    value: float
    interval: Interval | None = None


class CategoryMetrics(msgspec.Struct, frozen=True):
    """The metrics of one category. ``positives`` is the number of its images. ``average_precision`` and ``recall`` are
    None without positives, ``precision`` without predictions, ``f1`` without both."""

    positives: int
    predicted: int
    average_precision: float | None
    precision: float | None
    recall: float | None
    f1: float | None


class TaskMetrics(msgspec.Struct, frozen=True):
    """The metrics of one program on a split.

    Multi-label: ``mean_average_precision`` is the mean over the categories with positives; ``excluded`` are the indexes
    of the others. The macro metrics are means over the same categories, in which a precision without predictions counts
    as 0; the micro metrics count pairs of image and category. All of them are at ``threshold``: a category is predicted
    if its probability is at least that.

    Single-label: ``top1`` and ``top5`` (None with five categories or fewer).

    ``calibration_error`` is the expected calibration error in 15 bins of equal width.
    """

    calibration_error: float
    excluded: tuple[int, ...] = ()
    threshold: float | None = None
    mean_average_precision: Estimate | None = None
    macro_precision: float | None = None
    macro_recall: float | None = None
    macro_f1: Estimate | None = None
    micro_precision: float | None = None
    micro_recall: float | None = None
    micro_f1: Estimate | None = None
    top1: Estimate | None = None
    top5: Estimate | None = None
    categories: tuple[CategoryMetrics, ...] = ()


class TaskDifferences(msgspec.Struct, frozen=True):
    """Another program's metrics minus those of a reference, on the same images; None for metrics that the kind of task
    does not have."""

    mean_average_precision: Estimate | None = None
    macro_f1: Estimate | None = None
    micro_f1: Estimate | None = None
    top1: Estimate | None = None
    top5: Estimate | None = None


def probabilities(logits: Floats, kind: Kind) -> Floats:
    """Return the sigmoid of each logit for multi-label tasks, the softmax of each row for single-label ones.

    Raises:
        EtuiError: a logit is not a number.
    """
    _refuse_nan(logits)
    values = np.asarray(logits, dtype=np.float64)
    if kind == "multi-label":
        return np.exp(-np.logaddexp(0.0, -values))
    # An infinite logit would make the difference below undefined.
    values = np.nan_to_num(values)
    with np.errstate(over="ignore"):
        powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def checked_probabilities(outputs: Floats, kind: Kind) -> Floats:
    """Return the outputs of a program that computes probabilities itself, within 0 and 1 but for rounding.

    Raises:
        EtuiError: an output is not a number.
        UsageError: they are not probabilities.
    """
    _refuse_nan(outputs)
    values = np.asarray(outputs, dtype=np.float64)
    if not ((values >= -_ROUNDING) & (values <= 1 + _ROUNDING)).all():
        raise UsageError("outputs below 0 or above 1 are not probabilities", _LOGITS)
    if kind == "single-label" and not (np.abs(values.sum(axis=1) - 1) <= _ROUNDING).all():
        raise UsageError("outputs of an image that do not sum to 1 are not probabilities of classes", _LOGITS)
    return values.clip(0.0, 1.0)


def evaluated_columns(
    values: Floats, labels: Sequence[Sequence[int]], places: Sequence[int], kind: Kind
) -> tuple[Floats, Bools]:
    """Return the evaluated columns of outputs [N, C], and the labels of the same shape.

    ``places`` are the columns of the categories of the data, ``labels`` the indexes of each image's categories. Of
    multi-label outputs only the categories of the data are evaluated: whether an image has others is not known.
    Single-label outputs are all kept, since the program chooses among all of them.
    """
    columns = list(places)
    if kind == "multi-label":
        values, columns = values[:, columns], list(range(len(columns)))
    made = np.zeros(values.shape, dtype=bool)
    for row, own in enumerate(labels):
        made[row, [columns[one] for one in own]] = True
    return values, made


def are_probabilities(outputs: Floats, kind: Kind) -> bool:
    """Whether a program's outputs seem to be probabilities already, of which ``probabilities`` would be wrong: all are
    from 0 to 1 and, for single-label tasks, those of each image sum to 1, except for the rounding of an 8 bit output.
    Outputs that are all equal are not: they are those of a head whose weights are zero."""
    values = np.asarray(outputs, dtype=np.float64)
    if not values.size or not ((values >= 0) & (values <= 1)).all() or (values == values.flat[0]).all():
        return False
    return kind == "multi-label" or bool((np.abs(values.sum(axis=1) - 1) <= _ROUNDING).all())


def average_precision(scores: Floats, positive: Bools) -> float | None:
    """Return the area under the precision-recall curve of one category, ``sum((R[k] - R[k-1]) P[k])`` over the distinct
    scores; None without positives. Images of equal scores are predicted together.

    Raises:
        EtuiError: a score is not a number.
    """
    _refuse_nan(scores)
    if not positive.any():
        return None
    curve = _curve(np.asarray(scores), positive)
    return float(_weighted_precisions(curve, np.ones((len(scores), 1), dtype=np.int32))[0])


def evaluate(
    scores: Floats, labels: Bools, kind: Kind, threshold: float = 0.5, *, seed: int = 0, resamples: int = RESAMPLES
) -> TaskMetrics:
    """Return the metrics of probabilities (see ``probabilities``).

    Raises:
        EtuiError: a probability is not a number, or there are no images.
        ValueError: scores and labels have different shapes.
    """
    _check(scores, labels)
    values = _values(scores, labels, kind, threshold)
    resampled = list(_resampled(scores, labels, kind, threshold, seed, resamples))
    intervals = {
        name: interval
        for name, interval in _intervals(values, resampled, least=0.0).items()
        if len({one[name] for one in resampled if name in one}) > 1
    }
    estimates = {name: Estimate(value, intervals.get(name)) for name, value in values.items()}
    if kind == "single-label":
        return TaskMetrics(
            calibration_error=calibration_error(scores, labels, kind),
            top1=estimates["top1"],
            top5=estimates.get("top5"),
        )
    counts = _counts(scores, labels, threshold)
    used = counts.positives > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(counts.predicted > 0, counts.hits / counts.predicted, 0.0)
        recall = counts.hits / counts.positives
    return TaskMetrics(
        calibration_error=calibration_error(scores, labels, kind),
        excluded=tuple(int(place) for place in np.flatnonzero(~used)),
        threshold=threshold,
        mean_average_precision=estimates.get("mean_average_precision"),
        macro_precision=float(precision[used].mean()) if used.any() else None,
        macro_recall=float(recall[used].mean()) if used.any() else None,
        macro_f1=estimates.get("macro_f1"),
        micro_precision=_ratio(counts.hits.sum(), counts.predicted.sum()),
        micro_recall=_ratio(counts.hits.sum(), counts.positives.sum()),
        micro_f1=estimates.get("micro_f1"),
        categories=tuple(
            CategoryMetrics(
                positives=int(counts.positives[place]),
                predicted=int(counts.predicted[place]),
                average_precision=average_precision(scores[:, place], labels[:, place]),
                precision=_ratio(counts.hits[place], counts.predicted[place]),
                recall=_ratio(counts.hits[place], counts.positives[place]),
                f1=_ratio(2 * counts.hits[place], counts.positives[place] + counts.predicted[place]),
            )
            for place in range(labels.shape[1])
        ),
    )


def differences(
    scores: Floats,
    reference: Floats,
    labels: Bools,
    kind: Kind,
    thresholds: tuple[float, float] = (0.5, 0.5),
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> TaskDifferences:
    """Return the metrics of ``scores`` minus those of ``reference``, with paired intervals: both are evaluated on the
    same resampled images. ``thresholds`` are of ``scores`` and of ``reference``.

    Raises:
        EtuiError: a probability is not a number, or there are no images.
        ValueError: scores, reference and labels have different shapes.
    """
    _check(scores, labels)
    _check(reference, labels)
    own, other = (
        _values(one, labels, kind, threshold) for one, threshold in zip((scores, reference), thresholds, strict=True)
    )
    pairs = zip(
        _resampled(scores, labels, kind, thresholds[0], seed, resamples),
        _resampled(reference, labels, kind, thresholds[1], seed, resamples),
        strict=True,
    )
    values = {name: own[name] - other[name] for name in own}
    intervals = _intervals(values, [{name: one[name] - two[name] for name in one} for one, two in pairs], least=-1.0)
    return TaskDifferences(**{name: Estimate(value, intervals.get(name)) for name, value in values.items()})


def best_threshold(scores: Floats, labels: Bools) -> float | None:
    """Return the threshold with the largest micro F1, the highest of equally good ones; None without positives. Choose
    it on another split than the one that is evaluated, or the result is too good.

    Raises:
        EtuiError: a score is not a number.
    """
    _check(scores, labels)
    flat, positive = np.asarray(scores).ravel(), np.asarray(labels).ravel()
    if not positive.any():
        return None
    order = np.argsort(-flat, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(flat[order])), len(flat) - 1)
    hits = np.cumsum(positive[order])[ends]
    f1 = 2 * hits / (ends + 1 + positive.sum())
    return float(flat[order][ends[int(np.argmax(f1))]])


def calibration_error(scores: Floats, labels: Bools, kind: Kind) -> float:
    """Return the expected calibration error of Guo et al. (2017): the mean over 15 bins of equal width, weighted by
    their sizes, of the difference between the mean probability and the share that is right.

    Single-label: of the most probable category of each image. Multi-label: of every pair of image and category, which
    is right if the image has the category.
    """
    if kind == "single-label":
        best = scores.argmax(axis=1)
        rows = np.arange(len(scores))
        confidence, right = scores[rows, best], labels[rows, best]
    else:
        confidence, right = scores.ravel(), labels.ravel()
    # Bins include their upper end, as in the paper.
    bins = np.clip(np.ceil(confidence * _BINS).astype(np.int64) - 1, 0, _BINS - 1)
    sums = np.bincount(bins, weights=confidence, minlength=_BINS) - np.bincount(bins, weights=right, minlength=_BINS)
    return float(np.abs(sums).sum() / len(confidence))


# Values of metrics


class _Curve(NamedTuple):
    """The precision-recall curve of one category for any number of copies of the images: their order by falling score,
    and in it the beginnings of the steps that end with distinct scores, with the images that are positive."""

    order: NDArray[np.intp]
    begins: NDArray[np.intp]
    positive: NDArray[np.int32]


class _Counts(NamedTuple):
    """Numbers of images by category: predicted and positive, predicted, positive."""

    hits: NDArray[np.int64]
    predicted: NDArray[np.int64]
    positives: NDArray[np.int64]


def _values(scores: Floats, labels: Bools, kind: Kind, threshold: float) -> dict[str, float]:
    """Return the metrics with an interval, by their names in ``TaskMetrics``."""
    return next(_weighted(scores, labels, kind, threshold, iter([np.ones((len(scores), 1), dtype=np.int32)])))


def _resampled(
    scores: Floats, labels: Bools, kind: Kind, threshold: float, seed: int, resamples: int
) -> Iterator[dict[str, float]]:
    """Yield the metrics of each resample; the same seed draws the same images."""
    if len(scores) >= LEAST_IMAGES:
        yield from _weighted(scores, labels, kind, threshold, _draws(len(scores), seed, resamples))


def _draws(images: int, seed: int, resamples: int) -> Iterator[NDArray[np.int32]]:
    """Yield how often each image is drawn in each resample, with the shape [images, some resamples]."""
    random = np.random.default_rng(seed)
    for begin in range(0, resamples, _TOGETHER):
        drawn = random.integers(0, images, (min(_TOGETHER, resamples - begin), images))
        yield np.stack([np.bincount(row, minlength=images) for row in drawn], axis=1).astype(np.int32)


def _weighted(
    scores: Floats, labels: Bools, kind: Kind, threshold: float, draws: Iterator[NDArray[np.int32]]
) -> Iterator[dict[str, float]]:
    if kind == "single-label":
        ranks = _ranks(scores, labels)
        limits = {"top1": 1, "top5": 5} if scores.shape[1] > 5 else {"top1": 1}
        right = np.stack([ranks < limit for limit in limits.values()])
        for draw in draws:
            shares = right @ draw / len(scores)
            yield from (dict(zip(limits, map(float, column), strict=True)) for column in shares.T)
        return
    curves = [_curve(scores[:, place], labels[:, place]) for place in range(scores.shape[1])]
    predicted = np.asarray(scores >= threshold, dtype=np.float64)
    positive = labels.astype(np.float64)
    for draw in draws:
        weights = draw.T.astype(np.float64)
        hits, chosen, having = weights @ (predicted * positive), weights @ predicted, weights @ positive
        precisions = np.stack([_weighted_precisions(curve, draw) for curve in curves], axis=1)
        for place in range(draw.shape[1]):
            used = having[place] > 0
            values = {}
            if used.any():
                f1 = 2 * hits[place][used] / (chosen[place] + having[place])[used]
                both = chosen[place].sum() + having[place].sum()
                values = {
                    "mean_average_precision": float(precisions[place][used].mean()),
                    "macro_f1": float(f1.mean()),
                    "micro_f1": float(2 * hits[place].sum() / both),
                }
            yield values


def _curve(scores: Floats, positive: Bools) -> _Curve:
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order])) + 1
    begins = np.concatenate([[0], ends]).astype(np.intp)
    # Only steps with a positive add to the area: the others are joined with the next that has one.
    having = np.add.reduceat(positive[order].astype(np.int64), begins) > 0
    after = np.append(begins[1:], len(scores))[having]
    if not len(after):
        return _Curve(order[:0], begins[:0], np.zeros(0, dtype=np.int32))
    starts = np.concatenate([[0], after[:-1]]).astype(np.intp)
    kept = order[: after[-1]]
    return _Curve(kept, starts, positive[kept].astype(np.int32))


def _weighted_precisions(curve: _Curve, draw: NDArray[np.int32]) -> Floats:
    """Return the average precision of each column of ``draw``; NaN for those without positives."""
    if not len(curve.begins):
        return np.full(draw.shape[1], np.nan)
    drawn = draw[curve.order]
    everything = np.cumsum(np.add.reduceat(drawn, curve.begins, axis=0), axis=0)
    positive = np.add.reduceat(drawn * curve.positive[:, None], curve.begins, axis=0)
    hits = np.cumsum(positive, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        area = (positive * (hits / np.maximum(everything, 1))).sum(axis=0)
        return np.asarray(area / hits[-1])


def _ranks(scores: Floats, labels: Bools) -> NDArray[np.int64]:
    """Return how many other categories score at least as high as the image's own: with equal scores, its own counts as
    the last."""
    own = scores[labels]
    return np.asarray((scores >= own[:, None]).sum(axis=1) - 1)


def _counts(scores: Floats, labels: Bools, threshold: float) -> _Counts:
    predicted = scores >= threshold
    return _Counts((predicted & labels).sum(axis=0), predicted.sum(axis=0), labels.sum(axis=0))


def _intervals(values: dict[str, float], resampled: list[dict[str, float]], least: float) -> dict[str, Interval]:
    """Return the basic interval of each metric over the resamples that have it, within ``least`` and 1."""
    tail = (100.0 - _LEVEL) / 2
    found = {}
    for name, value in values.items():
        drawn = [one[name] for one in resampled if name in one]
        if drawn:
            ends = np.percentile(drawn, [100.0 - tail, tail])
            low, high = np.clip(2 * value - ends, least, 1.0)
            found[name] = Interval(float(low), float(high))
    return found


def _ratio(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None


def _check(scores: Floats, labels: Bools) -> None:
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise ValueError(f"scores of shape {scores.shape} and labels of shape {labels.shape}")
    if not scores.size:
        raise EtuiError("there are no images to evaluate", "name a split with images")
    _refuse_nan(scores)


def _refuse_nan(scores: Floats) -> None:
    missing = int(np.isnan(scores).sum())
    if missing:
        raise EtuiError(
            f"{missing:,} of {scores.size:,} scores are not numbers (NaN)",
            "the program or its weights are broken: compare its outputs with etui gap",
        )
