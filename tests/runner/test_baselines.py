"""A session with other runtimes: real programs of a small model, measured with the same threads as ExecuTorch's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etui.host.compiler import compiler_problem
from etui.host.cuda import cuda_problem
from etui.results import RunDocument
from etui.runner.program_cache import COMPILER
from tests.machines import Machine

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
MODEL = f"{TINY}:convolutional"
FEW = ("--repeat", "40", "--warmup", "3")

pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.slow

BASELINES = ["onnxruntime"] if compiler_problem() else ["compile", "onnxruntime"]


@pytest.fixture(scope="module")
def measured(warm_machine: Machine) -> dict[str, RunDocument]:
    """Return the runs of one session by label."""
    done = warm_machine.etui(
        "run", MODEL, "-p", "fp32,int8", "--baseline", ",".join(BASELINES), *FEW, "--json", status=None
    )
    assert done.returncode in (0, 1), done.stderr
    runs = [warm_machine.document(summary["id"]) for summary in json.loads(done.stdout)]
    return {f"{run.precision}/{run.delegate}": run for run in runs}


def test_baselines_are_interleaved_with_the_programs_on_the_same_threads(measured: dict[str, RunDocument]) -> None:
    expected = {"fp32/xnnpack", "int8/xnnpack", "fp32/onnxruntime", "int8/onnxruntime"}
    assert set(measured) == expected | {f"fp32/{name}" for name in BASELINES}
    assert len({run.session.id for run in measured.values()}) == 1
    for index in range(2):
        positions = [run.blocks[index].position for run in measured.values()]
        positions.append(measured["fp32/xnnpack"].eager_blocks[index].position)
        assert sorted(positions) == list(range(len(measured) + 1))
    assert {block.threads for run in measured.values() for block in run.blocks} == {measured["fp32/xnnpack"].threads}


def test_baselines_are_judged_like_programs(measured: dict[str, RunDocument]) -> None:
    for run in measured.values():
        assert run.status == "done" and run.accuracy is not None and run.speedup is not None, run.error
        assert run.accuracy.end_to_end.against == "FP32 eager PyTorch"
        if run.precision == "fp32":
            assert run.accuracy.verdict == "PASS"
    programs, baselines = measured["int8/xnnpack"], measured["int8/onnxruntime"]
    assert programs.accuracy and baselines.accuracy
    assert programs.accuracy.tolerance == baselines.accuracy.tolerance
    assert programs.inputs and baselines.inputs
    assert programs.inputs.calibration_count == baselines.inputs.calibration_count == 8


def test_what_a_baseline_depends_on_is_stored_only_with_its_runs(measured: dict[str, RunDocument]) -> None:
    kinds = {name: run.artifact.kind for name, run in measured.items() if run.artifact}
    assert kinds["fp32/xnnpack"] == "pte" and kinds["int8/onnxruntime"] == "onnx"
    own = {name: set(run.environment.runtime_versions) for name, run in measured.items() if run.environment}
    assert own["fp32/xnnpack"] == set() and own["fp32/onnxruntime"] == {"onnx", "onnxruntime", "onnxscript"}
    if "compile" in BASELINES:
        assert kinds["fp32/compile"] == "so" and own["fp32/compile"] == {COMPILER}
    for run in measured.values():
        assert run.memory is not None and run.memory.peak_rss_bytes
        assert (run.delegation is None) == (run.delegate in BASELINES)


def test_same_programs_are_taken_from_the_cache(warm_machine: Machine, measured: dict[str, RunDocument]) -> None:
    done = warm_machine.etui("run", MODEL, "-d", ",".join(BASELINES), *FEW, "--json", status=None)
    for summary in json.loads(done.stdout):
        run = warm_machine.document(summary["id"])
        before = measured[f"{run.precision}/{run.delegate}"]
        assert run.artifact and before.artifact and run.artifact.cached
        assert run.artifact.sha256 == before.artifact.sha256


def test_changed_program_is_not_executed_but_made_again(
    warm_machine: Machine, measured: dict[str, RunDocument]
) -> None:
    artifact = measured["fp32/onnxruntime"].artifact
    assert artifact is not None
    program = warm_machine.cache / "programs" / artifact.key / "program.onnx"
    content = bytearray(program.read_bytes())
    content[-40] ^= 1
    program.write_bytes(content)
    done = warm_machine.etui("run", MODEL, "-d", "onnxruntime", *FEW, "--json", status=None)
    again = warm_machine.document(json.loads(done.stdout)[0]["id"])
    assert again.artifact and not again.artifact.cached and again.artifact.sha256 == artifact.sha256


def test_baseline_can_be_measured_again_in_a_duel(warm_machine: Machine, measured: dict[str, RunDocument]) -> None:
    ids = [measured["fp32/onnxruntime"].id, measured["fp32/xnnpack"].id]
    done = warm_machine.etui("duel", *ids, "--preset", "quick", *FEW, "--json", status=None)
    assert done.returncode in (0, 1), done.stderr
    assert {run["delegate"] for run in warm_machine.summaries() if run["preset"] == "quick"} == {
        "onnxruntime",
        "xnnpack",
    }


@pytest.mark.parametrize("command", ["profile", "gap", "inspect"])
def test_analyses_of_executorch_programs_are_refused(
    warm_machine: Machine, measured: dict[str, RunDocument], command: str
) -> None:
    done = warm_machine.etui(command, measured["fp32/onnxruntime"].id, status=2)
    (line,) = done.stderr.splitlines()
    assert "not available for ONNX Runtime programs" in line


def test_programs_of_baselines_can_be_exported(warm_machine: Machine, tmp_path: Path) -> None:
    warm_machine.etui("run", MODEL, "-d", "onnxruntime", "--export-only", "-o", tmp_path)
    (exported,) = tmp_path.iterdir()
    assert exported.name == "tiny-convolutional_fp32_onnxruntime.onnx"


@pytest.mark.skipif(cuda_problem() is not None, reason="no CUDA device")
def test_eager_on_a_gpu_is_measured_in_the_same_session(warm_machine: Machine) -> None:
    names = ("cuda", "cuda-tf32", "cuda-fp16", "cuda-bf16")
    done = warm_machine.etui("run", MODEL, "--baseline", ",".join(names), *FEW, "--json", status=None)
    assert done.returncode in (0, 1), done.stderr
    runs = {run.delegate: run for run in (warm_machine.document(each["id"]) for each in json.loads(done.stdout))}
    assert set(runs) == {"xnnpack", *names}
    for name in names:
        run = runs[name]
        assert run.status == "done" and run.accuracy and run.accuracy.verdict == "PASS", run.error
        assert run.artifact is None
        assert all(block.device and block.device.name and block.device.wall_ms > 0 for block in run.blocks)
        assert run.memory and run.memory.device_loaded_bytes and run.memory.device_peak_bytes
        assert run.environment and {"GPU", "NVIDIA driver", "CUDA"} <= set(run.environment.runtime_versions)
    assert [runs[name].arithmetic for name in names] == [None, "tf32", None, "bf16"]
    assert runs["cuda-fp16"].precision == "fp16"
