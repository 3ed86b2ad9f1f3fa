"""The past runs of a configuration: runs that differ only in time and software, and counts of runs that differ
otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from etui.analysis.trends import trend
from etui.errors import UsageError
from etui.results import RunDocument, TaskData
from etui.store import Store
from etui.wording.trend import sentences
from tests.documents import ENVIRONMENT, MODEL, make_document, make_evaluation, make_spec, with_evaluation
from tests.facts import lacking


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "etui.db") as opened:
        yield opened


def later(day: int, **changes: object) -> RunDocument:
    """Return a run of the same configuration on another day, in a separate session."""
    made = make_document(f"{day:012x}", session_id=f"5e55{day:08x}", created_at=f"2026-10-{day:02d}T10:00:00.000Z")
    return msgspec.structs.replace(made, **changes)


def test_only_runs_of_the_same_configuration_are_points_oldest_first(store: Store) -> None:
    same = [later(day) for day in (1, 2, 3)]
    assert same[0].inputs is not None and same[0].weights is not None
    other = [
        later(4, precision="int8"),
        later(5, threads=1),
        later(6, inputs=msgspec.structs.replace(same[0].inputs, sha256="cd" * 32)),
        later(7, weights=msgspec.structs.replace(same[0].weights, sha256="cd" * 32)),
        later(8, environment=msgspec.structs.replace(ENVIRONMENT, cpu="Another CPU")),
        later(9, model=msgspec.structs.replace(same[0].model, identity="other code")),
        later(10, arithmetic="bf16"),
        later(12, environment=msgspec.structs.replace(ENVIRONMENT, variables={"OMP_WAIT_POLICY": "passive"}, nice=0)),
    ]
    newer = later(11, environment=msgspec.structs.replace(ENVIRONMENT, versions={"torch": "2.14.0"}))
    store.import_documents([*same[::-1], *other, newer])
    history = store.history(same[1].id)
    assert [point.run for point in history.points] == [same[0].id, same[1].id, same[2].id, newer.id]
    assert history.total == 4 and history.examined == 11
    assert history.omitted == {
        "threads": 1, "inputs": 1, "weights": 1, "box": 1, "model's code": 1, "arithmetic": 1, "process settings": 1,
    }  # fmt: skip
    last = history.points[-1]
    assert last.software == {"torch": "2.14.0", "Python": "3.11.9", "etui": "0.1.0"}
    assert (last.median_ms, last.interval_ms, last.mae) == (16.0, (15.8, 16.2), 0.01)


def test_the_task_of_runs_on_the_same_images_is_part_of_the_trend(store: Store) -> None:
    runs = [with_evaluation(later(day), make_evaluation(drop=0.03 * day)) for day in (1, 2, 3)]
    renamed = TaskData(name="pets", split="val", kind="multi-label", images=40, of=40, sha256="other")
    others = msgspec.structs.replace(make_evaluation(drop=0.6), data=renamed)
    store.import_documents([*runs, later(4)])
    store.import_documents([with_evaluation(later(5), others)])
    points = store.history(runs[0].id).points
    found = [point.task for point in points]
    assert [one and round(100 * one.program) for one in found] == [79, 78, 77, None, 60]
    assert len({one.images for one in found if one}) == 2
    (line,) = [one for one in sentences(trend(store.history(runs[0].id))) if "mAP" in one]
    assert "60.0 %" in line and "only run" in line, "the others were evaluated on other images"
    store.import_documents([with_evaluation(later(6), make_evaluation(drop=0.12))])
    (line,) = [one for one in sentences(trend(store.history(runs[0].id))) if "mAP" in one]
    assert all(part in line for part in ("76.0 %", "77.0 to 79.0 %", "3 earlier runs")), line


def ranged(day: int, *sizes: int, size: int = 224) -> RunDocument:
    """Return the run of a dynamic program at one size, lowered for a range of sizes."""
    run = later(day, dynamic=True, input_size=(size, size), variant=f"fp32/xnnpack {size}x{size} dynamic")
    variants = [
        {"precision": "fp32", "delegate": "xnnpack", "input_size": [each, each], "dynamic": True} for each in sizes
    ]
    run.session = msgspec.structs.replace(run.session, spec=run.session.spec | {"variants": variants})
    return run


def test_dynamic_programs_for_other_ranges_are_other_configurations(store: Store) -> None:
    runs = [ranged(1, 128, 224), ranged(2, 128, 224), ranged(3, 224, 512)]
    store.import_documents([*runs, later(4)])
    history = store.history(runs[0].id)
    assert [point.run for point in history.points] == [run.id for run in runs[:2]]
    assert history.configuration.variant == "fp32/xnnpack 224x224 dynamic"
    assert history.omitted == {"dynamic": 2} and not lacking(history.configuration.dynamic, "128", "224")
    levels = [level for level in store.session_levels(ENVIRONMENT) if not level.is_control]
    assert {level.session for level in levels} == {run.session.id for run in runs[:2]}


def test_failed_run_is_in_the_history_of_its_own_shape(store: Store) -> None:
    def sized(day: int, size: int, **changes: object) -> RunDocument:
        run = later(day, input_size=(size, size), variant=f"fp32/xnnpack {size}x{size}", **changes)
        if run.inputs is not None:
            run.inputs = msgspec.structs.replace(run.inputs, shapes=[[1, 3, size, size]])
        return run

    failed = sized(
        3, 320, status="failed", error="no kernel", latency_ms=None, weights=None, inputs=None, threads=None,
        environment=None, accuracy=None, blocks=[], eager_blocks=[],
    )  # fmt: skip
    large, small = sized(1, 320), sized(2, 224)
    store.import_documents([large, small, failed])
    assert [point.run for point in store.history(failed.id).points] == [large.id, failed.id]
    assert [point.run for point in store.history(small.id).points] == [small.id]


def test_runs_with_modules_kept_in_fp32_are_a_separate_configuration(store: Store) -> None:
    whole = [later(day, precision="int8") for day in (1, 2)]
    spec = whole[0].session.spec | {"keep_fp32": ["layer4"]}
    partial = [
        msgspec.structs.replace(run, session=msgspec.structs.replace(run.session, spec=spec))
        for run in (later(3, precision="int8"), later(4, precision="int8"))
    ]
    store.import_documents([*whole, *partial])
    assert [point.run for point in store.history(whole[0].id).points] == [run.id for run in whole]
    history = store.history(partial[0].id)
    assert [point.run for point in history.points] == [run.id for run in partial]
    assert history.configuration.kept == "layer4" and history.omitted == {"modules kept in FP32": 2}


def test_point_has_the_eager_median_and_the_disturbed_share(store: Store) -> None:
    run = later(1)
    run.blocks = [msgspec.structs.replace(block, foreign_cpu_cores=1.0) for block in run.blocks]
    store.import_documents([run, later(2)])
    loaded, quiet = store.history(run.id).points
    assert (loaded.disturbed, quiet.disturbed) == (1.0, 0.0)
    assert quiet.eager_ms == 20.0


def test_levels_are_those_of_repeated_undisturbed_sessions_of_the_machine(store: Store) -> None:
    loaded = later(3)
    loaded.blocks = [msgspec.structs.replace(block, foreign_cpu_cores=1.0) for block in loaded.blocks]
    elsewhere = later(4, environment=msgspec.structs.replace(ENVIRONMENT, box="bench-2"))
    store.import_documents([later(1), later(2), loaded, elsewhere, later(5, threads=1)])
    levels = store.session_levels(ENVIRONMENT)
    assert {level.session for level in levels} == {later(1).session.id, later(2).session.id}
    assert len(levels) == 4 and sum(level.is_control for level in levels) == 2
    assert len({level.configuration for level in levels}) == 2
    assert store.session_levels(None) == []


def test_limit_keeps_the_newest_runs_and_counts_all(store: Store) -> None:
    store.import_documents([later(day) for day in range(1, 9)])
    history = store.history(f"{3:012x}", limit=3)
    assert [point.at[8:10] for point in history.points] == ["06", "07", "08"]
    assert history.total == 8


def test_past_runs_are_those_of_the_history_newest_first(store: Store) -> None:
    runs = [later(1), later(2), later(3, threads=1), later(4, precision="int8"), later(5)]
    store.import_documents([*runs, later(6, status="failed", error="no kernel")])
    for run in runs:
        points = store.history(run.id).points
        assert [past.id for past in store.past_runs(run.id)] == [point.run for point in reversed(points)]
    assert [past.id for past in store.past_runs(runs[0].id, limit=2)] == [later(6).id, later(5).id]
    live = store.add_session(make_spec(("fp32", "xnnpack")), model=MODEL, box="bench-1").runs[0][0]
    assert [past.id for past in store.past_runs(live)] == [later(day).id for day in (6, 5, 2, 1)]
    with pytest.raises(UsageError, match="there is no run"):
        store.past_runs("ffff")


def test_failed_run_is_in_the_history_of_successful_ones(store: Store) -> None:
    failed = later(
        3, status="failed", error="no kernel", latency_ms=None, weights=None, inputs=None, threads=None,
        environment=None, accuracy=None, blocks=[], eager_blocks=[],
    )  # fmt: skip
    store.import_documents([later(1), later(2), failed])
    for run in (1, 3):
        points = store.history(f"{run:012x}").points
        assert [point.status for point in points] == ["done", "done", "failed"]
        assert points[-1].error == "no kernel" and points[-1].software == {}


def test_unknown_run_is_an_error(store: Store) -> None:
    with pytest.raises(UsageError, match="there is no run"):
        store.history("ffff")
