"""The delegates: whether this machine can export for each and run it, and if not, the reason and the next step."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import msgspec


class Delegate(msgspec.Struct, frozen=True, kw_only=True):
    """One delegate and its availability on this machine. ``reason`` is why it does not run (or export) here, empty if
    it does both; ``what_to_do`` is the next step, if there is one."""

    name: str
    title: str
    runs_here: bool
    exports_here: bool
    reason: str = ""
    what_to_do: str = ""


def _installed(*modules: str) -> bool:
    return all(find_spec(module) is not None for module in modules)


def _export_only(name: str, title: str, target: str, tools: tuple[str, ...], install: str) -> Delegate:
    exports = _installed(*tools)
    missing = "" if exports else f"; its tools are not installed ({', '.join(tools)})"
    return Delegate(
        name=name,
        title=title,
        runs_here=False,
        exports_here=exports,
        reason=f"its programs run only on {target}; this machine can only export them{missing}",
        what_to_do=f"etui run MODEL --delegate {name} --export-only -o DIR" if exports else install,
    )


def _not_here(name: str, title: str, reason: str, what_to_do: str = "choose xnnpack, portable or openvino") -> Delegate:
    return Delegate(name=name, title=title, runs_here=False, exports_here=False, reason=reason, what_to_do=what_to_do)


@cache
def delegates() -> dict[str, Delegate]:
    """Return every delegate by its name, those that run here first. Finds installed packages without importing them."""
    runtime = _installed("executorch")
    no_runtime = "" if runtime else "executorch is not installed"
    install = "" if runtime else "pip install 'executorch==1.5.*'"
    openvino = runtime and _installed("openvino", "nncf")
    listed = [
        Delegate(
            name="xnnpack",
            title="XNNPACK, optimized CPU kernels",
            runs_here=runtime,
            exports_here=runtime,
            reason=no_runtime,
            what_to_do=install,
        ),
        Delegate(
            name="portable",
            title="no delegate: ExecuTorch's own kernels (undelegated, slow convolutions)",
            runs_here=runtime,
            exports_here=runtime,
            reason=no_runtime,
            what_to_do=install,
        ),
        Delegate(
            name="openvino",
            title="OpenVINO, Intel CPU",
            runs_here=openvino,
            exports_here=openvino,
            reason="" if openvino else "the packages openvino and nncf are not both installed",
            what_to_do="" if openvino else "pip install openvino nncf",
        ),
        _export_only("coreml", "Core ML, Apple devices", "Apple devices", ("coremltools",), "pip install coremltools"),
        _export_only("vulkan", "Vulkan, Android GPUs", "a device with a Vulkan build of ExecuTorch", (), ""),
        _export_only("webgpu", "WebGPU, browsers", "a WebGPU build of ExecuTorch", (), ""),
        _export_only(
            "ethos-u",
            "Arm Ethos-U NPUs",
            "an Ethos-U NPU",
            ("tosa_serializer", "ethosu"),
            "pip install 'executorch[ethos-u]'",
        ),
        _not_here("nnapi", "Android NNAPI", "ExecuTorch has no NNAPI delegate", "choose xnnpack or vulkan for Android"),
        _not_here("qnn", "Qualcomm AI Engine", "it needs Qualcomm's SDK and a build of ExecuTorch with it"),
        _not_here("mediatek", "MediaTek NeuroPilot", "it needs MediaTek's SDK and a build of ExecuTorch with it"),
        _not_here("samsung", "Samsung Exynos", "it needs Samsung's SDK and a build of ExecuTorch with it"),
        _not_here("nxp", "NXP eIQ Neutron", "it needs NXP's converter and a build of ExecuTorch with it"),
        _not_here("cuda", "NVIDIA CUDA", "it needs a CUDA build of torch and of ExecuTorch"),
        _not_here("metal", "Apple Metal", "it needs macOS and a build of ExecuTorch with it"),
        _not_here("mlx", "Apple MLX", "it needs macOS on Apple silicon and a build of ExecuTorch with it"),
    ]
    return {delegate.name: delegate for delegate in listed}
