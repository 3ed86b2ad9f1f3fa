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
from etui.wording import run as run_wording
from etui.wording.verdict import verdict
from tests.documents import make_block, make_document, make_stats
from tests.golden import Golden


def run(**changes: object) -> RunDocument:
    """A finished INT8 run, changed."""
    return msgspec.structs.replace(make_document(precision="int8", median=5.0), **changes)


def ratio(value: float, low: float, high: float, verdict: SpeedVerdict) -> Ratio:
    """A speed-up over six pairs of blocks."""
    return Ratio(value=value, ci95=(low, high), verdict=verdict, blocks=6)


def accuracy(
    verdict: AccuracyVerdict, metrics: Metrics, reason: str = "a reason", lowering: Comparison | None = None
) -> Accuracy:
    """An accuracy whose one comparison has these figures."""
    comparison = Comparison(against="FP32 eager", overall=metrics, worst=metrics, outputs=[])
    return Accuracy(verdict=verdict, reason=reason, tolerance=None, end_to_end=comparison, lowering=lowering)


SPEEDS: dict[str, tuple[Ratio | None, list[str]]] = {
    "faster": (ratio(4.8, 4.71, 4.91, "faster"), ["4.80", "4.71", "4.91", "6 pairs", "5.00 ms", "20.0 ms"]),
    "slower": (ratio(0.5, 0.4, 0.8, "slower"), ["2.00", "1.25", "2.50", "6 pairs", "5.00 ms", "20.0 ms"]),
    "equivalent": (ratio(1.0, 0.99, 1.01, "equivalent"), ["2 %", "0.990", "1.01", "6 pairs", "5.00 ms", "20.0 ms"]),
    "inconclusive": (ratio(1.4, 0.829, 2.37, "inconclusive"), ["1.40", "0.829", "2.37", "5.00 ms", "20.0 ms"]),
    "of one block": (Ratio(value=1.4, blocks=1, verdict="inconclusive"), ["1.40", "5.00 ms", "20.0 ms"]),
    "without eager": (None, ["5.00 ms", "4.80", "5.20"]),
}


@pytest.mark.parametrize("case", SPEEDS)
def test_the_speed_has_its_figures(case: str) -> None:
    speedup, facts = SPEEDS[case]
    said = run_wording.speed(run(speedup=speedup))
    assert said.startswith("int8/xnnpack ")
    assert [fact for fact in facts if fact not in said] == []


def test_every_verdict_on_speed_is_worded_in_its_own_way() -> None:
    """With the same figures, so that only the verdict differs."""
    verdicts: list[SpeedVerdict] = ["faster", "slower", "equivalent", "inconclusive", "unreliable"]
    assert len({run_wording.speed(run(speedup=ratio(1.0, 0.99, 1.01, verdict))) for verdict in verdicts}) == len(
        verdicts
    )


@pytest.mark.parametrize("value", [0.0, -1.0, 5e-324, 1e300])
@pytest.mark.parametrize("verdict", ["slower", "faster", "equivalent", "inconclusive", "unreliable"])
def test_what_is_stored_as_a_ratio_and_cannot_be_one_is_said_to(value: float, verdict: SpeedVerdict) -> None:
    assert "not valid" in run_wording.speed(run(speedup=ratio(value, 0.0, 1.0, verdict)))


def test_a_slower_run_with_an_interval_down_to_nothing_has_none() -> None:
    said = run_wording.speed(run(speedup=ratio(0.5, 0.0, 0.6, "slower")))
    assert "2.00 times as long" in said and "interval" not in said


def test_a_run_without_latencies_says_nothing_of_speed() -> None:
    assert run_wording.speed(run(latency_ms=None)) == ""


ACCURACIES: dict[str, tuple[Accuracy | None, list[str]]] = {
    "pass": (accuracy("PASS", Metrics(sqnr_db=28.5, top1=1.0)), ["PASS", "28.5 dB", "top-1"]),
    "pass, top-1 moved": (accuracy("PASS", Metrics(sqnr_db=28.5, top1=0.875)), ["PASS", "28.5 dB", "87.5 %"]),
    "exact": (accuracy("PASS", Metrics(exact=True)), ["PASS", "FP32 eager"]),
    "fail": (accuracy("FAIL", Metrics(sqnr_db=3.0), "worst SQNR 3 dB, limit 20 dB"), ["FAIL", "3 dB", "20 dB"]),
    "unproven": (accuracy("UNPROVEN", Metrics(), "1 of 8 outputs (logits): constant"), ["UNPROVEN", "1 of 8"]),
    "not measured": (None, ["not measured"]),
}  # fmt: skip
TRAINED = WeightsInfo(kind="pretrained", detail="published")


@pytest.mark.parametrize("case", ACCURACIES)
def test_the_accuracy_has_its_verdict_and_figures(case: str) -> None:
    found, facts = ACCURACIES[case]
    said = run_wording.accuracy(run(accuracy=found, weights=TRAINED))
    assert [fact for fact in facts if fact not in said] == []


@pytest.mark.parametrize("verdict", ["PASS", "FAIL", "UNPROVEN"])
def test_accuracy_with_synthetic_weights_has_the_note_about_them_once(verdict: AccuracyVerdict) -> None:
    untrained = WeightsInfo(kind="synthetic", detail="random, seed 0")
    older = "with synthetic weights this judges the arithmetic, not the trained model"
    for reason in ("the reason", f"the reason; {OF_ARITHMETIC}", f"the reason; {older}"):
        found = accuracy(verdict, Metrics(sqnr_db=28.5, top1=1.0), reason)
        assert run_wording.accuracy(run(accuracy=found, weights=untrained)).lower().count("synthetic weights") == 1


def test_agreement_that_is_not_complete_is_never_rounded_to_all() -> None:
    assert "99.9 %" in run_wording.accuracy(run(accuracy=accuracy("PASS", Metrics(sqnr_db=9.0, top1=0.99999))))


SIZES = {
    11_689_512: ["11.7 MB", "4.00", "46.8 MB"],
    46_800_000: ["46.8 MB"],
    93_516_096: ["93.5 MB", "2.00", "46.8 MB"],
}


def sized(count: int) -> RunDocument:
    return run(artifact=Artifact(kind="pte", size_bytes=count, sha256="", key=""))


@pytest.mark.parametrize("count", SIZES)
def test_the_size_has_its_figures(count: int) -> None:
    said = run_wording.size(sized(count))
    assert [fact for fact in SIZES[count] if fact not in said] == []
    assert ("smaller" in said) == (count < 46_000_000)


def test_a_size_of_unknown_parameters_is_compared_with_nothing() -> None:
    document = run()
    bare = msgspec.structs.replace(document.model, parameters=None)
    said = run_wording.size(msgspec.structs.replace(document, model=bare))
    assert "46.7 MB" in said and "FP32" not in said and said.count("MB") == 1


def ended(status: Status) -> RunDocument:
    """A run that ended like this while its model was lowered."""
    log = [
        LogLine(at="", level="info", message="lowering", stage="lower"),
        LogLine(at="", level="info", message="measuring another", stage="measure", of_session=True),
    ]
    return run(status=status, error="no memory", log=log)


ENDINGS: list[Status] = ["failed", "timed out", "cancelled", "interrupted"]


@pytest.mark.parametrize("status", ENDINGS)
def test_how_a_run_ended_comes_first_with_its_stage_and_reason(status: Status) -> None:
    first = verdict(ended(status))[0].text
    assert status in first and "lower" in first and "no memory" in first


def test_a_live_run_says_how_far_it_is() -> None:
    measuring, queued = run_wording.ending(run(status="measuring")), run_wording.ending(run(status="queued", blocks=[]))
    assert "measuring" in measuring and "3 blocks" in measuring
    assert "queued" in queued and "block" not in queued


def test_an_imported_summary_says_so_first() -> None:
    assert "summary" in verdict(run(summary_only=True))[0].text


def test_the_verdict_of_a_good_run_is_speed_delegation_accuracy_and_size() -> None:
    sentences = {one.source: one.text for one in verdict(run(speedup=ratio(4.8, 4.71, 4.91, "faster")))}
    assert list(sentences) == ["latency", "delegation", "accuracy", "artifact"]
    assert "4.80" in sentences["latency"] and "PASS" in sentences["accuracy"] and "46.7 MB" in sentences["artifact"]


def test_escape_codes_of_names_and_errors_are_not_passed_on() -> None:
    document = run(status="failed", error="\x1b[31mred\x1b[0m", precision="in\x07t8")
    assert all(sentence.text.isprintable() for sentence in verdict(document))


def slowed() -> RunDocument:
    """A run with three reasons to be slow."""
    return run(
        delegation=Delegation(delegated_nodes=50, undelegated_nodes=50, subgraphs=12, undelegated_operators={}),
        arithmetic="bf16",
        blocks=[make_block("int8/xnnpack", 0), msgspec.structs.replace(make_block("int8/xnnpack", 1), threads=1)],
    )


def test_hints_name_what_slows_a_program() -> None:
    hints = run_wording.hints(slowed())
    assert [word in hint for word, hint in zip(("50 of 100 nodes", "bf16", "1, 2"), hints, strict=True)] == [True] * 3
    assert "reference kernels" in run_wording.hints(run(delegate="portable"))[0]
    assert run_wording.hints(run()) == []


LOWERED = {"nothing": Metrics(exact=True, rmse=0.0), "little": Metrics(rmse=0.0001), "half": Metrics(rmse=0.05)}


def two_errors(lowered: Metrics) -> str:
    comparison = Comparison(against="the graph", overall=lowered, worst=lowered, outputs=[])
    return run_wording.two_errors(accuracy("PASS", Metrics(rmse=0.1), lowering=comparison))


def test_both_errors_are_told_apart() -> None:
    said = {case: two_errors(lowered) for case, lowered in LOWERED.items()}
    assert "50 %" in said["half"] and len(set(said.values())) == 3


WANTED = Tolerance(sqnr_db_min=20.0, mae_max=0.1, source="catalog")


def test_a_tolerance_has_its_limits_and_source() -> None:
    said = run_wording.tolerance(WANTED)
    assert [fact for fact in ("SQNR", "20 dB", "MAE", "0.1", "catalog") if fact not in said] == []
    assert run_wording.tolerance(None) and "dB" not in run_wording.tolerance(None)


def test_statistics_without_a_median_have_no_sentence() -> None:
    bare = msgspec.structs.replace(make_stats(5.0), median=None)
    assert run_wording.speed(run(latency_ms=bare)) == ""


def test_the_wording(golden: Golden) -> None:
    lines = [f"speed, {case}: {run_wording.speed(run(speedup=speedup))}" for case, (speedup, _) in SPEEDS.items()]
    lines.append(f"speed, impossible ratio: {run_wording.speed(run(speedup=ratio(-1.0, 0.0, 1.0, 'faster')))}")
    lines.append(f"speed, no lower limit: {run_wording.speed(run(speedup=ratio(0.5, 0.0, 0.6, 'slower')))}")
    for case, (found, _) in ACCURACIES.items():
        lines.append(f"accuracy, {case}: {run_wording.accuracy(run(accuracy=found, weights=TRAINED))}")
        lines.append(f"accuracy, {case}, synthetic weights: {run_wording.accuracy(run(accuracy=found))}")
    lines += [f"size, {count:,}: {run_wording.size(sized(count))}" for count in SIZES]
    lines += [f"ending, {status}: {run_wording.ending(ended(status))}" for status in ENDINGS]
    lines += [f"ending, {status}: {run_wording.ending(run(status=status))}" for status in ("queued", "measuring")]
    lines.append(f"summary only: {verdict(run(summary_only=True))[0].text}")
    lines += [f"hint: {hint}" for hint in (*run_wording.hints(slowed()), *run_wording.hints(run(delegate="portable")))]
    lines += [f"both errors, {case}: {two_errors(lowered)}" for case, lowered in LOWERED.items()]
    lines += [f"tolerance: {run_wording.tolerance(tolerance)}" for tolerance in (WANTED, None)]
    golden("words", "\n".join(lines))
