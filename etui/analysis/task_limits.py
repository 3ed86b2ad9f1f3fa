"""Limits on what a program loses to eager on its task, judged by the paired interval of the loss."""

from __future__ import annotations

from typing import Literal

import msgspec

from etui.results import Accuracy, AccuracyVerdict, TaskEvaluation, TaskMetric, Tolerance

Metric = Literal["mAP", "top-1"]

_WORST: tuple[AccuracyVerdict, ...] = ("PASS", "UNPROVEN", "FAIL")


class Loss(msgspec.Struct, frozen=True):
    """What a program loses to eager, in percentage points, with its 95 % interval; below zero is a gain."""

    metric: Metric
    points: float
    interval: tuple[float, float] | None

    def to_text(self) -> str:
        """Return the loss with its interval, as ``mAP loss to eager 0.42 points (0.10 to 0.73)``."""
        ends = " (without an interval)"
        if self.interval is not None:
            ends = f" ({self.interval[0]:.2f} to {self.interval[1]:.2f})"
        return f"{self.metric} loss to eager {self.points:.2f} points{ends}"

    def within(self, limit: float) -> AccuracyVerdict:
        """Return PASS if the whole interval is at most ``limit``, FAIL if all of it is above, else UNPROVEN."""
        if self.interval is None:
            return "UNPROVEN"
        low, high = self.interval
        if low > limit:
            return "FAIL"
        return "PASS" if high <= limit else "UNPROVEN"


def loss_of(task: TaskMetric | None, metric: Metric) -> Loss | None:
    """Return the loss in a metric; None if a run was not evaluated by it."""
    evaluation = task.evaluation if task is not None else None
    return None if evaluation is None or evaluation.metric != metric else loss(evaluation)


def loss(evaluation: TaskEvaluation) -> Loss:
    """Return the loss of an evaluation."""
    difference = evaluation.difference
    interval = None if difference.ci95 is None else (_lost(difference.ci95[1]), _lost(difference.ci95[0]))
    return Loss(evaluation.metric, _lost(difference.value), interval)


def _lost(difference: float) -> float:
    return -100 * difference + 0.0  # not -0.0


def with_task_limits(accuracy: Accuracy, map_drop: float | None, top1_drop: float | None) -> Accuracy:
    """Return an accuracy judged by limits on the loss too. The verdict is the worse of both. If nothing else limits the
    outputs, and none of them is broken, it is that of the loss alone."""
    limits: tuple[tuple[Metric, float | None], ...] = (("mAP", map_drop), ("top-1", top1_drop))
    verdict, reason = accuracy.verdict, accuracy.reason
    unlimited = accuracy.tolerance is None and verdict == "UNPROVEN"
    for metric, limit in limits:
        if limit is None:
            continue
        found = loss_of(accuracy.task, metric)
        judged: AccuracyVerdict = "UNPROVEN" if found is None else found.within(limit)
        text = f"{metric} was not evaluated" if found is None else f"{found.to_text()}, tolerance {limit:g}"
        if unlimited:
            verdict, reason, unlimited = judged, text, False
        elif _WORST.index(judged) > _WORST.index(verdict):
            verdict, reason = judged, f"{text}; {reason}"
        else:
            reason = f"{reason}; {text}"
    tolerance = msgspec.structs.replace(accuracy.tolerance or Tolerance(), map_drop=map_drop, top1_drop=top1_drop)
    return msgspec.structs.replace(accuracy, verdict=verdict, reason=reason, tolerance=tolerance)
