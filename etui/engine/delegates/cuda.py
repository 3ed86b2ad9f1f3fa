"""Eager PyTorch on an NVIDIA GPU: the model's own module, with weights and inputs on the device.

A call is timed with CUDA events, which are recorded on the device before its first and after its last kernel. Its
inputs are on the device already and its outputs stay there, so no copy is included.
"""

from __future__ import annotations

import json
import operator
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map_only

from etui.engine.delegates.base import (
    BaselineFailure,
    BaselineSupport,
    BaselineWork,
    DeviceMemory,
    DeviceProgram,
    EagerModel,
)
from etui.text import size

T = TypeVar("T")

_NAMES = {torch.float16: "fp16", torch.bfloat16: "bf16"}


class Event(Protocol):
    """A point in the work of the device."""

    def record(self) -> None:
        """Record the event after the work that was requested before."""

    def synchronize(self) -> None:
        """Wait until the device has reached it."""

    def elapsed_time(self, end: Any, /) -> float:
        """Return the milliseconds of the device from this event to a later one."""


class Cuda:
    """What is used of ``torch.cuda``: the only place that needs a GPU."""

    place = "cuda"

    def __init__(self) -> None:
        # The order in which nvidia-smi counts, so that both mean the same GPU. CUDA reads it at its first use.
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        if not torch.cuda.is_available():
            raise BaselineFailure("torch cannot use a CUDA device", "see the GPU in etui doctor")

    def name(self) -> str:
        """Return the name of the GPU."""
        return torch.cuda.get_device_name()

    def event(self) -> Event:
        """Return a new event with a time."""
        made: Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        return made

    def synchronize(self) -> None:
        """Wait until the device has done everything."""
        torch.cuda.synchronize()

    def empty_cache(self) -> None:
        """Return memory to the device that torch keeps for later."""
        torch.cuda.empty_cache()

    def free_bytes(self) -> int:
        """Return the free memory of the device in bytes."""
        return int(torch.cuda.mem_get_info()[0])

    def memory_stats(self) -> dict[str, Any]:
        """Return the statistics of torch's allocator for the device."""
        return torch.cuda.memory_stats()


def set_tf32(on: bool) -> None:
    """Let matrix products and convolutions in FP32 use TF32, or not.

    Raises:
        BaselineFailure: torch did not accept the setting.
    """
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on
    if (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) != (on, on):
        raise BaselineFailure(f"torch did not switch TF32 {'on' if on else 'off'}")


class ModuleOnDevice(DeviceProgram):
    """A module on a device, converted to ``dtype`` unless that is None."""

    method_load_ms: float | None = None

    def __init__(self, model: EagerModel, dtype: torch.dtype | None, device: Cuda) -> None:
        """Move the module to the device.

        Raises:
            BaselineFailure: the weights do not fit.
        """
        self._device, self._dtype, self._model = device, dtype, model
        self.wall_ms: list[float] = []
        start = time.perf_counter()
        loaded = self._within_memory(lambda: model.eager().to(device=device.place, dtype=dtype))
        if loaded is None:
            free = size(device.free_bytes())
            raise BaselineFailure(
                f"the weights do not fit into the GPU's memory, {free} of which is free", "use a smaller model"
            )
        device.synchronize()
        self._module: nn.Module = loaded
        self.program_load_ms = (time.perf_counter() - start) * 1e3
        self._loaded_bytes = self._statistic("allocated_bytes.all.current")
        self._start, self._end = device.event(), device.event()

    @property
    def name(self) -> str:
        """The name of the device."""
        return self._device.name()

    def fit(self, inputs: Sequence[torch.Tensor]) -> Any:
        """Copy the inputs to the device, floating-point ones in its dtype."""
        place = self._device.place
        moved = self._within_memory(
            lambda: [
                tensor.contiguous().to(place, self._dtype if tensor.is_floating_point() else None) for tensor in inputs
            ]
        )
        if moved is None:
            raise BaselineFailure("the inputs do not fit into the GPU's memory", "use a smaller --batch")
        return self._model.structure.arguments(moved)

    def __call__(self, inputs: Any) -> Any:
        """Run once, and wait until the device is done. Raises BaselineFailure, with the batch size that fits, if there
        is too little memory."""
        outputs = self._run(inputs)
        self._device.synchronize()
        return outputs

    def timed(self, inputs: Any) -> float:
        """Run once between two events. Raises BaselineFailure like a call."""
        start = time.perf_counter_ns()
        self._start.record()
        self._run(inputs)
        self._end.record()
        self._end.synchronize()
        self.wall_ms.append((time.perf_counter_ns() - start) / 1e6)
        return float(self._start.elapsed_time(self._end))

    def tensors(self, outputs: Any) -> list[torch.Tensor]:
        """Copy the outputs to the CPU."""
        return [tensor.cpu() for tensor in self._model.flat(outputs)]

    def memory(self) -> DeviceMemory:
        """Return what torch's allocator counted."""
        return DeviceMemory(
            loaded_bytes=self._loaded_bytes,
            peak_bytes=self._statistic("allocated_bytes.all.peak"),
            reserved_bytes=self._statistic("reserved_bytes.all.peak"),
        )

    def _statistic(self, name: str) -> int | None:
        value = self._device.memory_stats().get(name)
        return None if value is None else int(value)

    def _run(self, inputs: Any) -> Any:
        ran = self._within_memory(lambda: (self._module(*inputs[0], **inputs[1]),))
        if ran is None:
            raise self._too_large(inputs)
        return ran[0]

    def _within_memory(self, work: Callable[[], T]) -> T | None:
        """Return the result of some work, None if the device has too little memory for it."""
        try:
            return work()
        except torch.OutOfMemoryError:
            pass
        # Only after the handler: the error refers to the tensors of the work.
        self._device.empty_cache()
        return None

    def _too_large(self, inputs: Any) -> BaselineFailure:
        """Return the error of inputs that are too large, with the batch size that fits, by halving."""
        problem = "the GPU's memory is too small for"
        tensors = [each for each in tree_leaves(tuple(inputs)) if isinstance(each, torch.Tensor)]
        sizes = {tensor.shape[0] if tensor.dim() else None for tensor in tensors}
        batch = sizes.pop() if len(sizes) == 1 else None
        if batch is None or batch < 2:
            return BaselineFailure(f"{problem} this model and input", "use a smaller model or input")
        fitting = batch // 2
        while fitting:
            if self._fits(tree_map_only(torch.Tensor, operator.itemgetter(slice(fitting)), tuple(inputs))):
                return BaselineFailure(
                    f"{problem} batch {batch}; batch {fitting} fits, found by halving", f"use --batch {fitting}"
                )
            fitting //= 2
        return BaselineFailure(f"{problem} batch {batch}, and for batch 1", "use a smaller model or input")

    def _fits(self, inputs: Any) -> bool:
        def run() -> bool:
            self._module(*inputs[0], **inputs[1])
            return True

        return self._within_memory(run) is not None


class EagerOnCuda(BaselineSupport):
    """The model's own module on the GPU. Its file in the program cache only describes how it is executed."""

    takes_half_precision = True
    needs_module = True

    def __init__(self, name: str, *, dtype: torch.dtype | None = None, tf32: bool = False) -> None:
        super().__init__(name)
        self._dtype = dtype
        self._tf32 = tf32

    def prepare(self, work: BaselineWork) -> int | None:
        """Write how the module is executed."""
        described = {"device": "cuda", "dtype": _NAMES.get(self._dtype) if self._dtype else None, "tf32": self._tf32}
        work.target.write_text(json.dumps(described), encoding="utf-8")
        return None

    def real_arithmetic(self, precision: str) -> str | None:
        """Return the arithmetic if it is not that of the precision."""
        found = "tf32" if self._tf32 else _NAMES.get(self._dtype) if self._dtype else None
        return None if found == precision else found

    def load_module(self, model: EagerModel) -> ModuleOnDevice:
        """Move the module to the GPU. Raises BaselineFailure if that is not possible."""
        set_tf32(self._tf32)
        return ModuleOnDevice(model, self._dtype, Cuda())


DELEGATE = EagerOnCuda("cuda")
