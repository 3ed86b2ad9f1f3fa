"""Whether a comparison crosses the limits somebody set: slower than a percentage, further off than an error, unsure."""

from __future__ import annotations

from typing import Literal

import msgspec

from etui import text
from etui.analysis.comparison import RunComparison
from etui.analysis.relative_change import change, change_interval
from etui.results import RunDocument
from etui.text import signed

Outcome = Literal["held", "crossed", "open", "not judged"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """``slower`` in percent of the base's latency, ``mae`` in the output's own unit; None is not asked for.
    ``inconclusive`` means that whatever cannot be told counts as crossed."""

    slower: float | None = None
    mae: float | None = None
    inconclusive: bool = False

    @property
    def asked(self) -> bool:
        """Whether anything is asked for."""
        return self.slower is not None or self.mae is not None or self.inconclusive


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One limit on one run: ``open`` is what the interval leaves undecided, ``not judged`` what cannot be looked at."""

    run: str
    name: str
    outcome: Outcome
    detail: str


def check(found: RunComparison, other: RunDocument, limits: Limits) -> list[Check]:
    """The limits that are asked for, one result each.

    A run whose outputs hold NaN, have a wrong shape or are missing crosses the limit on MAE; where none is asked for,
    it crosses a check of its own beside the others.
    """
    made = []
    if other.status in ("failed", "timed out"):
        detail = f"the run {other.status}: {other.error}" if other.error else f"the run {other.status}"
        made.append(Check(run=other.id, name="finished", outcome="crossed", detail=detail))
    if limits.slower is not None:
        outcome, detail = _speed(found, limits.slower)
        made.append(Check(run=other.id, name=f"slower than {limits.slower:g} %", outcome=outcome, detail=detail))
    if limits.mae is not None:
        outcome, detail = _mae(other, limits.mae)
        made.append(Check(run=other.id, name=f"MAE above {limits.mae:g}", outcome=outcome, detail=detail))
    elif limits.asked and (problem := _broken(other)):
        # How fast a program is that gives NaN or the wrong outputs is nobody's question.
        made.append(Check(run=other.id, name="broken outputs", outcome="crossed", detail=problem))
    if limits.inconclusive:
        unsure = [one for one in made if one.outcome in ("open", "not judged")]
        sure = found.verdict not in (None, "inconclusive", "unreliable")
        detail = "all requested limits could be checked" if made else f"the verdict is {found.verdict or 'refused'}"
        if unsure:
            detail = f"{unsure[0].name}: {unsure[0].detail}"
        # Where limits are set, they are what must be decided; whether it is faster or equivalent is nobody's question.
        crossed = bool(unsure) if made else not sure
        made.append(Check(run=other.id, name="inconclusive", outcome="crossed" if crossed else "held", detail=detail))
    return made


def _speed(found: RunComparison, limit: float) -> tuple[Outcome, str]:
    if found.ratio is None or found.verdict is None:
        return "not judged", "; ".join(one.detail for one in found.reasons) or "there is no ratio"
    if found.ci95 is None:
        return "open", f"{signed(change(found.ratio))}, without an interval"
    low, high = change_interval(found.ci95)
    shown = f"{signed(change(found.ratio))} ({signed(low)} to {signed(high)})"
    if found.limits:
        return "open", f"{shown}, but {found.verdict}: {'; '.join(found.limits)}"
    if low > limit:
        return "crossed", shown
    return ("held", shown) if high <= limit else ("open", shown)


def _mae(other: RunDocument, limit: float) -> tuple[Outcome, str]:
    if other.accuracy is None:
        return "not judged", "its accuracy was not measured"
    mae = other.accuracy.end_to_end.overall.mae
    if problem := _broken(other):
        # The error of the outputs that are left says nothing about those that are missing or not finite.
        return "crossed", f"accuracy FAIL: {problem}"
    if mae is None:
        failed = other.accuracy.verdict == "FAIL"
        return ("crossed" if failed else "not judged"), f"accuracy {other.accuracy.verdict}: {other.accuracy.reason}"
    # Written so that an error that is no number crosses.
    return ("held" if mae <= limit else "crossed"), f"MAE {text.number(mae)}"


def _broken(other: RunDocument) -> str:
    """What makes a run's outputs unfit for any gate: NaN, a wrong shape, a missing output; empty if nothing does."""
    found = other.accuracy
    if found is None or found.verdict != "FAIL":
        return ""
    return next((one.problem for one in found.end_to_end.outputs if one.problem), "")
