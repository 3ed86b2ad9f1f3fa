"""The delegates, and the other runtimes to compare with: one record of facts for each, and whether this machine can
export for it and run it.

How a delegate partitions, quantizes and runs is in ``etui.engine.delegates``. A baseline (``BASELINES``) is a runtime
that a user may choose instead of ExecuTorch. It is a variant of a session like any delegate: the same precisions, the
same blocks, threads and accuracy check; only its programs are made and executed by another library.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Literal

import msgspec

from etui.host.compiler import compiler_problem
from etui.host.cuda import cuda_problem
from etui.host.litert_converter import converter_problem

_EXECUTORCH = "pip install 'executorch==1.5.*'"


class DelegateRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a delegate without importing its tools.

    ``support`` is what etui can do with it: run its programs on this kind of machine, only export them, or nothing;
    then ``reason`` and ``what_to_do`` say why and what else to use. ``runs_on`` is where exported programs run.
    ``modules`` are the Python modules it needs in addition to ExecuTorch, ``install`` the command that installs them.
    """

    name: str
    title: str
    support: Literal["run", "export", "none"]
    runs_on: str = ""
    modules: tuple[str, ...] = ()
    install: str = ""
    reason: str = ""
    what_to_do: str = "choose xnnpack, portable or openvino"

    packages: tuple[str, ...] = ()
    """The packages whose versions are stored with every run, and are part of the key of every cached program: adding
    one to a record invalidates the program cache where the package is installed."""

    backend: str = ""
    """The id of its backend in programs."""

    backend_hint: str = ""
    """How to run a program that needs the backend."""

    missing_library_hint: str = ""
    """What to do if the backend is missing although ``modules`` are installed."""

    other_names: tuple[str, ...] = ()
    """Names for which it is suggested: what it is also called, and what has its purpose in other tools."""

    precisions: tuple[str, ...] = ()
    """The only precisions it supports; empty for no such limit."""

    recipes: tuple[str, ...] = ()
    """The only common recipes (see ``etui.catalog.precisions.recipe``) that it supports in its own way; empty for no
    limit."""

    recipes_reason: str = ""
    """Why a configuration with another recipe is refused."""

    unsupported: dict[str, str] = {}
    """Precisions that it does not support, each with the reason."""

    has_8da4w_kernels: bool = False
    """Whether it has kernels for 4-bit weights with dynamic 8-bit activations."""

    int8_recipe: str = ""
    """The recipe of its own quantizer for all int8 precisions; empty if it uses the common recipes."""

    recipe_by_model_kind: bool = False
    """Whether ``int8_recipe`` depends on the kind of model: ``-convolutional``, ``-transformer`` or ``-auto``."""

    arithmetic_depends_on_cpu: bool = False
    """Whether the CPU's features decide the arithmetic of its programs, and so are part of their keys."""

    relative_latency: float = 1.0
    """The typical latency of an FP32 program relative to eager, for time estimates before there are runs."""

    log_noise: tuple[str, ...] = ()
    """The beginnings of lines that its backend prints at every start, which are not logged."""

    loggers: tuple[str, ...] = ()
    """The Python loggers of its tools, which are limited to errors."""

    runtime: str = ""
    """For a baseline: the name of the runtime that executes its programs instead of ExecuTorch."""

    program: str = "program.pte"
    """The name of its program's file in a cache entry; the suffix is that of exported programs."""

    own_packages: tuple[str, ...] = ()
    """The packages whose versions are stored only with its runs and are part of the keys of its programs only."""

    needs_compiler: bool = False
    """Whether preparing its programs needs a C++ compiler, whose version is then part of their keys."""

    needs_cuda: bool = False
    """Whether it is eager PyTorch on an NVIDIA GPU: it is listed only where there is one, and has no program."""

    needs_converter: bool = False
    """Whether preparing its programs needs litert-torch, whose version is then part of their keys."""

    recipe_prefix: str = ""
    """The prefix of the names of the common int8 recipes if it implements them with a quantizer of its own."""

    depends_on_threads: bool = False
    """Whether its programs are compiled for a number of threads, which is then part of their keys."""

    @property
    def is_baseline(self) -> bool:
        """Whether it is a runtime to compare ExecuTorch with."""
        return bool(self.runtime)

    @property
    def suffix(self) -> str:
        """The suffix of its programs, such as ``.pte``."""
        return "." + self.program.rpartition(".")[2]


_RECORDS = (
    DelegateRecord(
        name="xnnpack",
        title="XNNPACK, optimized CPU kernels",
        other_names=("cpu", "tflite", "litert", "onnx", "onnxruntime", "ort", "arm"),
        support="run",
        backend="XnnpackBackend",
        backend_hint=f"included in every CPU build of ExecuTorch: {_EXECUTORCH}",
        has_8da4w_kernels=True,
        relative_latency=0.7,
    ),
    DelegateRecord(
        name="portable",
        title="no delegate: ExecuTorch's own kernels (undelegated, slow convolutions)",
        other_names=("none", "eager", "cpp"),
        support="run",
        relative_latency=200.0,
    ),
    DelegateRecord(
        name="openvino",
        title="OpenVINO, Intel CPU",
        other_names=("intel", "ov"),
        support="run",
        modules=("openvino", "nncf"),
        install="pip install openvino nncf",
        packages=("openvino", "nncf"),
        backend="OpenvinoBackend",
        backend_hint="pip install openvino nncf",
        missing_library_hint="OpenVINO is installed, but ExecuTorch did not find its library: set OPENVINO_LIB_PATH",
        unsupported={
            "int8-dynamic": "OpenVINO's quantizer is static; choose int8",
            "int8-static-per-tensor": "OpenVINO's quantizer always scales weights per channel; choose int8",
        },
        int8_recipe="nncf-int8-static",
        recipe_by_model_kind=True,
        arithmetic_depends_on_cpu=True,
        relative_latency=0.4,
        log_noise=("[OpenvinoBackend.cpp:98] OpenVINO: runtime loaded",),
        loggers=("nncf", "openvino"),
    ),
    DelegateRecord(
        name="coreml",
        title="Core ML, Apple devices",
        other_names=("apple", "ane", "ios"),
        support="export",
        runs_on="Apple devices",
        modules=("coremltools",),
        install="pip install coremltools",
        backend="CoreMLBackend",
        backend_hint="run it on an Apple device",
        precisions=("fp32", "fp16"),
    ),
    DelegateRecord(
        name="vulkan",
        title="Vulkan, Android GPUs",
        other_names=("gpu", "android", "opengl", "opencl"),
        support="export",
        runs_on="a device with a Vulkan build of ExecuTorch",
        backend="VulkanBackend",
        backend_hint="run it on a device with a Vulkan build of ExecuTorch",
        precisions=("fp32", "fp16"),
    ),
    DelegateRecord(
        name="webgpu",
        title="WebGPU, browsers",
        support="export",
        runs_on="a WebGPU build of ExecuTorch",
        backend="WebGPUBackend",
        backend_hint="run it in a WebGPU build of ExecuTorch",
        precisions=("fp32", "fp16"),
    ),
    DelegateRecord(
        name="ethos-u",
        title="Arm Ethos-U NPUs",
        other_names=("ethosu", "ethos", "npu"),
        support="export",
        runs_on="an Ethos-U NPU",
        modules=("tosa_serializer", "ethosu"),
        install="pip install 'executorch[ethos-u]'",
        backend="EthosUBackend",
        backend_hint="run it on a device with an Arm Ethos-U NPU",
        recipes=("int8-static", "int8-auto"),
        recipes_reason="Ethos-U supports only static int8 quantization",
        int8_recipe="arm-int8-static",
    ),
    DelegateRecord(
        name="nnapi",
        title="Android NNAPI",
        support="none",
        reason="ExecuTorch has no NNAPI delegate",
        what_to_do="choose xnnpack or vulkan for Android",
    ),
    DelegateRecord(
        name="qnn",
        title="Qualcomm AI Engine",
        other_names=("qualcomm", "htp", "hexagon", "snapdragon"),
        support="none",
        reason="it needs Qualcomm's SDK and a build of ExecuTorch with it",
        backend="QnnBackend",
        backend_hint="run it on a Qualcomm device with its AI Engine libraries",
    ),
    DelegateRecord(
        name="mediatek",
        title="MediaTek NeuroPilot",
        other_names=("neuropilot",),
        support="none",
        reason="it needs MediaTek's SDK and a build of ExecuTorch with it",
        backend="NeuropilotBackend",
        backend_hint="run it on a MediaTek device with NeuroPilot",
    ),
    DelegateRecord(
        name="samsung",
        title="Samsung Exynos",
        other_names=("exynos",),
        support="none",
        reason="it needs Samsung's SDK and a build of ExecuTorch with it",
        backend="EnnBackend",
        backend_hint="run it on a Samsung Exynos device",
    ),
    DelegateRecord(
        name="nxp",
        title="NXP eIQ Neutron",
        support="none",
        reason="it needs NXP's converter and a build of ExecuTorch with it",
        backend="NeutronBackend",
        backend_hint="run it on an NXP device with a Neutron NPU",
    ),
    DelegateRecord(
        name="executorch-cuda",
        title="ExecuTorch's CUDA delegate, NVIDIA GPUs",
        other_names=("nvidia", "tensorrt", "trt"),
        support="none",
        reason="it needs a CUDA build of torch and of ExecuTorch",
        backend="CudaBackend",
        backend_hint="use a CUDA build of ExecuTorch on a machine with an NVIDIA GPU",
    ),
    DelegateRecord(
        name="metal",
        title="Apple Metal",
        other_names=("mps",),
        support="none",
        reason="it needs macOS and a build of ExecuTorch with it",
        backend="MetalBackend",
        backend_hint="run it on an Apple device with a Metal build of ExecuTorch",
    ),
    DelegateRecord(
        name="mlx",
        title="Apple MLX",
        support="none",
        reason="it needs macOS on Apple silicon and a build of ExecuTorch with it",
        backend="MLXBackend",
        backend_hint="run it on an Apple device with an MLX build of ExecuTorch",
    ),
)

_BASELINES = (
    DelegateRecord(
        name="compile",
        title="torch.compile's Inductor, compiled ahead of time to C++ (AOTInductor)",
        support="run",
        runtime="AOTInductor",
        program="program.so",
        needs_compiler=True,
        precisions=("fp32",),
        arithmetic_depends_on_cpu=True,
        depends_on_threads=True,
        relative_latency=0.9,
        loggers=("torch._inductor", "torch._dynamo"),
    ),
    DelegateRecord(
        name="onnxruntime",
        title="ONNX Runtime on the exported ONNX model, with its own quantizer",
        support="run",
        runtime="ONNX Runtime",
        program="program.onnx",
        modules=("onnx", "onnxruntime", "onnxscript"),
        install="pip install onnx onnxruntime onnxscript",
        own_packages=("onnx", "onnxruntime", "onnxscript"),
        unsupported={"fp16": "ONNX Runtime has no FP16 kernels for CPUs; choose fp32 or int8"},
        recipe_prefix="ort-",
        relative_latency=0.6,
        loggers=("onnxscript", "onnx_ir", "torch.onnx"),
    ),
    DelegateRecord(
        name="litert",
        title="LiteRT (TensorFlow Lite), converted and quantized in an environment with litert-torch",
        support="run",
        runtime="LiteRT",
        program="program.tflite",
        modules=("ai_edge_litert",),
        install="pip install ai-edge-litert",
        own_packages=("ai-edge-litert",),
        needs_converter=True,
        unsupported={"fp16": "LiteRT programs are made only in fp32 and int8 here; choose one of them"},
        recipe_prefix="litert-",
        relative_latency=0.7,
        log_noise=("INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",),
    ),
    *(
        DelegateRecord(
            name=name,
            title=f"eager PyTorch on an NVIDIA GPU, {arithmetic}",
            support="run",
            runtime="PyTorch on CUDA",
            program="program.json",
            needs_cuda=True,
            precisions=(precision,),
            relative_latency=0.1,
        )
        for name, precision, arithmetic in (
            ("cuda", "fp32", "in FP32 without TF32"),
            ("cuda-tf32", "fp32", "in FP32 with TF32"),
            ("cuda-fp16", "fp16", "in FP16"),
            ("cuda-bf16", "fp32", "weights and inputs converted to BF16"),
        )
    ),
)

RECORDS: dict[str, DelegateRecord] = {record.name: record for record in (*_RECORDS, *_BASELINES)}
"""Every delegate by its name, in display order: those that can run here first; then the baselines."""

BASELINES: tuple[str, ...] = tuple(record.name for record in _BASELINES)
"""The runtimes that ExecuTorch can be compared with in a session, in addition to eager."""

PACKAGES: tuple[str, ...] = tuple(package for record in _RECORDS for package in record.packages)
"""The packages of delegates whose versions are stored with runs and are part of program keys."""

RUNNABLE: tuple[str, ...] = tuple(record.name for record in _RECORDS if record.support == "run")
"""The delegates whose programs run on this kind of machine, if their packages are installed."""


OWN_PACKAGES: tuple[str, ...] = tuple(package for record in _BASELINES for package in record.own_packages)
"""The packages that are stored with, and are part of the keys of, the programs of one baseline only."""


def program_file(delegate: str) -> str:
    """Return the name of a program's file in a cache entry, for a delegate, a baseline or ``as-is``."""
    record = RECORDS.get(delegate)
    return record.program if record is not None else "program.pte"


def runtime_of(delegate: str) -> str:
    """Return the name of the runtime that executes the programs of a delegate or baseline."""
    record = RECORDS.get(delegate)
    return record.runtime if record is not None and record.runtime else "ExecuTorch"


class Delegate(msgspec.Struct, frozen=True, kw_only=True):
    """One delegate and its availability on this machine. ``reason`` is why it does not run (or export) here, empty if
    it does both; ``what_to_do`` is the next step, if there is one. ``baseline`` marks another runtime than ExecuTorch.
    """

    name: str
    title: str
    runs_here: bool
    exports_here: bool
    reason: str = ""
    what_to_do: str = ""
    baseline: bool = False


@cache
def delegates() -> dict[str, Delegate]:
    """Return every delegate by its name, those that run here first. Finds installed packages without importing them."""
    runtime = _installed("executorch")
    return {record.name: _availability(record, runtime) for record in _RECORDS}


def baselines() -> dict[str, Delegate]:
    """Return every baseline besides eager by its name. Finds installed packages without importing them."""
    return {name: baseline(name) for name in BASELINES}


@cache
def baseline(name: str) -> Delegate:
    """Return one baseline by its name."""
    return _baseline_availability(RECORDS[name])


def needs_gpu(delegate: str) -> bool:
    """Whether a delegate or baseline is executed by a GPU."""
    record = RECORDS.get(delegate)
    return record is not None and record.needs_cuda


def runs_on_cpu(delegate: str) -> bool:
    """Whether the programs of a delegate or baseline are certainly executed by the CPU, on whatever machine; False for
    names that are not known, as imported runs may have."""
    record = RECORDS.get(delegate)
    return record is not None and record.support == "run" and not record.needs_cuda


def is_listed(name: str) -> bool:
    """Whether a delegate or baseline appears in lists: those that need a GPU only where they can be run."""
    return not RECORDS[name].needs_cuda or baseline(name).runs_here


def missing_modules(record: DelegateRecord) -> list[str]:
    """Return those of a delegate's modules that are not installed."""
    return [module for module in record.modules if not _installed(module)]


def _installed(*modules: str) -> bool:
    return all(find_spec(module) is not None for module in modules)


def _baseline_availability(record: DelegateRecord) -> Delegate:
    problem: tuple[str, str] | None = None
    if missing := missing_modules(record):
        problem = f"not installed: {', '.join(missing)}", record.install
    elif record.needs_compiler:
        problem = compiler_problem()
    elif record.needs_converter:
        problem = converter_problem()
    elif record.needs_cuda:
        problem = cuda_problem()
    reason, what_to_do = problem or ("", "")
    return Delegate(
        name=record.name,
        title=record.title,
        runs_here=not reason,
        exports_here=not reason,
        reason=reason,
        what_to_do=what_to_do,
        baseline=True,
    )


def _availability(record: DelegateRecord, runtime: bool) -> Delegate:
    runs = exports = False
    reason, what_to_do = record.reason, record.what_to_do
    if record.support == "run":
        runs = exports = runtime and _installed(*record.modules)
        reason, what_to_do = "", ""
        if not runs and record.modules:
            reason = f"the packages {' and '.join(record.modules)} are not both installed"
            what_to_do = record.install
        elif not runs:
            reason, what_to_do = "executorch is not installed", _EXECUTORCH
    elif record.support == "export":
        exports = _installed(*record.modules)
        missing = "" if exports else f"; its tools are not installed ({', '.join(record.modules)})"
        reason = f"its programs run only on {record.runs_on}; this machine can only export them{missing}"
        what_to_do = f"etui run MODEL --delegate {record.name} --export-only -o DIR" if exports else record.install
    return Delegate(
        name=record.name,
        title=record.title,
        runs_here=runs,
        exports_here=exports,
        reason=reason,
        what_to_do=what_to_do,
    )
