"""A run's verdict in words: every ending and every verdict has a sentence, made of the document's facts."""

from __future__ import annotations

import msgspec
import pytest

from etui.analysis.accuracy import OF_ARITHMETIC
from etui.results import (
    Accuracy,
    AccuracyVerdict,
    Artifact,
    Comparison,
    Delegation,
    LogLine,
    Metrics,
    Ratio,
    RunDocument,
    SpeedVerdict,
    Status,
    Tolerance,
    WeightsInfo,
)
from etui.wording import run as words
from tests.documents import make_block, make_document, make_stats


def run(**changes: object) -> RunDocument:
    """A finished INT8 run, changed."""
    return msgspec.structs.replace(make_document(precision="int8", median=5.0), **changes)


def ratio(value: float, low: float, high: float, verdict: SpeedVerdict) -> Ratio:
    """A speed-up over six pairs of blocks."""
    return Ratio(value=value, ci95=(low, high), verdict=verdict, blocks=6)


def accuracy(verdict: AccuracyVerdict, metrics: Metrics, reason: str = "a reason", **more: Comparison) -> Accuracy:
    """An accuracy whose one comparison has these figures."""
    comparison = Comparison(against="FP32 eager", overall=metrics, worst=metrics, outputs=[])
    return Accuracy(verdict=verdict, reason=reason, tolerance=None, end_to_end=comparison, **more)


@pytest.mark.parametrize(
    ("speedup", "expected"),
    [
        (
            ratio(4.8, 4.71, 4.91, "faster"),
            "int8/xnnpack is 4.80 times as fast as eager PyTorch"
            " (95 % interval 4.71 to 4.91 over 6 pairs of blocks): 5.00 ms against 20.0 ms.",
        ),
        (
            ratio(0.5, 0.4, 0.8, "slower"),
            "int8/xnnpack takes 2.00 times as long as eager PyTorch"
            " (95 % interval 1.25 to 2.50 over 6 pairs of blocks): 5.00 ms against 20.0 ms.",
        ),
        (
            ratio(1.0, 0.99, 1.01, "equivalent"),
            "int8/xnnpack is as fast as eager PyTorch, within 2 %"
            " (95 % interval 0.990 to 1.01 over 6 pairs of blocks): 5.00 ms against 20.0 ms.",
        ),
        (
            ratio(1.4, 0.829, 2.37, "inconclusive"),
            "int8/xnnpack looks 1.40 times as fast as eager PyTorch: 5.00 ms against 20.0 ms."
            " Whether that holds is open: the 95 % interval goes from 0.829 to 2.37 over 6 pairs of blocks;"
            " more blocks would tell.",
        ),
        (
            Ratio(value=1.4, blocks=1, verdict="inconclusive"),
            "int8/xnnpack looks 1.40 times as fast as eager PyTorch: 5.00 ms against 20.0 ms."
            " With so few blocks there is no interval: take it as a hint.",
        ),
        (
            None,
            "int8/xnnpack takes 5.00 ms an inference (95 % interval 4.80 to 5.20);"
            " there is no eager measurement to compare it with.",
        ),
    ],
)
def test_the_speed_in_words(speedup: Ratio | None, expected: str) -> None:
    assert words.speed(run(speedup=speedup)) == expected


@pytest.mark.parametrize("value", [0.0, -1.0, 5e-324, 1e300])
@pytest.mark.parametrize("verdict", ["slower", "faster", "equivalent", "inconclusive", "unreliable"])
def test_what_is_stored_as_a_ratio_and_cannot_be_one_is_said_to(value: float, verdict: SpeedVerdict) -> None:
    assert "cannot be one" in words.speed(run(speedup=ratio(value, 0.0, 1.0, verdict)))


def test_a_slower_run_with_an_interval_down_to_nothing_has_none() -> None:
    said = words.speed(run(speedup=ratio(0.5, 0.0, 0.6, "slower")))
    assert "2.00 times as long" in said and "interval" not in said


def test_a_run_without_latencies_says_nothing_of_speed() -> None:
    assert words.speed(run(latency_ms=None)) == ""


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            accuracy("PASS", Metrics(sqnr_db=28.5, top1=1.0)),
            "Its outputs stay within tolerance (PASS): SQNR 28.5 dB, top-1 always agrees.",
        ),
        (
            accuracy("PASS", Metrics(sqnr_db=28.5, top1=0.875)),
            "Its outputs stay within tolerance (PASS): SQNR 28.5 dB, top-1 agrees on 87.5 %.",
        ),
        (accuracy("PASS", Metrics(exact=True)), "Its outputs are exactly those of FP32 eager (PASS)."),
        (
            accuracy("FAIL", Metrics(sqnr_db=3.0), "worst SQNR 3 dB is below the tolerance of 20 dB"),
            "Its outputs moved too far (FAIL): worst SQNR 3 dB is below the tolerance of 20 dB.",
        ),
        (
            accuracy("UNPROVEN", Metrics(), "1 of 8 outputs (logits) carry no information: constant"),
            "Whether its outputs are right is unproven: 1 of 8 outputs (logits) carry no information: constant.",
        ),
        (None, "How far its outputs moved was not measured."),
    ],
)
def test_the_accuracy_in_words(found: Accuracy | None, expected: str) -> None:
    trained = WeightsInfo(kind="pretrained", detail="published")
    assert words.accuracy(run(accuracy=found, weights=trained)) == expected


@pytest.mark.parametrize("verdict", ["PASS", "FAIL", "UNPROVEN"])
def test_with_synthetic_weights_it_is_said_once_what_is_judged(verdict: AccuracyVerdict) -> None:
    untrained = WeightsInfo(kind="synthetic", detail="random, seed 0")
    about = "ith synthetic weights this judges the arithmetic, not the trained model."
    for reason in ("the reason", f"the reason; {OF_ARITHMETIC}"):
        found = accuracy(verdict, Metrics(sqnr_db=28.5, top1=1.0), reason)
        assert words.accuracy(run(accuracy=found, weights=untrained)).count(about) == 1


def test_agreement_that_is_not_complete_is_never_rounded_to_all() -> None:
    assert "99.9 %" in words.accuracy(run(accuracy=accuracy("PASS", Metrics(sqnr_db=9.0, top1=0.99999))))


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (11_689_512, "The program is 11.7 MB, 4.00 times smaller than its weights in FP32 (46.8 MB)."),
        (46_800_000, "The program is 46.8 MB, the size of its weights in FP32."),
        (93_516_096, "The program is 93.5 MB, 2.00 times the size of its weights in FP32 (46.8 MB)."),
    ],
)
def test_the_size_in_words(count: int, expected: str) -> None:
    assert words.size(run(artifact=Artifact(kind="pte", size_bytes=count, sha256="", key=""))) == expected


def test_a_size_of_unknown_parameters_stands_alone() -> None:
    document = run()
    bare = msgspec.structs.replace(document.model, parameters=None)
    assert words.size(msgspec.structs.replace(document, model=bare)) == "The program is 46.7 MB."


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("failed", "The run failed in the stage lower: no memory."),
        ("timed out", "The run timed out in the stage lower: no memory."),
        ("cancelled", "The run was cancelled in the stage lower: no memory."),
        ("interrupted", "The run was interrupted in the stage lower: no memory."),
    ],
)
def test_how_a_run_ended_comes_first(status: Status, expected: str) -> None:
    log = [
        LogLine(at="", level="info", message="lowering", stage="lower"),
        LogLine(at="", level="info", message="measuring another", stage="measure", of_session=True),
    ]
    document = run(status=status, error="no memory", log=log)
    assert words.verdict(document)[0] == expected


def test_a_live_run_says_how_far_it_is() -> None:
    assert words.ending(run(status="measuring")) == "The run is measuring; 3 blocks measured so far."
    assert words.ending(run(status="queued", blocks=[])) == "The run is queued."


def test_an_imported_summary_says_that_nothing_stands_behind_it() -> None:
    assert words.verdict(run(summary_only=True))[0].startswith("Only a summary")


def test_the_verdict_of_a_good_run_is_speed_accuracy_and_size() -> None:
    sentences = words.verdict(run(speedup=ratio(4.8, 4.71, 4.91, "faster")))
    assert [sentence.split()[0] for sentence in sentences] == ["int8/xnnpack", "Its", "The"]


def test_escape_codes_of_names_and_errors_are_not_passed_on() -> None:
    document = run(status="failed", error="\x1b[31mred\x1b[0m", precision="in\x07t8")
    assert all(sentence.isprintable() for sentence in words.verdict(document))


def test_hints_name_what_slows_a_program() -> None:
    document = run(
        delegation=Delegation(delegated_nodes=50, undelegated_nodes=50, subgraphs=12, undelegated_operators={}),
        arithmetic="bf16",
        blocks=[make_block("int8/xnnpack", 0), msgspec.structs.replace(make_block("int8/xnnpack", 1), threads=1)],
    )
    hints = words.hints(document)
    assert [word in hint for word, hint in zip(("50 of 100 nodes", "bf16", "1, 2"), hints, strict=True)] == [True] * 3
    assert "reference kernels" in words.hints(run(delegate="portable"))[0]
    assert words.hints(run()) == []


@pytest.mark.parametrize(
    ("lowered", "expected"),
    [
        (Metrics(exact=True, rmse=0.0), "Lowering changed nothing"),
        (Metrics(rmse=0.0001), "All but a hundredth"),
        (Metrics(rmse=0.05), "The error that lowering adds is 50 % of the whole"),
    ],
)
def test_both_errors_are_told_apart(lowered: Metrics, expected: str) -> None:
    comparison = Comparison(against="the graph", overall=lowered, worst=lowered, outputs=[])
    assert words.two_errors(accuracy("PASS", Metrics(rmse=0.1), lowering=comparison)).startswith(expected)


def test_a_tolerance_in_words() -> None:
    wanted = Tolerance(sqnr_db_min=20.0, mae_max=0.1, source="catalog")
    assert words.tolerance(wanted) == "SQNR at least 20 dB, MAE at most 0.1 (catalog)"
    assert words.tolerance(None) == "none is known for this model and precision"


def test_statistics_without_a_median_have_no_sentence() -> None:
    bare = msgspec.structs.replace(make_stats(5.0), median=None)
    assert words.speed(run(latency_ms=bare)) == ""
