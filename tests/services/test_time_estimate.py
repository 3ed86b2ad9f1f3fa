"""The estimate: from similar runs, else from the model's size."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from etui.catalog.find import find_model
from etui.results import SessionInfo, Stage
from etui.services.time_estimate import SimilarRun, by_program, durations, estimate, expected_times, newest_similar
from etui.spec import SessionSpec, Variant
from etui.store import Store
from etui.text import about_seconds
from tests.documents import make_document

FP32, INT8 = Variant("fp32", "xnnpack"), Variant("int8", "xnnpack")
PAST = SimilarRun(
    load_s=2.0, prepare_s=20.0, checks_s=4.0, latency_ms=10.0, eager_ms=20.0, start_s=0.5, prepared=False
)  # fmt: skip


def spec(*variants: Variant, **more: object) -> SessionSpec:
    return msgspec.structs.replace(SessionSpec(model="resnet18", variants=variants or (FP32,)), **more)


def seconds(model: str = "resnet18", **past: SimilarRun) -> float:
    known = {FP32: past["fp32"]} if past else {}
    return estimate(msgspec.structs.replace(spec(), model=model), find_model(model), known, cores=2).seconds


def test_a_larger_model_takes_longer() -> None:
    assert seconds("mobilenet_v2") < seconds("resnet50") < seconds("gpt2")


def test_what_lies_in_the_cache_need_not_be_prepared() -> None:
    prepared = msgspec.structs.replace(PAST, prepared=True, load_s=0.0)
    assert seconds(fp32=PAST) - seconds(fp32=prepared) >= PAST.prepare_s


def test_programs_are_prepared_side_by_side() -> None:
    one = estimate(spec(FP32), find_model("resnet18"), {FP32: PAST}, cores=2).seconds
    two = estimate(spec(FP32, INT8), find_model("resnet18"), {FP32: PAST, INT8: PAST}, cores=2).seconds
    assert two - one < PAST.prepare_s


def test_a_program_of_several_runs_is_prepared_once() -> None:
    model = find_model("resnet18")
    static = [Variant("fp32", "xnnpack", batch=batch) for batch in (1, 2, 4)]
    dynamic = [msgspec.structs.replace(variant, dynamic=True) for variant in static]
    threads = [Variant("fp32", delegate, threads=count) for delegate in ("xnnpack", "compile") for count in (1, 2)]
    assert list(map(len, by_program([*static, *dynamic, *threads]))) == [1, 1, 1, 3, 2, 1, 1]
    expected = expected_times(spec(*dynamic), model, dict.fromkeys(dynamic, PAST), cores=1)
    assert list(expected.stages_s) == [dynamic[0].label] and expected.prepare_s < 2 * PAST.prepare_s
    cached = {**dict.fromkeys(dynamic, PAST), dynamic[2]: msgspec.structs.replace(PAST, prepared=True)}
    assert expected_times(spec(*dynamic), model, cached, cores=1).stages_s == {}


def test_counts_that_are_fixed_decide_the_time() -> None:
    model = find_model("resnet18")
    few = estimate(spec(repeat=20, warmup=0), model, {FP32: PAST}, cores=2).seconds
    many = estimate(spec(repeat=10_000, warmup=0), model, {FP32: PAST}, cores=2).seconds
    assert many - few == pytest.approx((10_000 - 20) * (0.010 + 0.020), abs=5 * 2 * PAST.start_s)


def test_a_slow_variant_is_held_by_the_preset_s_budget() -> None:
    slow = msgspec.structs.replace(PAST, latency_ms=37_000.0)
    assert seconds(fp32=slow) < 700


def test_no_session_takes_longer_than_its_time_out() -> None:
    assert estimate(spec(timeout_s=7.0), find_model("gpt2"), {}, cores=2).seconds == 7.0


def test_the_words_are_no_more_exact_than_the_figure() -> None:
    model = find_model("resnet18")
    assert estimate(spec(), model, {FP32: PAST}, cores=2).text.startswith("about ")
    assert estimate(spec(), model, {}, cores=2).text.startswith("roughly ")
    assert estimate(spec(FP32, INT8), model, {FP32: PAST}, cores=2).basis == "both"
    assert [about_seconds(value) for value in (1, 52, 100, 3500, 4500)] == [
        "5 s",
        "50 s",
        "2 min",
        "58 min",
        "1 h 20 min",
    ]


def test_the_newest_finished_run_is_what_counts(tmp_path: Path) -> None:
    older = make_document("aaaaaaaaaaa1", median=99.0, created_at="2026-11-18T10:00:00.000Z", session_id="5e5510000001")
    newer = make_document("aaaaaaaaaaa2", median=16.0, created_at="2026-11-19T10:00:00.000Z", session_id="5e5510000002")
    failed = make_document("aaaaaaaaaaa3", created_at="2026-11-20T10:00:00.000Z", session_id="5e5510000003")
    failed = msgspec.structs.replace(failed, status="failed", latency_ms=None)
    with Store.open(tmp_path / "etui.db") as store:
        store.import_documents([older, newer, failed])
        found = newest_similar(store, spec(FP32, INT8), find_model("resnet18"), tmp_path)
    assert list(found) == [FP32]
    assert found[FP32].latency_ms == 16.0


def test_a_program_serves_again_with_the_same_weights_while_it_lies_in_the_cache(tmp_path: Path) -> None:
    document = make_document()
    document.stages = [
        Stage(name="load", seconds=2.0),
        Stage(name="lower", seconds=9.0),
        Stage(name="measure", seconds=30.0),
    ]
    document.session = SessionInfo(id="s", created_at="", spec={"weights": "auto", "seed": 0, "calibration_count": 8})
    assert not durations(document, spec(), tmp_path).prepared
    assert document.artifact is not None
    program = tmp_path / "programs" / document.artifact.key / "program.pte"
    program.parent.mkdir(parents=True)
    program.touch()
    past = durations(document, spec(), tmp_path)
    assert (past.prepared, past.prepare_s, past.load_s) == (True, 9.0, 0.0)
    assert not durations(document, spec(weights="synthetic"), tmp_path).prepared
    assert not durations(document, spec(use_cache=False), tmp_path).prepared
