"""Programs of other runtimes compute what the model does, on the number of threads they were told to use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from etui.engine.delegates.base import BaselineFailure
from etui.engine.models.bundle import Bundle
from etui.engine.runtime.execution import load_program
from etui.errors import PreparationError
from etui.host.compiler import compiler_problem, compiler_version
from etui.host.litert_converter import converter_problem
from etui.jobs import BundleResult, LowerResult
from tests.engine.conftest import TINY, Workshop
from tests.engine.lowering.test_lower import sqnr_db

CONVOLUTIONAL, INDEXED, PROJECTIONS = (f"{TINY}:{name}" for name in ("convolutional", "indexed", "projections"))

pytestmark = pytest.mark.slow


def outputs_of(lowered: LowerResult, bundle: BundleResult, model: str, delegate: str) -> list[list[torch.Tensor]]:
    program = load_program(Path(lowered.path), delegate, torch.get_num_threads())
    inputs = Bundle.open(Path(bundle.path), model).inputs()
    with torch.inference_mode():
        return [program.tensors(program(program.fit(tensors))) for tensors in inputs]


def check(workshop: Workshop, model: str, precision: str, delegate: str, least_db: float) -> LowerResult:
    bundle = workshop.bundle(model)
    lowered = workshop.lower(model, bundle, precision, delegate)
    reference = Bundle.open(Path(bundle.path), model).reference()
    assert sqnr_db(reference, outputs_of(lowered, bundle, model, delegate)) > least_db
    path = Path(lowered.path)
    assert lowered.artifact.size_bytes == path.stat().st_size
    assert f".{lowered.artifact.kind}" == path.suffix
    # Nothing temporary is left in the entry, whose files are verified by hash before each use.
    assert {file.name for file in path.parent.iterdir()} == {path.name, "lowered.json", "files.json"}
    return lowered


@pytest.mark.parametrize(
    ("model", "precision", "least_db", "calibrated", "stages"),
    [
        (CONVOLUTIONAL, "fp32", 80, None, ["load", "export", "convert"]),
        (CONVOLUTIONAL, "int8", 20, 2, ["load", "export", "convert", "quantize"]),
        (CONVOLUTIONAL, "int8-static-per-tensor", 15, 2, ["load", "export", "convert", "quantize"]),
        (INDEXED, "fp32", 80, None, ["load", "export", "convert"]),
        (INDEXED, "int8", 20, None, ["load", "export", "convert", "quantize"]),
        (PROJECTIONS, "int8-dynamic", 20, None, ["load", "export", "convert", "quantize"]),
    ],
)
def test_onnx_program_agrees_with_its_model(
    workshop: Workshop, model: str, precision: str, least_db: float, calibrated: int | None, stages: list[str]
) -> None:
    pytest.importorskip("onnxruntime")
    lowered = check(workshop, model, precision, "onnxruntime", least_db)
    assert lowered.calibration_count == calibrated
    assert [stage.name for stage in lowered.stages] == stages
    quantized = any(op.endswith(("QuantizeLinear", "Integer")) for op in operators(lowered))
    assert quantized == (precision != "fp32")


@pytest.mark.parametrize(("precision", "least_db", "most_bytes"), [("fp32", 60, 15_000_000), ("int8", 8, 4_500_000)])
def test_mobilenet_v2_on_onnx_runtime(workshop: Workshop, precision: str, least_db: float, most_bytes: int) -> None:
    pytest.importorskip("onnxruntime")
    bundle = workshop.bundle("mobilenet_v2", weights="synthetic")
    lowered = workshop.lower("mobilenet_v2", bundle, precision, "onnxruntime")
    reference = Bundle.open(Path(bundle.path), "mobilenet_v2").reference()
    assert sqnr_db(reference, outputs_of(lowered, bundle, "mobilenet_v2", "onnxruntime")) > least_db
    assert lowered.artifact.size_bytes < most_bytes


def operators(lowered: LowerResult) -> list[str]:
    onnx = pytest.importorskip("onnx")
    return [node.op_type for node in onnx.load(lowered.path).graph.node]


def test_module_kept_in_fp32_is_not_quantized_by_onnx_runtime(workshop: Workshop) -> None:
    pytest.importorskip("onnxruntime")
    bundle = workshop.bundle(CONVOLUTIONAL)
    whole = workshop.lower(CONVOLUTIONAL, bundle, "int8", "onnxruntime")
    # BatchNorm is fused into the convolution, which must be kept all the same.
    kept = workshop.lower(CONVOLUTIONAL, bundle, "int8", "onnxruntime", keep_fp32=("convolution",))
    assert inputs_of_convolution(whole) == {"DequantizeLinear"}
    assert "DequantizeLinear" not in inputs_of_convolution(kept)
    assert "QuantizeLinear" in operators(kept)
    with pytest.raises(PreparationError, match="quantizes nothing"):
        workshop.lower(CONVOLUTIONAL, bundle, "int8", "onnxruntime", keep_fp32=("convolution", "head"))


def inputs_of_convolution(lowered: LowerResult) -> set[str]:
    graph = pytest.importorskip("onnx").load(lowered.path).graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    (convolution,) = (node for node in graph.node if node.op_type == "Conv")
    return {makers.get(name, "") for name in convolution.input[:2]}


def test_onnx_runtime_uses_the_requested_number_of_threads(workshop: Workshop) -> None:
    pytest.importorskip("onnxruntime")
    bundle = workshop.bundle(CONVOLUTIONAL)
    lowered = workshop.lower(CONVOLUTIONAL, bundle, "fp32", "onnxruntime")
    before = threads_of_this_process()
    one = load_program(Path(lowered.path), "onnxruntime", 1)
    assert threads_of_this_process() == before
    three = load_program(Path(lowered.path), "onnxruntime", 3)
    assert threads_of_this_process() == before + 2
    with pytest.raises(BaselineFailure, match="1 input"):
        three.fit([])
    assert one.program_load_ms > 0 and one.method_load_ms is None


def threads_of_this_process() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


COUNTING = """
import torch
from torch import nn

class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, values):
        self.calls += 1
        return self.inner(values) + self.calls

def counting():
    return Counting(), (torch.randn(2, 4),)

def half():
    return nn.Linear(4, 4).bfloat16(), (torch.randn(2, 4).bfloat16(),)
"""


@pytest.mark.parametrize(("factory", "problem"), [("counting", "buffer calls"), ("half", "FP32 weights")])
def test_model_that_another_runtime_cannot_represent_is_refused(
    workshop: Workshop, tmp_path: Path, factory: str, problem: str
) -> None:
    source = tmp_path / "models.py"
    source.write_text(COUNTING)
    model = f"{source}:{factory}"
    with pytest.raises(PreparationError, match=problem):
        workshop.lower(model, workshop.bundle(model), "fp32", "onnxruntime")


def test_file_that_is_not_a_program_is_reported(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    damaged = tmp_path / "program.onnx"
    damaged.write_bytes(b"not a model")
    with pytest.raises(BaselineFailure, match=r"program\.onnx"):
        load_program(damaged, "onnxruntime", 1)
    with pytest.raises(BaselineFailure, match=r"program\.so"):
        load_program(damaged.rename(tmp_path / "program.so"), "compile", torch.get_num_threads())


needs_converter = pytest.mark.skipif(
    converter_problem() is not None, reason="no environment with litert-torch is named by ETUI_LITERT_PYTHON"
)


@needs_converter
@pytest.mark.parametrize(
    ("model", "precision", "least_db", "calibrated"),
    [
        (CONVOLUTIONAL, "fp32", 80, None),
        (INDEXED, "fp32", 80, None),
        (CONVOLUTIONAL, "int8", 20, 2),
        (CONVOLUTIONAL, "int8-static-per-tensor", 15, 2),
        (INDEXED, "int8", 20, None),
    ],
)
def test_litert_program_agrees_with_its_model(
    workshop: Workshop, model: str, precision: str, least_db: float, calibrated: int | None
) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    lowered = check(workshop, model, precision, "litert", least_db)
    assert [stage.name for stage in lowered.stages] == ["load", "export", "convert"]
    assert lowered.calibration_count == calibrated
    program = interpreter.Interpreter(model_path=lowered.path)
    assert any(each["dtype"].__name__ == "int8" for each in program.get_tensor_details()) == (precision != "fp32")
    assert not any(each["dtype"].__name__ == "int8" for each in program.get_input_details())


@needs_converter
def test_modules_kept_in_fp32_are_refused_by_litert(workshop: Workshop) -> None:
    bundle = workshop.bundle(CONVOLUTIONAL)
    with pytest.raises(PreparationError, match=r"kept in FP32 \(head\)"):
        workshop.lower(CONVOLUTIONAL, bundle, "int8", "litert", keep_fp32=("head",))


@pytest.mark.skipif(compiler_problem() is not None, reason="there is no C++ compiler")
def test_compiled_program_agrees_with_its_model(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    threads = torch.get_num_threads()
    try:
        lowered = check(workshop, INDEXED, "fp32", "compile", 80)
        assert [stage.name for stage in lowered.stages] == ["load", "export", "compile"]
        with pytest.raises(BaselineFailure, match="threads"):
            load_program(Path(lowered.path), "compile", torch.get_num_threads() + 1)
        assert "TORCHINDUCTOR_CACHE_DIR" not in os.environ
    finally:
        torch.set_num_threads(threads)
    assert compiler_version()
