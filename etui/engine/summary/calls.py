"""Observe the calls of a model's modules: which one is running, how often each was called, and with what shapes."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from etui.engine.models.outputs import tensors_in
from etui.model_summary import TensorInfo


class Calls:
    """The calls of modules by path. A module at several paths is known by the first."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.inputs: dict[str, list[TensorInfo]] = {}
        self.outputs: dict[str, list[TensorInfo]] = {}
        self.values: Counter[str] = Counter()
        """The floating-point values of inputs and outputs over all calls, the same tensor once per call and side."""
        self.other_bytes: Counter[str] = Counter()
        """The bytes of the other inputs and outputs."""
        self.running: list[str] = []

    def place(self) -> str:
        """Return the path of the running module; empty for the model itself."""
        return self.running[-1] if self.running else ""

    @contextlib.contextmanager
    def observed(self, model: nn.Module) -> Iterator[None]:
        """Observe the calls of all modules of a model while the context is open."""
        handles = []
        for path, module in model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                continue
            handles.append(module.register_forward_pre_hook(self._begin(path), with_kwargs=True, prepend=True))
            handles.append(module.register_forward_hook(self._end(path), always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _begin(self, path: str) -> Any:
        def begin(module: nn.Module, args: Any, kwargs: Any) -> None:
            del module
            self.running.append(path)
            self.count[path] += 1
            self.inputs.setdefault(path, tensor_infos((args, kwargs)))
            self._count(path, (args, kwargs))

        return begin

    def _end(self, path: str) -> Any:
        def end(module: nn.Module, args: Any, result: Any) -> None:
            del module, args
            self.running.pop()
            self.outputs.setdefault(path, tensor_infos(result))
            self._count(path, result)

        return end

    def _count(self, path: str, tree: object) -> None:
        distinct = {(id(tensor.untyped_storage()), tensor.storage_offset(), tensor.shape): tensor
                    for tensor in tensors_in(tree) if tensor.layout is torch.strided}  # fmt: skip
        for tensor in distinct.values():
            if tensor.is_floating_point():
                self.values[path] += tensor.numel()
            else:
                self.other_bytes[path] += tensor.numel() * tensor.element_size()


def tensor_infos(tree: object) -> list[TensorInfo]:
    """Return shape and dtype of the tensors in nested arguments or results."""
    return [info(tensor) for tensor in tensors_in(tree)]


def info(tensor: torch.Tensor) -> TensorInfo:
    """Return shape and dtype of a tensor."""
    return TensorInfo(shape=list(tensor.shape), dtype=str(tensor.dtype).removeprefix("torch."))
