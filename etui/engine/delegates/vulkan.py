"""Vulkan: GPUs of Android devices; export only."""

from __future__ import annotations

from typing import Any

from etui.engine.delegates.base import DelegateSupport


class _Vulkan(DelegateSupport):
    def make_partitioners(self, precision: str) -> list[Any]:
        from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

        return [VulkanPartitioner()]


DELEGATE = _Vulkan("vulkan")
