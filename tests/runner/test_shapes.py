"""Shapes, threads and dynamic programs as variants of one session: measured interleaved, each against its own eager."""

from __future__ import annotations

import json
import shutil

import pytest

from etui.host.cpus import usable_cores
from etui.results import RunDocument
from etui.runner.program_cache import ProgramCache
from tests.machines import Machine

pytestmark = pytest.mark.slow

FACTORY = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    return nn.Sequential(*layers), torch.randn(1, 3, 16, 16)

def fixed():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 4)), torch.randn(1, 3, 16, 16)
"""
QUICK = ("--repeat", "3", "--warmup", "1", "--inputs", "2", "--calibration", "2", "--no-check", "--json")


def measured(machine: Machine, *arguments: str, status: int | None = 0) -> list[RunDocument]:
    """Measure with the command and return the documents of its runs."""
    (machine.folder / "net.py").write_text(FACTORY)
    done = machine.etui("run", *arguments, *QUICK, status=status)
    return [machine.document(run["id"]) for run in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def sweep(warm_machine: Machine) -> list[RunDocument]:
    """Two sizes and two batches, static and dynamic."""
    file = f"{warm_machine.folder / 'net.py'}:net"
    return measured(warm_machine, file, "--input-size", "16,24x32", "--batch", "1,3", "--dynamic")


def test_each_shape_is_measured_against_eager_at_that_shape(sweep: list[RunDocument]) -> None:
    assert [run.status for run in sweep] == ["done"] * 8
    for run in sweep:
        assert run.input_size is not None and run.batch is not None and run.inputs is not None
        assert run.inputs.shapes == [[run.batch, 3, *run.input_size]]
        assert run.latency_ms is not None and run.eager_latency_ms is not None
        assert run.accuracy is not None and run.accuracy.verdict == "PASS"
    static, dynamic = sweep[:4], sweep[4:]
    baselines = [run.eager_blocks[0].started_at for run in static]
    assert len(set(baselines)) == 4
    assert [run.eager_blocks[0].started_at for run in dynamic] == baselines
    # Interleaved: one block has each of the eight programs and four baselines at its own position.
    positions = [run.blocks[0].position for run in sweep] + [run.eager_blocks[0].position for run in static]
    assert sorted(positions) == list(range(12))


def test_one_dynamic_program_is_measured_at_all_shapes(sweep: list[RunDocument]) -> None:
    static, dynamic = sweep[:4], sweep[4:]
    assert [run.dynamic for run in sweep] == [False] * 4 + [True] * 4
    keys = [{run.artifact.key for run in runs if run.artifact} for runs in (static, dynamic)]
    assert [len(each) for each in keys] == [4, 1]
    planned = {run.memory.planned_bytes for run in dynamic if run.memory}
    largest = [run.memory.planned_bytes or 0 for run in static if run.memory]
    assert len(planned) == 1 and (planned.pop() or 0) >= max(largest)


def test_layers_of_a_dynamic_program_are_not_compared(sweep: list[RunDocument], warm_machine: Machine) -> None:
    refused = warm_machine.etui("gap", sweep[4].id, status=2).stderr
    assert "range of shapes" in refused and "Traceback" not in refused


def test_runs_of_shapes_are_found_and_measured_again(sweep: list[RunDocument], warm_machine: Machine) -> None:
    found = json.loads(warm_machine.etui("runs", "input_size:24 batch:3 dynamic:0", "--json").stdout)
    assert [run["id"] for run in found] == [sweep[3].id]
    assert found[0]["input_size"] == [24, 32] and found[0]["variant"] == sweep[3].configuration
    own = sweep[4].artifact
    assert own is not None
    shutil.rmtree(ProgramCache(warm_machine.cache).program_dir(own.key))
    duel = ("duel", sweep[0].id, sweep[4].id, "--preset", "quick", "--repeat", "3", "--json")
    warm_machine.etui(*duel, status=None)
    newest = [run for run in warm_machine.summaries() if run["id"] not in {each.id for each in sweep}]
    assert [(run["status"], run["input_size"], run["batch"]) for run in newest[:2]] == [("done", [16, 16], 1)] * 2
    assert {run["dynamic"] for run in newest[:2]} == {True, False}
    # The program for the range was not in the cache, so it was made again of all shapes.
    (dynamic,) = [warm_machine.document(run["id"]) for run in newest[:2] if run["dynamic"]]
    assert dynamic.artifact is not None
    assert (dynamic.artifact.key, dynamic.artifact.sha256) == (own.key, own.sha256)


def test_a_duel_of_different_work_is_refused_before_it_is_queued(
    sweep: list[RunDocument], warm_machine: Machine
) -> None:
    before = len(warm_machine.summaries())
    refused = warm_machine.etui("duel", sweep[0].id, sweep[2].id, status=2).stderr
    assert "input size" in refused and "16x16 and 24x32" in refused and refused.count("\n") == 1
    assert len(warm_machine.summaries()) == before
    (batches,) = json.loads(warm_machine.etui("compare", sweep[0].id, sweep[1].id, "--json").stdout)["comparisons"]
    assert batches["items"] == [1, 3] and batches["verdict"] is not None


def test_lowering_of_a_dynamic_program_is_not_judged_on_inputs_of_another_shape(warm_machine: Machine) -> None:
    file = f"{warm_machine.folder / 'net.py'}:net"
    sizes = ("--input-size", "16,24", "--dynamic")
    static, _, small, large = measured(warm_machine, file, "--precision", "int8", *sizes, status=None)
    assert small.inputs is not None and large.inputs is not None
    assert small.inputs.calibration_sha256 == large.inputs.calibration_sha256 is not None
    duel = ("duel", static.id, small.id, "--preset", "quick", "--repeat", "3", "--json")
    warm_machine.etui(*duel, status=None)
    again = [warm_machine.document(run["id"]) for run in warm_machine.summaries()[:2]]
    assert {run.repeats for run in again} == {static.id, small.id}
    for run in (small, *(run for run in again if run.dynamic)):
        assert run.accuracy is not None and run.accuracy.lowering is None
    assert large.accuracy is not None and large.accuracy.lowering is not None


def test_a_shape_that_the_model_does_not_take_fails_alone_and_names_the_layer(warm_machine: Machine) -> None:
    runs = measured(warm_machine, f"{warm_machine.folder / 'net.py'}:fixed", "--input-size", "16,20", status=None)
    assert [run.status for run in runs] == ["done", "failed"]
    error = runs[1].error or ""
    assert "20x20" in error and "1 (Linear)" in error and "1x1200" in error and "\n" not in error


@pytest.mark.skipif(usable_cores() < 2, reason="needs two cores")
def test_threads_are_variants_with_their_own_baselines(warm_machine: Machine) -> None:
    runs = measured(warm_machine, f"{warm_machine.folder / 'net.py'}:net", "--threads", "1,2")
    assert [(run.status, run.threads) for run in runs] == [("done", 1), ("done", 2)]
    for run in runs:
        assert {block.threads for block in (*run.blocks, *run.eager_blocks)} == {run.threads}
        assert {len(block.cpus or ()) for block in run.blocks} == {run.threads}
    keys = {run.artifact.key for run in runs if run.artifact}
    assert len(keys) == 1
