"""A run from the command to its document: real exports of a small model, real worker processes, a real database."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from etui.results import RunDocument
from tests.machines import Machine

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
MODEL = f"{TINY}:convolutional"
FEW = ("--repeat", "40", "--warmup", "3")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def measured(warm_machine: Machine) -> list[RunDocument]:
    """Return two variants of the small model, measured in one session."""
    done = warm_machine.etui("run", MODEL, "--precision", "fp32,int8", *FEW, "--json", status=None)
    assert done.returncode in (0, 1), done.stderr
    return [warm_machine.document(summary["id"]) for summary in json.loads(done.stdout)]


def test_every_variant_and_eager_is_measured_once_per_block(measured: list[RunDocument]) -> None:
    first, second = measured
    assert [block.index for block in first.blocks] == [0, 1]
    assert first.eager_blocks == second.eager_blocks
    for index in range(2):
        positions = [run.blocks[index].position for run in measured] + [first.eager_blocks[index].position]
        assert sorted(positions) == [0, 1, 2]


def test_second_block_reverses_the_order_of_the_first(measured: list[RunDocument]) -> None:
    for blocks in (measured[0].blocks, measured[1].blocks, measured[0].eager_blocks):
        assert blocks[1].position == 2 - blocks[0].position


def test_repeat_is_the_total_number_of_samples(measured: list[RunDocument]) -> None:
    for blocks in (measured[0].blocks, measured[0].eager_blocks):
        assert sum(len(block.samples_ms) for block in blocks) == 40
        assert all(block.warmup_count == 3 for block in blocks)
        assert all(sample > 0 for block in blocks for sample in block.samples_ms)


def test_threads_are_equal_and_read_back(measured: list[RunDocument]) -> None:
    threads = {block.threads for run in measured for block in (*run.blocks, *run.eager_blocks)}
    assert threads == {measured[0].threads}


def test_load_and_first_inference_are_recorded_separately(measured: list[RunDocument]) -> None:
    for run in measured:
        assert run.program_load_ms is not None and run.program_load_ms > 0
        assert run.method_load_ms is not None and run.method_load_ms > 0
        assert run.first_inference_ms is not None and run.first_inference_ms > 0


def test_call_of_a_program_is_split_into_its_parts(measured: list[RunDocument]) -> None:
    for run in measured:
        for block in run.blocks:
            assert block.call is not None and block.call.fixed_ms is not None
            parts = (block.call.inputs_ms, block.call.execute_ms, block.call.outputs_ms)
            assert min(parts) > 0 and block.call.fixed_ms > 0
        for part in ("inputs_ms", "execute_ms", "outputs_ms", "fixed_ms"):
            of_blocks = statistics.median(getattr(block.call, part) for block in run.blocks)
            assert getattr(run.call, part) == pytest.approx(of_blocks)
        assert all(block.call is None for block in run.eager_blocks)


def test_fp32_program_passes_accuracy(measured: list[RunDocument]) -> None:
    accuracy = measured[0].accuracy
    assert accuracy is not None
    assert accuracy.verdict == "PASS"
    assert len(accuracy.end_to_end.outputs) == 8
    assert accuracy.end_to_end.overall.mae is not None and accuracy.end_to_end.overall.mae < 1e-4


def test_quantization_and_lowering_errors_are_separate(measured: list[RunDocument]) -> None:
    accuracy = measured[1].accuracy
    assert accuracy is not None and accuracy.lowering is not None
    end_to_end, lowering = accuracy.end_to_end.overall.rmse, accuracy.lowering.overall.rmse
    assert end_to_end is not None and lowering is not None
    assert end_to_end > lowering


def test_document_records_how_it_was_made(measured: list[RunDocument]) -> None:
    run = measured[1]
    assert run.model.identity.startswith("sha256:")
    assert run.weights is not None
    assert run.inputs is not None and run.inputs.accuracy_count == 8 and run.inputs.calibration_count == 8
    assert run.artifact is not None and run.artifact.size_bytes > 0
    assert run.delegation is not None and run.delegation.delegated_nodes > 0
    assert run.memory is not None and run.memory.planned_bytes is not None
    assert run.memory.peak_rss_bytes is not None and run.memory.baseline_rss_bytes is not None
    assert run.memory.peak_rss_bytes > run.memory.baseline_rss_bytes
    assert {"export", "quantize", "lower", "measure", "accuracy", "memory"} <= {stage.name for stage in run.stages}
    assert run.environment is not None and "torch" in run.environment.versions
    assert any("block 2 of 2" in line.message for line in run.log)


def test_repeated_run_uses_the_cache(warm_machine: Machine, measured: list[RunDocument]) -> None:
    done = warm_machine.etui("run", MODEL, "--precision", "fp32,int8", *FEW, status=None)
    assert "cached, nothing to prepare: both" in done.stderr
    assert "lowering" not in done.stderr
    again = warm_machine.document(warm_machine.summaries()[0]["id"])
    assert again.artifact is not None and again.artifact.cached
    assert all(stage.cached for stage in again.stages if stage.name == "lower")


def test_no_cache_prepares_again_and_leaves_no_files(warm_machine: Machine, measured: list[RunDocument]) -> None:
    before = sorted(path for path in warm_machine.cache.rglob("*") if path.is_file())
    done = warm_machine.etui("run", MODEL, *FEW, "--no-cache")
    assert "cached, nothing" not in done.stderr
    assert sorted(path for path in warm_machine.cache.rglob("*") if path.is_file()) == before
    assert not (warm_machine.cache / "scratch").exists()


def test_finished_program_is_measured_unchanged(warm_machine: Machine, tmp_path: Path) -> None:
    warm_machine.etui("run", MODEL, "--export-only", "-o", tmp_path / "programs")
    (program,) = (tmp_path / "programs").iterdir()
    done = warm_machine.etui("run", program, *FEW, "--json")
    (summary,) = json.loads(done.stdout)
    assert summary["latency_ms"]["median"] > 0
    assert summary["precision"] == summary["delegate"] == "as-is"
    assert summary["eager_latency_ms"]["median"] is None
    assert summary["accuracy"]["verdict"] is None and summary["accuracy"]["mae"] is None


def test_output_is_the_document_and_can_be_imported(
    warm_machine: Machine, measured: list[RunDocument], tmp_path: Path
) -> None:
    target = tmp_path / "run.json"
    warm_machine.etui("run", MODEL, *FEW, "-o", target)
    other = tmp_path / "other.db"
    warm_machine.etui("--db", other, "import", target)
    shown = json.loads(warm_machine.etui("--db", other, "show", json.loads(target.read_text())["id"], "--json").stdout)
    assert shown == json.loads(target.read_text())
    warm_machine.etui("run", MODEL, *FEW, "-o", target, status=2)


def test_export_only_delegate_is_exported_and_never_measured(warm_machine: Machine, tmp_path: Path) -> None:
    refused = warm_machine.etui("run", MODEL, "--delegate", "vulkan", status=2)
    assert "vulkan" in refused.stderr.lower()
    export = ("run", MODEL, "--delegate", "vulkan", "--export-only", "-o", tmp_path)
    warm_machine.etui(*export)
    assert "already exists" in warm_machine.etui(*export, status=2).stderr
    warm_machine.etui(*export, "--force")
    assert [path.name for path in tmp_path.glob("*.pte")] == ["tiny-convolutional_fp32_vulkan.pte"]
    assert warm_machine.summaries()[0]["latency_ms"]["median"] is None


def test_factory_that_raises_fails_the_run_in_one_line(warm_machine: Machine) -> None:
    done = warm_machine.etui("run", f"{TINY}:raises", "--no-check", status=3)
    assert "the user's own mistake" in done.stderr
    (summary,) = [one for one in warm_machine.summaries() if one["model"] == "tiny-raises"]
    assert summary["status"] == "failed" and "mistake" in summary["error"]
    assert "Traceback" in warm_machine.etui("log", summary["id"], "--verbose").stdout


def test_damaged_cache_is_rebuilt_and_reported(warm_machine: Machine, measured: list[RunDocument]) -> None:
    """Each file in turn: truncated, or with the right size and other content, as after a power failure."""
    for damaged in (warm_machine.cache / "models").rglob("weights.safetensors"):
        damaged.write_bytes(bytes(damaged.stat().st_size))
    for damaged in (warm_machine.cache / "programs").rglob("program.pte"):
        damaged.write_bytes(b"")
    done = warm_machine.etui("run", MODEL, "--precision", "fp32,int8", *FEW)
    assert "weights.safetensors has different content" in done.stderr
    assert done.stderr.count("the cached program was damaged") == 2
    for damaged in (warm_machine.cache / "programs").rglob("reference.safetensors"):
        damaged.write_bytes(bytes(damaged.stat().st_size))
    done = warm_machine.etui("run", MODEL, "--precision", "int8", *FEW, "--json")
    assert "reference.safetensors has different content" in done.stderr
    assert json.loads(done.stdout)[0]["accuracy"]["verdict"] == "PASS"
