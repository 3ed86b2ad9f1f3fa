"""The verdict of a report: what is recommended, and that nothing is that the data do not support."""

from __future__ import annotations

import msgspec

from etui.report.recommendation import Verdict, verdict_on
from etui.results import Accuracy, AccuracyVerdict, Flag, RunDocument, WeightsInfo
from etui.wording.comparison import names
from tests.analysis.comparisons import LATER, Machine, measured
from tests.documents import ENVIRONMENT, make_accuracy, make_document
from tests.facts import lacking

TRAINED = WeightsInfo(kind="pretrained", detail="from the hub", sha256="ab" * 32)


def run(run_id: str, precision: str, median: float, *, seed: int = 1, block_sd: float = 0.003) -> RunDocument:
    document = measured(run_id * 12, precision=precision, median=median, seed=seed, block_sd=block_sd)
    document.weights, document.flags = TRAINED, []
    return document


def judged(verdict: AccuracyVerdict, sqnr_db: float = 28.5) -> Accuracy:
    made = make_accuracy()
    overall = msgspec.structs.replace(made.end_to_end.overall, sqnr_db=sqnr_db)
    end_to_end = msgspec.structs.replace(made.end_to_end, overall=overall)
    return msgspec.structs.replace(made, verdict=verdict, reason="because", end_to_end=end_to_end)


def verdict_of(*runs: RunDocument) -> Verdict:
    return verdict_on(runs, names(runs), margin=0.02)


def test_the_fastest_within_tolerance_is_shipped() -> None:
    slow, fast, failing = run("a", "fp32", 16.0), run("b", "int8", 8.0, seed=2), run("c", "fp16", 4.0, seed=3)
    failing.accuracy = judged("FAIL")
    found = verdict_of(slow, fast, failing)
    assert (found.run, found.tone, found.headline) == (fast.id, "good", "Ship int8/xnnpack")
    assert any("fp16/xnnpack" in line and "FAIL" in line for line in found.caveats)
    assert {badge.word for badge in found.badges} == {"PASS 2 of 3", "FAIL 1 of 3"}


def test_each_shape_has_a_recommendation_of_its_own() -> None:
    runs = [run("a", "fp32", 16.0), run("b", "int8", 8.0, seed=2), run("c", "fp32", 2.0, seed=3)]
    for one, size in zip(runs, (224, 224, 32), strict=True):
        assert one.inputs is not None
        one.input_size, one.variant = (size, size), f"{one.precision}/xnnpack {size}x{size}"
        one.inputs = msgspec.structs.replace(one.inputs, shapes=[[1, 3, size, size]])
    found = verdict_of(*runs)
    large, small = found.headline.split("; ")
    assert not lacking(large, "224x224: Ship int8/xnnpack") and small.startswith("32x32: fp32/xnnpack")
    assert not found.run and found.tone == "good"


def test_methods_are_not_alternatives() -> None:
    encode, decode = run("a", "fp32", 16.0), run("b", "fp32", 2.0, seed=2)
    encode.method, decode.method = "encode", "decode"
    found = verdict_of(encode, decode)
    assert "Ship" not in found.headline and not lacking(found.headline, "encode", "decode")


def test_synthetic_weights_are_not_a_reason_to_ship() -> None:
    fast = run("b", "int8", 8.0, seed=2)
    fast.weights = WeightsInfo(kind="synthetic", detail="random", sha256="ab" * 32)
    found = verdict_of(run("a", "fp32", 16.0), fast)
    assert found.run == fast.id and found.tone == "warn" and "Ship" not in found.headline
    assert any("synthetic" in line for line in found.caveats)


def test_an_uncertain_order_has_no_winner() -> None:
    found = verdict_of(run("a", "fp32", 16.0, block_sd=0.05), run("b", "int8", 15.5, seed=2, block_sd=0.05))
    assert not found.run and found.tone == "warn" and "No clear winner" in found.headline


def test_of_equally_fast_runs_the_closer_one_is_shipped_and_equal_ones_are_both_named() -> None:
    one, two = run("a", "fp32", 16.0), run("b", "int8", 16.02, seed=2)
    assert verdict_of(one, two).headline == "Ship fp32/xnnpack or int8/xnnpack"
    two.accuracy = judged("PASS", 40.0)
    assert verdict_of(one, two).headline == "Ship int8/xnnpack"


def test_what_is_not_proven_is_not_recommended() -> None:
    one, two = run("a", "fp32", 16.0), run("b", "int8", 8.0, seed=2)
    one.accuracy = two.accuracy = judged("UNPROVEN")
    assert (verdict_of(one, two).run, verdict_of(one, two).tone) == ("", "warn")
    one.accuracy = two.accuracy = judged("FAIL")
    assert (verdict_of(one, two).run, verdict_of(one, two).tone) == ("", "bad")
    one.accuracy = two.accuracy = None
    assert not verdict_of(one, two).run


def test_a_regression_is_bad_and_an_unreliable_one_is_not_called_one() -> None:
    machine = Machine(1)
    before, after = machine.session(16.0), machine.session(18.6)
    found = verdict_of(before, after)
    assert found.tone == "bad" and "slower" in found.headline and "%" in found.headline
    assert "times as long" in verdict_of(before, machine.session(16.0 * 34)).headline
    loaded = verdict_of(before, machine.session(18.6, loaded=5, eager_loaded=5, factor=1.3))
    assert loaded.tone == "warn" and "slower" not in loaded.headline
    assert any("loaded" in line for line in loaded.caveats)


def test_a_single_run_has_its_accuracy_verdict() -> None:
    one = run("a", "int8", 8.0)
    assert verdict_of(one).tone == "good"
    one.accuracy = judged("FAIL")
    assert verdict_of(one).tone == "bad" and verdict_of(one).badges[0].word == "FAIL"


def test_a_failed_run_and_a_summary_have_no_good_verdict() -> None:
    failed = run("a", "int8", 8.0)
    failed.status, failed.error, failed.blocks, failed.latency_ms = "failed", "it broke", [], None
    failed.speedup = failed.accuracy = None
    assert verdict_of(failed).tone == "bad" and "it broke" in " ".join(verdict_of(failed).reasons)
    summary = run("b", "int8", 8.0)
    summary.summary_only, summary.blocks, summary.eager_blocks = True, [], []
    assert verdict_of(summary).tone == "warn" and any("summary" in line for line in verdict_of(summary).caveats)


def test_disturbed_blocks_are_a_caveat_of_the_recommendation() -> None:
    slow, fast = run("a", "fp32", 16.0), run("b", "int8", 8.0, seed=2)
    for block in fast.blocks[:3]:
        block.foreign_cpu_cores = 1.0
    assert any("loaded in 3 of 6 blocks" in line and "int8/xnnpack" in line for line in verdict_of(slow, fast).caveats)


def test_a_very_wide_interval_is_not_good_news() -> None:
    fast = run("b", "int8", 4.0, seed=2)
    assert fast.speedup is not None
    fast.speedup = msgspec.structs.replace(fast.speedup, value=4.0, ci95=(2.0, 8.0))
    found = verdict_of(run("a", "fp32", 16.0), fast)
    assert found.run == fast.id and found.tone == "warn" and any("very wide" in line for line in found.caveats)


def test_paired_ratios_decide_where_medians_have_another_order() -> None:
    drifting, steady = run("a", "fp32", 10.0, seed=1), run("b", "int8", 10.0, seed=2)
    for slow, quick, level in zip(drifting.blocks, steady.blocks, (8, 8, 8, 12, 12, 12), strict=True):
        slow.samples_ms, quick.samples_ms = [level * 1.1] * 40, [float(level)] * 40
    assert drifting.latency_ms is not None and steady.latency_ms is not None
    # The stored medians are in the other order, as those of earlier versions may be.
    drifting.latency_ms = msgspec.structs.replace(drifting.latency_ms, median=9.0)
    assert verdict_of(drifting, steady).run == steady.id


def test_a_run_that_has_not_ended_is_not_called_failed() -> None:
    waiting = run("a", "int8", 8.0)
    waiting.status, waiting.blocks, waiting.latency_ms, waiting.speedup, waiting.accuracy = (
        "queued",
        [],
        None,
        None,
        None,
    )
    assert (verdict_of(waiting).tone, verdict_of(waiting).headline) == ("warn", "int8/xnnpack: the run is queued")
    assert verdict_of(waiting, run("b", "fp32", 16.0)).headline == "Ship fp32/xnnpack"


def test_a_change_names_the_conditions_that_changed_meanwhile() -> None:
    before = measured("aaaaaaaaaaa1", seed=1, drift_sd=0)
    now = measured("bbbbbbbbbbb2", seed=2, drift_sd=0, median=37.6, session_id=LATER)
    versions = {**ENVIRONMENT.versions, "executorch": "9.9.9"}
    now.environment = msgspec.structs.replace(ENVIRONMENT, versions=versions)
    found = verdict_on([before, now], {before.id: "before", now.id: "now"}, margin=0.02)
    (changed,) = [reason for reason in found.reasons if "executorch" in reason]
    assert not lacking(changed, ENVIRONMENT.versions["executorch"], "9.9.9")


def test_caveats_are_listed_once() -> None:
    run = make_document("aaaaaaaaaaa1")
    run.flags = [Flag(name="drift", detail="it drifted")]
    found = verdict_on([run], {run.id: "it"}, margin=0.02)
    assert sum("drifted" in line for line in (*found.reasons, *found.caveats)) == 1
