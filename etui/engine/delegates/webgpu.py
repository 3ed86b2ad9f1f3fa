"""WebGPU: browsers; export only."""

from __future__ import annotations

from typing import Any

from etui.engine.delegates.base import DelegateSupport


class _WebGpu(DelegateSupport):
    def make_partitioners(self, precision: str) -> list[Any]:
        from executorch.backends.webgpu.partitioner.partitioner import WebGPUPartitioner

        return [WebGPUPartitioner()]


DELEGATE = _WebGpu("webgpu")
