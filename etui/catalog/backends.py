"""The backends that programs name: the delegate each belongs to, and how to get a runtime that has it."""

from __future__ import annotations

from etui.catalog.delegates import delegates

BACKENDS: dict[str, tuple[str, str]] = {
    "XnnpackBackend": ("xnnpack", "included in every CPU build of ExecuTorch: pip install 'executorch==1.5.*'"),
    "OpenvinoBackend": ("openvino", "pip install openvino nncf"),
    "VulkanBackend": ("vulkan", "run it on a device with a Vulkan build of ExecuTorch"),
    "CoreMLBackend": ("coreml", "run it on an Apple device"),
    "MLXBackend": ("mlx", "run it on an Apple device with an MLX build of ExecuTorch"),
    "MetalBackend": ("metal", "run it on an Apple device with a Metal build of ExecuTorch"),
    "QnnBackend": ("qnn", "run it on a Qualcomm device with its AI Engine libraries"),
    "NeuropilotBackend": ("mediatek", "run it on a MediaTek device with NeuroPilot"),
    "EnnBackend": ("samsung", "run it on a Samsung Exynos device"),
    "NeutronBackend": ("nxp", "run it on an NXP device with a Neutron NPU"),
    "EthosUBackend": ("ethos-u", "run it on a device with an Arm Ethos-U NPU"),
    "CudaBackend": ("cuda", "use a CUDA build of ExecuTorch on a machine with an NVIDIA GPU"),
    "VgfBackend": ("vgf", "run it on a device with Arm's ML extensions for Vulkan"),
    "WebGPUBackend": ("webgpu", "run it in a WebGPU build of ExecuTorch"),
}
"""The delegate of each backend id, and how to run a program that needs it."""


def hint_for(backend: str) -> str:
    """Return what to do if this machine lacks a backend."""
    name, hint = BACKENDS.get(backend, ("", f"use a build of ExecuTorch that has {backend}"))
    delegate = delegates().get(name)
    if delegate is not None and delegate.runs_here and name == "openvino":
        return "OpenVINO is installed, but ExecuTorch did not find its library: set OPENVINO_LIB_PATH"
    return hint
