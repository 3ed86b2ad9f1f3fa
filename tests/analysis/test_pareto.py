"""Pareto-optimal runs in latency against accuracy and size, and the runs that cannot be compared."""

from __future__ import annotations

import msgspec
import pytest

from etui.analysis import pareto
from etui.analysis.comparison import compare
from etui.results import RunDocument, TaskData
from etui.wording.comparison import names
from tests.documents import make_accuracy, make_evaluation, with_evaluation
from tests.facts import lacking
from tests.golden import Golden
from tests.tui.comparing import (
    BASE,
    FAILED,
    FP16,
    INT8,
    OPENVINO,
    OTHER_MODEL,
    OTHER_THREADS,
    accuracy,
    not_comparable,
    variants,
)


def fronts(runs: list[RunDocument], *, force: bool = False, margin: float = 0.02) -> tuple[pareto.Front, pareto.Front]:
    """Return both fronts of runs, the first of which is the base."""
    comparisons = compare(runs[0], runs[1:], margin=margin, force=force)
    return pareto.accuracy_front(runs[0], runs[1:], comparisons), pareto.size_front(runs[0], runs[1:], comparisons)


def on(front: pareto.Front) -> set[str]:
    """Return the runs on a front."""
    return {one.run for one in front.places if one.front}


def test_front_contains_the_runs_that_no_other_dominates(golden: Golden) -> None:
    by_accuracy, by_size = fronts(variants())
    # FP16 is as fast as FP32 and less accurate, so it is dominated.
    assert (by_accuracy.measure, on(by_accuracy)) == ("SQNR dB", {BASE, INT8, OPENVINO})
    assert (by_size.measure, on(by_size)) == ("size MB", {INT8})
    sentences = pareto.sentences(by_accuracy, names(variants()))
    assert sentences[0].index("int8/xnnpack (5.00 ms, 28.0 dB)") < sentences[0].index("fp32/openvino")
    assert "fp16/xnnpack" not in sentences[0] and "fp16/xnnpack" in sentences[1]
    size_sentences = pareto.sentences(by_size, names(variants()))
    assert "int8/xnnpack (5.00 ms, 11.7 MB)" in size_sentences[0]
    golden("pareto", "\n".join([*sentences, "", *size_sentences]))


def test_latencies_within_the_margin_are_equal() -> None:
    close = [variants()[0], variants()[3]]
    close[1].accuracy = accuracy(150.0, 1e-8)
    assert on(fronts(close)[0]) == {FP16}, "a third of a percent slower, and closer"
    assert on(fronts(close, margin=0.0001)[0]) == {BASE, FP16}


def test_runs_with_equal_printed_metrics_do_not_dominate_each_other() -> None:
    same = [variants()[0], variants()[3]]
    same[1].accuracy = accuracy(126.01, 5e-7)
    assert on(fronts(same)[0]) == {BASE, FP16}


def test_exact_run_is_the_most_accurate() -> None:
    runs = variants()
    runs[0].accuracy = accuracy(None, 0.0)
    front, _ = fronts(runs)
    assert front.measure == "SQNR dB" and BASE in on(front)
    assert "exact" in pareto.sentences(front, names(runs))[0]


def test_mae_decides_without_sqnr() -> None:
    runs = variants()
    assert runs[1].accuracy is not None
    overall = msgspec.structs.replace(runs[1].accuracy.end_to_end.overall, sqnr_db=None)
    end_to_end = msgspec.structs.replace(runs[1].accuracy.end_to_end, overall=overall)
    runs[1].accuracy = msgspec.structs.replace(runs[1].accuracy, end_to_end=end_to_end)
    front, _ = fronts(runs)
    assert front.measure == "MAE" and on(front) == {BASE, INT8, OPENVINO}


def test_incomparable_runs_are_omitted_with_the_reason() -> None:
    runs = variants()
    runs[1].accuracy = msgspec.structs.replace(make_accuracy(), verdict="FAIL")
    runs[2].accuracy = None
    front, _ = fronts([*runs, *not_comparable()])
    assert front.left_out[INT8] == "out of tolerance"
    assert front.left_out[OPENVINO] == "without an accuracy"
    assert {front.left_out[one] for one in (OTHER_THREADS, OTHER_MODEL, FAILED)} == {"not comparable"}
    sentences = " ".join(pareto.sentences(front, names([*runs, *not_comparable()])))
    assert not lacking(sentences, "out of tolerance", "resnet18 int8/xnnpack")
    forced, _ = fronts([*runs, *not_comparable()], force=True)
    assert OTHER_THREADS not in forced.left_out and forced.left_out[FAILED] != ""


def test_the_task_decides_if_all_runs_were_evaluated_on_the_same_images() -> None:
    lost = {BASE: 0.0, INT8: 0.03, OPENVINO: 0.3, FP16: 0.0, FAILED: 0.06}
    runs = [with_evaluation(run, make_evaluation(drop=lost.get(run.id, 0.0))) if run.accuracy else run
            for run in variants()]  # fmt: skip
    front, _ = fronts(runs)
    assert front.measure == "mAP %"
    placed = {place.run: place.value for place in front.places}
    assert placed[BASE] == pytest.approx(80) and placed[INT8] == pytest.approx(79)
    assert on(front) >= {INT8} and OPENVINO not in on(front)
    assert "mAP 79" in pareto.sentences(front, names(runs))[0]
    assert FAILED not in front.left_out or front.left_out[FAILED] != "out of tolerance", "the task shows its cost"
    other = msgspec.structs.replace(make_evaluation(), data=TaskData(
        name="pets", split="test", kind="multi-label", images=40, of=40, sha256="other"))  # fmt: skip
    assert fronts([runs[0], with_evaluation(runs[1], other)])[0].measure == "SQNR dB"
    assert fronts([runs[0], variants()[1]])[0].measure == "SQNR dB", "one was not evaluated"


def test_empty_front_is_reported() -> None:
    alone = not_comparable()[2]
    front, _ = fronts([alone])
    assert on(front) == set() and len(pareto.sentences(front, names([alone]))) >= 1


def test_runs_with_inputs_of_another_shape_are_not_on_the_front() -> None:
    runs = variants()
    small = next(run for run in runs if run.id == INT8)
    assert small.inputs is not None
    small.inputs = msgspec.structs.replace(small.inputs, shapes=[[1, 3, 32, 32]])
    by_accuracy, by_size = fronts(runs)
    for front in (by_accuracy, by_size):
        assert INT8 not in {place.run for place in front.places} and "shape" in front.left_out[INT8]
