"""Gates (``--fail-if``): whether a run is slower than a limit, has too large an error, or cannot be decided."""

from __future__ import annotations

from typing import Literal

import msgspec

from etui import text
from etui.analysis.comparison import RunComparison
from etui.analysis.relative_change import change, change_interval
from etui.analysis.task_limits import Metric, loss_of
from etui.results import AccuracyVerdict, RunDocument
from etui.text import signed

Outcome = Literal["held", "crossed", "open", "not judged"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """``slower`` in percent of the base's latency, ``mae`` in the unit of the output, ``map_drop`` and ``top1_drop`` in
    percentage points that the run loses to eager on labelled images; None is not requested. ``inconclusive`` means that
    a check that cannot be decided counts as crossed."""

    slower: float | None = None
    mae: float | None = None
    inconclusive: bool = False
    map_drop: float | None = None
    top1_drop: float | None = None

    @property
    def asked(self) -> bool:
        """Whether any limit is requested."""
        requested = (self.slower, self.mae, self.map_drop, self.top1_drop)
        return self.inconclusive or any(limit is not None for limit in requested)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Result for one limit and run: ``open`` if the interval is undecided, ``not judged`` if the data is missing."""

    run: str
    name: str
    outcome: Outcome
    detail: str


def check(comparison: RunComparison, other: RunDocument, limits: Limits) -> list[Check]:
    """Check the requested limits and return one result for each.

    A run whose outputs contain NaN, have a wrong shape or are missing crosses the limit on MAE; if none is requested,
    it crosses a separate check in addition to the others.
    """
    checks = []
    if other.status in ("failed", "timed out"):
        detail = f"the run {other.status}: {other.error}" if other.error else f"the run {other.status}"
        checks.append(Check(run=other.id, name="finished", outcome="crossed", detail=detail))
    if limits.slower is not None:
        outcome, detail = _speed(comparison, limits.slower)
        checks.append(Check(run=other.id, name=f"slower than {limits.slower:g} %", outcome=outcome, detail=detail))
    if limits.mae is not None:
        outcome, detail = _mae(other, limits.mae)
        checks.append(Check(run=other.id, name=f"MAE above {limits.mae:g}", outcome=outcome, detail=detail))
    elif limits.asked and (problem := _broken_outputs(other)):
        # The speed of a program with NaN or wrong outputs is irrelevant, so it fails without a limit on MAE too.
        checks.append(Check(run=other.id, name="broken outputs", outcome="crossed", detail=problem))
    drops: tuple[tuple[Metric, float | None], ...] = (("mAP", limits.map_drop), ("top-1", limits.top1_drop))
    for metric, limit in drops:
        if limit is not None:
            outcome, detail = _drop(other, metric, limit)
            name = f"{metric} drops by more than {limit:g} points"
            checks.append(Check(run=other.id, name=name, outcome=outcome, detail=detail))
    if limits.inconclusive:
        undecided = [item for item in checks if item.outcome in ("open", "not judged")]
        decided = comparison.verdict not in (None, "inconclusive", "unreliable")
        detail = (
            "all requested limits could be checked" if checks else f"the verdict is {comparison.verdict or 'refused'}"
        )
        if undecided:
            detail = f"{undecided[0].name}: {undecided[0].detail}"
        # If there are limits, only they have to be decided; the verdict itself may be inconclusive.
        crossed = bool(undecided) if checks else not decided
        checks.append(Check(run=other.id, name="inconclusive", outcome="crossed" if crossed else "held", detail=detail))
    return checks


def _speed(comparison: RunComparison, limit: float) -> tuple[Outcome, str]:
    if comparison.ratio is None or comparison.verdict is None:
        return "not judged", "; ".join(reason.detail for reason in comparison.reasons) or "there is no ratio"
    if comparison.ci95 is None:
        return "open", f"{signed(change(comparison.ratio))}, without an interval"
    low, high = change_interval(comparison.ci95)
    per_item = " per item" if comparison.items else ""
    shown = f"{signed(change(comparison.ratio))}{per_item} ({signed(low)} to {signed(high)})"
    if comparison.limits:
        return "open", f"{shown}, but {comparison.verdict}: {'; '.join(comparison.limits)}"
    if low > limit:
        return "crossed", shown
    return ("held", shown) if high <= limit else ("open", shown)


def _mae(other: RunDocument, limit: float) -> tuple[Outcome, str]:
    if other.accuracy is None:
        return "not judged", "its accuracy was not measured"
    mae = other.accuracy.end_to_end.overall.mae
    if problem := _broken_outputs(other):
        # The error of the remaining outputs does not cover those that are missing or not finite.
        return "crossed", f"accuracy FAIL: {problem}"
    if mae is None:
        failed = other.accuracy.verdict == "FAIL"
        return ("crossed" if failed else "not judged"), f"accuracy {other.accuracy.verdict}: {other.accuracy.reason}"
    # Written so that NaN crosses the limit.
    return ("held" if mae <= limit else "crossed"), f"MAE {text.number(mae)}"


def _drop(other: RunDocument, metric: Metric, limit: float) -> tuple[Outcome, str]:
    if problem := _broken_outputs(other):
        return "crossed", f"accuracy FAIL: {problem}"
    lost = loss_of(other.accuracy.task if other.accuracy is not None else None, metric)
    if lost is None:
        return "not judged", f"{metric} was not evaluated: measure it with labelled images in --data"
    return _OUTCOMES[lost.within(limit)], lost.to_text()


_OUTCOMES: dict[AccuracyVerdict, Outcome] = {"PASS": "held", "FAIL": "crossed", "UNPROVEN": "open"}


def _broken_outputs(other: RunDocument) -> str:
    """Return why a run's outputs fail every gate: NaN, a wrong shape, a missing output; empty if they do not."""
    accuracy = other.accuracy
    if accuracy is None or accuracy.verdict != "FAIL":
        return ""
    return next((output.problem for output in accuracy.end_to_end.outputs if output.problem), "")
