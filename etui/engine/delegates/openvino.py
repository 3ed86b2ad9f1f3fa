"""OpenVINO: Intel CPUs, with NNCF's quantizer."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from etui.engine.delegates.base import DelegateSupport, Quantizer, QuantizerOptions
from etui.errors import PreparationError

_ARITHMETIC = {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}


class _OpenVino(DelegateSupport):
    prints_while_lowering = True  # a line for every undelegated node
    load_from_memory = True  # loaded by path, a program crashes with a segmentation fault when first executed

    def make_partitioners(self, precision: str) -> list[Any]:
        from executorch.backends.openvino.partitioner import OpenvinoPartitioner
        from executorch.exir.backend.backend_details import CompileSpec

        return [OpenvinoPartitioner([CompileSpec("device", b"CPU")])]

    def quantizer(self, options: QuantizerOptions) -> Quantizer:
        try:
            from executorch.backends.openvino.quantizer import OpenVINOQuantizer, QuantizationMode
        except ImportError as error:
            message = f"OpenVINO's quantizer cannot be imported: {error}"
            raise PreparationError(message, self.record.install) from error
        recipe = options.recipe
        transformer = recipe.endswith("transformer") or (recipe.endswith("auto") and not options.convolutional)
        quantizer = OpenVINOQuantizer(
            mode=QuantizationMode.INT8_TRANSFORMER if transformer else QuantizationMode.INT8_SYM
        )
        ignored = [node.name for node in options.exported.graph.nodes if options.is_kept(node)]
        if ignored:
            # Folding BatchNorm removes some of these nodes before the quantizer searches for them.
            quantizer.set_ignored_scope(names=ignored, validate=False)
        return Quantizer(quantizer, fold=False)

    def real_arithmetic(self, precision: str) -> str | None:
        """Return bfloat16 if OpenVINO computes in it whatever the precision.

        On a CPU with bfloat16 instructions it does so with FP32 and FP16 programs, according to its property
        INFERENCE_PRECISION_HINT. In quantized programs this applies only to operators that are not quantized.
        """
        if precision not in _ARITHMETIC.values():
            return None
        import openvino

        hint = openvino.Core().get_property("CPU", "INFERENCE_PRECISION_HINT")
        name = _ARITHMETIC.get(hint.get_type_name())
        return None if name == precision else name

    def prepare_runtime(self) -> None:
        """Set OPENVINO_LIB_PATH to the C library of the pip package, as ``executorch.runtime`` does."""
        if os.environ.get("OPENVINO_LIB_PATH"):
            return
        spec = importlib.util.find_spec("openvino")
        for folder in (spec.submodule_search_locations or []) if spec else []:
            libraries = sorted(Path(folder, "libs").glob("libopenvino_c.so*"))
            if libraries:
                os.environ["OPENVINO_LIB_PATH"] = str(libraries[0])
                return


DELEGATE = _OpenVino("openvino")
