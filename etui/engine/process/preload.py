"""Import what a fork server's workers need, without starting a thread, because the fork server forks afterwards."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterable, Iterator

from etui.engine.process.silence import quiet

_MEASURING = (
    "etui.engine.models.bundle",
    "etui.engine.measure.latency",
    "etui.engine.measure.memory",
    "etui.engine.measure.accuracy",
    "etui.engine.profile.program",
    "etui.engine.profile.eager",
)

_PREPARING = (
    "numpy",
    "safetensors.torch",
    "executorch.kernels.quantized",
    "executorch.exir",
    "executorch.exir._serialize._program",
    "torchao.quantization.pt2e.quantize_pt2e",
    "torchvision.models",
    "etui.engine.lowering.lower",
)


def preload_measure(sources: Iterable[str]) -> None:
    """Import what measuring needs, and the code of models of these sources.

    A source is that of a catalog entry (``transformers:openai-community/gpt2``), or only its kind; others are ignored.
    """
    quiet()
    _import("torch")
    from etui.catalog.delegates import RUNNABLE
    from etui.engine.delegates import delegate_support
    from etui.engine.models.diffusion_models import CODE
    from etui.engine.models.torchvision_shim import deferred_import, prepare_torchvision

    for name in RUNNABLE:
        delegate_support(name)
    _import("numpy", "safetensors.torch", *_MEASURING)
    for source in sources:
        kind = source.partition(":")[0]
        if kind in {"torchvision", "timm", "transformers", "diffusers"}:
            prepare_torchvision()
        if kind == "torchvision":
            with deferred_import("torch._dynamo.utils", "is_compile_supported"):
                _import("torchvision.models")
        elif kind == "timm":
            _import("timm")
        elif kind == "diffusers":
            _import(CODE)
        elif kind == "transformers":
            _import("transformers.modeling_utils", "transformers.initialization", *_code_of(source))


def preload_prepare() -> None:
    """Import the ahead-of-time code: export, the common quantizers and partitioners, torchao, quantized kernels."""
    quiet()
    _import("torch")
    from etui.catalog.delegates import RUNNABLE
    from etui.engine.delegates import delegate_support
    from etui.engine.models.torchvision_shim import prepare_torchvision

    prepare_torchvision()
    _import(*_PREPARING, *(module for name in RUNNABLE for module in delegate_support(name).preloaded))


def _code_of(source: str) -> list[str]:
    from etui.catalog.models import MODELS

    codes = [entry.builder.code for entry in MODELS.values() if entry.source == source and entry.builder is not None]
    return [f"transformers.models.{code}.modeling_{code}" for code in codes]


def _import(*names: str) -> None:
    with gpus_hidden():
        for name in names:
            importlib.import_module(name)


@contextlib.contextmanager
def gpus_hidden() -> Iterator[None]:
    """Let torch find no GPU within this context, without asking the driver.

    torchao and others ask for the GPU when they are imported, which would initialize CUDA in this process; a worker
    that is forked from it could then not use the GPU.
    """
    hiding = {"CUDA_VISIBLE_DEVICES": "", "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
    before = {name: os.environ.get(name) for name in hiding}
    os.environ.update(hiding)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
