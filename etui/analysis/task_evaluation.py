"""Compare a program with eager on labelled images: the metric with intervals, by category, and the changed images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from etui.analysis.task_metrics import (
    Bools,
    CategoryMetrics,
    Estimate,
    Floats,
    TaskMetrics,
    differences,
    evaluate,
)
from etui.results import (
    CategoryEvaluation,
    CategoryValues,
    ChangedImage,
    MetricValue,
    TaskData,
    TaskEstimate,
    TaskEvaluation,
    TaskMetric,
)

MOST_CHANGED = 50
"""The number of images with other categories that are kept."""

RECALLS = tuple(step / 20 for step in range(21))
"""The recalls at which the precision-recall curve is kept."""


def task_metric(
    eager: Floats,
    program: Floats,
    labels: Bools,
    *,
    data: TaskData,
    names: Sequence[str],
    paths: Sequence[str],
    threshold: float,
    threshold_from_metadata: bool,
    preprocessing: dict[str, object],
    seed: int = 0,
) -> TaskMetric:
    """Return the metrics of probabilities of the shape [N, C] of eager and of a program. ``names`` are those of the
    columns, ``paths`` those of the images.

    Raises:
        EtuiError: a probability is not a number.
        ValueError: arrays have different shapes.
    """
    multi = data.kind == "multi-label"
    found = [evaluate(scores, labels, data.kind, threshold, seed=seed) for scores in (eager, program)]
    difference = differences(program, eager, labels, data.kind, (threshold, threshold), seed=seed)
    first, second = (_main(metrics) for metrics in found)
    change = difference.mean_average_precision if multi else difference.top1
    assert change is not None
    given = [_given(scores, threshold, multi=multi) for scores in (eager, program)]
    changed = _changed(eager, program, labels, given, names, paths)
    evaluation = TaskEvaluation(
        metric="mAP" if multi else "top-1",
        data=data,
        eager=_estimate(first),
        program=_estimate(second),
        difference=_estimate(change),
        seed=seed,
        threshold=threshold if multi else None,
        threshold_source=("metadata" if threshold_from_metadata else "default") if multi else None,
        preprocessing=preprocessing,
        categories=_categories(found, (eager, program), given, labels, names, multi=multi),
        changed=changed[:MOST_CHANGED],
        changed_count=len(changed),
    )
    return TaskMetric(
        name=evaluation.metric,
        eager=first.value,
        program=second.value,
        count=len(labels),
        others=_others(*found),
        evaluation=evaluation,
    )


def _main(metrics: TaskMetrics) -> Estimate:
    found = metrics.mean_average_precision or metrics.top1
    assert found is not None, "without a label there is nothing to evaluate"
    return found


def _estimate(found: Estimate) -> TaskEstimate:
    interval = found.interval
    return TaskEstimate(value=found.value, ci95=None if interval is None else (interval.low, interval.high))


def _others(eager: TaskMetrics, program: TaskMetrics) -> list[MetricValue]:
    pairs = (
        ("macro F1", eager.macro_f1, program.macro_f1),
        ("micro F1", eager.micro_f1, program.micro_f1),
        ("top-5", eager.top5, program.top5),
    )
    return [
        MetricValue(name=name, eager=first.value, program=second.value)
        for name, first, second in pairs
        if first is not None and second is not None
    ]


def _given(scores: Floats, threshold: float, *, multi: bool) -> Bools:
    """Return the categories that each image is given. Of single-label data, that with the highest score, or none if
    several have it, so that the share of images that are given their own is top-1."""
    if multi:
        return np.asarray(scores >= threshold)
    best = scores == scores.max(axis=1, keepdims=True)
    return np.asarray(best & (best.sum(axis=1, keepdims=True) == 1))


def _categories(
    found: Sequence[TaskMetrics],
    scores: tuple[Floats, Floats],
    given: Sequence[Bools],
    labels: Bools,
    names: Sequence[str],
    *,
    multi: bool,
) -> list[CategoryEvaluation]:
    listed = []
    for place, name in enumerate(names):
        positive = labels[:, place]
        if not multi and not positive.any() and not any(one[:, place].any() for one in given):
            continue
        sides = [
            _multi_label(metrics.categories[place], one[:, place], positive)
            if multi
            else _single_label(chosen[:, place], positive)
            for metrics, one, chosen in zip(found, scores, given, strict=True)
        ]
        listed.append(CategoryEvaluation(name=name, positives=int(positive.sum()), eager=sides[0], program=sides[1]))
    return listed


def _multi_label(metrics: CategoryMetrics, scores: Floats, positive: Bools) -> CategoryValues:
    return CategoryValues(
        predicted=metrics.predicted,
        average_precision=metrics.average_precision,
        precision=metrics.precision,
        recall=metrics.recall,
        f1=metrics.f1,
        precisions=_precisions(scores, positive),
    )


def _single_label(given: Bools, positive: Bools) -> CategoryValues:
    hits, predicted, positives = int((given & positive).sum()), int(given.sum()), int(positive.sum())
    return CategoryValues(
        predicted=predicted,
        precision=hits / predicted if predicted else None,
        recall=hits / positives if positives else None,
        f1=2 * hits / (predicted + positives) if predicted + positives else None,
    )


def _precisions(scores: Floats, positive: Bools) -> list[float]:
    """Return the precision at each of ``RECALLS``: of the highest threshold with at least that recall. Rounded to four
    places, since they are drawn."""
    if not positive.any():
        return []
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive[order])[ends]
    # Compared as counts: a recall of 7 / 20 may be less than 0.35 as a float.
    least = np.ceil(np.array(RECALLS) * int(positive.sum()) - 1e-9)
    places = np.searchsorted(hits, least)
    return [round(float(hits[place] / (ends[place] + 1)), 4) for place in places]


def _changed(
    eager: Floats, program: Floats, labels: Bools, given: Sequence[Bools], names: Sequence[str], paths: Sequence[str]
) -> list[ChangedImage]:
    """Return the images that are given other categories, the largest change of a probability first."""
    rows = np.flatnonzero((given[0] != given[1]).any(axis=1))
    changes = np.abs(np.asarray(program, dtype=np.float64) - eager)

    def listed(chosen: Bools) -> list[str]:
        return [names[int(place)] for place in np.flatnonzero(chosen)]

    found = [
        ChangedImage(
            path=paths[int(row)],
            labels=listed(labels[row]),
            eager=listed(given[0][row]),
            program=listed(given[1][row]),
            change=round(float(changes[row].max()), 6),
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: (-one.change, one.path))
