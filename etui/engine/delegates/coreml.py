"""Core ML: Apple devices; export only."""

from __future__ import annotations

import importlib
from typing import Any

from etui.engine.delegates.base import DelegateSupport


class _CoreMl(DelegateSupport):
    prints_while_lowering = True  # progress bars

    def make_partitioners(self, precision: str) -> list[Any]:
        from executorch.backends.apple.coreml.compiler import CoreMLBackend
        from executorch.backends.apple.coreml.partition import CoreMLPartitioner

        # By default Core ML computes an FP32 graph in 16 bits.
        kinds = importlib.import_module("coremltools").precision
        kind = kinds.FLOAT16 if precision == "fp16" else kinds.FLOAT32
        return [CoreMLPartitioner(compile_specs=CoreMLBackend.generate_compile_specs(compute_precision=kind))]


DELEGATE = _CoreMl("coreml")
