"""ONNX Runtime: torch's ONNX exporter, ONNX Runtime's quantizer, and an inference session on the CPU."""

from __future__ import annotations

import ast
import contextlib
import io
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from etui.engine.delegates.base import BaselineFailure, BaselineSupport, BaselineWork, Executable
from etui.engine.explain.error_text import first_line
from etui.errors import PreparationError
from etui.text import counted, size

if TYPE_CHECKING:
    import numpy

    Feeds = dict[str, numpy.ndarray[Any, Any]]

_LINEAR = ["MatMul", "Gemm"]
_SCOPES = "pkg.torch.onnx.name_scopes"
_QUANTIZED = ("QuantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv")
_ERRORS_ONLY = 3


class _OnnxProgram:
    """An inference session on the CPU with a fixed number of threads."""

    method_load_ms: float | None = None

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        start = time.perf_counter()
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise BaselineFailure(
                f"ONNX Runtime cannot load {path.name}: {first_line(error)}", "measure without the program cache"
            ) from error
        self.program_load_ms = (time.perf_counter() - start) * 1e3
        used = self._session.get_session_options().intra_op_num_threads
        if used != threads:
            raise BaselineFailure(f"{threads} threads were requested, but ONNX Runtime uses {used}")
        self._names = [each.name for each in self._session.get_inputs()]

    def fit(self, inputs: Sequence[torch.Tensor]) -> Feeds:
        if len(inputs) != len(self._names):
            raise BaselineFailure(
                f"the ONNX model takes {counted(len(self._names), 'input')}, but {len(inputs)} were given"
            )
        return {name: tensor.contiguous().numpy() for name, tensor in zip(self._names, inputs, strict=True)}

    def __call__(self, inputs: Feeds) -> list[Any]:
        outputs: list[Any] = self._session.run(None, inputs)
        return outputs

    def tensors(self, outputs: list[Any]) -> list[torch.Tensor]:
        return [torch.from_numpy(output) for output in outputs]


class _OnnxRuntime(BaselineSupport):
    def prepare(self, work: BaselineWork) -> int | None:
        if work.recipe == "fp32":
            self._convert(work, work.target)
            return None
        static = work.recipe.startswith("int8-static")
        if static and not work.calibration:
            raise PreparationError(
                "static quantization needs at least one calibration input", "use a calibration count above zero"
            )
        with tempfile.TemporaryDirectory(dir=work.target.parent, prefix=".onnx-") as folder:
            converted = Path(folder, "fp32.onnx")
            self._convert(work, converted)
            with work.stage("quantize", f"quantizing to {work.recipe} with ONNX Runtime") as details, _silenced():
                _quantize(work, converted, static=static)
                details.append(f"calibrated on {counted(len(work.calibration), 'input')}" if static else "dynamic")
        return len(work.calibration) if static else None

    def _convert(self, work: BaselineWork, target: Path) -> None:
        try:
            import onnx  # noqa: F401
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise PreparationError(f"ONNX cannot be imported: {error}", self.record.install) from error
        with work.stage("convert", "converting to ONNX") as details, _silenced(), torch.no_grad():
            assert work.exported is not None
            program = torch.onnx.export(work.exported, (), dynamo=True, verbose=False)
            assert program is not None
            program.save(target)
            details.append(size(target.stat().st_size))

    def load(self, path: Path, threads: int) -> Executable:
        return _OnnxProgram(path, threads)


def _quantize(work: BaselineWork, converted: Path, *, static: bool) -> None:
    """Quantize with the settings that ONNX Runtime recommends for CPUs: QDQ format, symmetric 8-bit weights, one scale
    per channel unless the recipe is per tensor. The dynamic and ``-linear`` recipes quantize only linear layers, as the
    recipes of the other delegates do."""
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = onnx.load(converted)
    kept = [node.name for node in model.graph.node if any(map(work.is_kept, _modules_of(node)))]
    inputs = [each.name for each in model.graph.input]
    del model
    prepared = converted.with_name("prepared.onnx")
    # The exporter has already optimized the graph; optimizing it again loses the modules of its nodes.
    quant_pre_process(str(converted), str(prepared), skip_optimization=True, skip_symbolic_shape=True)
    if static:
        linear = work.recipe.endswith("-linear")
        quantization.quantize_static(
            str(prepared),
            str(work.target),
            _calibration(inputs, work.calibration),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel="per-tensor" not in work.recipe,
            op_types_to_quantize=_LINEAR if linear else None,
            nodes_to_exclude=kept,
        )
    else:
        quantization.quantize_dynamic(
            str(prepared), str(work.target), op_types_to_quantize=_LINEAR, per_channel=True, nodes_to_exclude=kept
        )
    if not any(node.op_type in _QUANTIZED for node in onnx.load(work.target, load_external_data=False).graph.node):
        raise PreparationError(
            "the recipe quantizes nothing in this model",
            "choose another precision, or keep fewer modules in FP32",
        )


def _modules_of(node: Any) -> Iterator[str]:
    """Yield the paths of the modules that a node belongs to: those that the exporter recorded, and that of its weights,
    because BatchNorm fused into a convolution is recorded as BatchNorm."""
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            with contextlib.suppress(ValueError, SyntaxError):
                yield from (str(scope) for scope in ast.literal_eval(entry.value)[:-1])
    for name in node.input:
        module, _, parameter = name.rpartition(".")
        if parameter in {"weight", "bias"}:
            yield module


def _calibration(names: Sequence[str], inputs: Sequence[tuple[torch.Tensor, ...]]) -> Any:
    """Return a reader of the calibration inputs."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(inputs)

        def get_next(self) -> Feeds | None:
            tensors = next(self._left, None)
            if tensors is None:
                return None
            return {name: tensor.contiguous().numpy() for name, tensor in zip(names, tensors, strict=True)}

    return Reader()


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Discard what the exporter and the quantizer print."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


DELEGATE = _OnnxRuntime("onnxruntime")
