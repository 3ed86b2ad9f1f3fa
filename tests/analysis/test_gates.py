"""Gates on what a run loses to eager on its task."""

from __future__ import annotations

import msgspec
import pytest

from etui.analysis.comparison import compare
from etui.analysis.gates import Check, Limits, check
from etui.results import Metrics, OutputAccuracy, RunDocument, TaskEstimate
from tests.documents import make_document, make_evaluation, with_evaluation


def checked(other: RunDocument, **limits: float) -> list[Check]:
    (comparison,) = compare(make_document(), [other], margin=0.02)
    return check(comparison, other, Limits(**limits))  # type: ignore[arg-type]


def run(drop: float = 0.06, *, multi_label: bool = True) -> RunDocument:
    """A run that loses a third of ``drop``, with an interval of one percentage point on both sides."""
    document = make_document("aaaaaaaaaaa2", precision="int8")
    assert document.accuracy is not None
    # The output of the document that is not finite would cross every limit.
    whole = msgspec.structs.replace(document.accuracy.end_to_end, outputs=[])
    document.accuracy = msgspec.structs.replace(document.accuracy, end_to_end=whole)
    return with_evaluation(document, make_evaluation(drop=drop, multi_label=multi_label))


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [(0.9, "crossed"), (1.5, "open"), (2.0, "open"), (2.9, "open"), (3.1, "held"), (0.0, "crossed")],
)
def test_the_whole_paired_interval_decides(limit: float, outcome: str) -> None:
    (found,) = checked(run(), map_drop=limit)
    assert found.outcome == outcome, found
    assert "mAP loss to eager 2.00 points (1.00 to 3.00)" in found.detail
    (found,) = checked(run(multi_label=False), top1_drop=limit)
    assert found.outcome == outcome and "top-1" in found.name


def test_a_gain_holds_every_limit() -> None:
    assert checked(run(-0.09), map_drop=0)[0].outcome == "held"


def test_what_has_no_interval_is_open_and_what_was_not_evaluated_is_not_judged() -> None:
    few = msgspec.structs.replace(make_evaluation(), difference=TaskEstimate(value=-0.2))
    assert checked(with_evaluation(run(), few), map_drop=1)[0].outcome == "open"
    assert checked(run(), top1_drop=1)[0].outcome == "not judged"
    without = run()
    assert without.accuracy is not None
    without.accuracy = msgspec.structs.replace(without.accuracy, task=None)
    assert checked(without, map_drop=1)[0].outcome == "not judged"
    limits = Limits(map_drop=1.5, inconclusive=True)
    (comparison,) = compare(make_document(), [run()], margin=0.02)
    assert [one.outcome for one in check(comparison, run(), limits)] == ["open", "crossed"]


def test_broken_outputs_cross_a_limit_on_the_task() -> None:
    broken = run(0.0)
    assert broken.accuracy is not None
    output = OutputAccuracy(
        input=0, output=0, name="output 0", shape=[1], dtype="float32", informative=True, problem="NaN in the output"
    )
    compared = msgspec.structs.replace(broken.accuracy.end_to_end, outputs=[output], overall=Metrics())
    broken.accuracy = msgspec.structs.replace(broken.accuracy, end_to_end=compared, verdict="FAIL", reason="NaN")
    assert "crossed" in [one.outcome for one in checked(broken, map_drop=50) if "mAP" in one.name]
