"""What a training step saves for its backward pass."""

from __future__ import annotations

import contextlib
import warnings

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef

from etui.engine.explain.error_text import headline
from etui.engine.models.call_structure import CallStructure, Inputs


def saved_bytes(module: nn.Module, inputs: Inputs, structure: CallStructure) -> tuple[int | None, str]:
    """Return the bytes of the tensors that autograd saves in one forward pass in training mode, each memory once and
    without parameters; None with the reason if that is not known. The loss is not included.

    Nothing is computed: tensors have only a shape and a dtype.
    """
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not trainable:
        return None, "no parameter is trainable"
    try:
        module.train()
    except NotImplementedError:
        return None, "an exported program has no training mode"
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    # The same replacement for a parameter under all its names.
    tensors: dict[str, torch.Tensor] = dict(module.named_parameters(remove_duplicate=False))
    tensors |= module.named_buffers(remove_duplicate=False)
    fakes: dict[str, torch.Tensor] = {name: mode.from_tensor(tensor) for name, tensor in tensors.items()}
    resident = {_storage(tensor) for tensor in (*tensors.values(), *fakes.values())}
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.layout is torch.strided and (storage := _storage(tensor)) not in resident:
            saved[storage] = tensor.untyped_storage().nbytes()
            kept.append(tensor)
        return tensor

    kept: list[torch.Tensor] = []
    try:
        with contextlib.ExitStack() as contexts:
            contexts.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            contexts.enter_context(torch.enable_grad())
            contexts.enter_context(mode)
            contexts.enter_context(saved_tensors_hooks(pack, lambda tensor: tensor))
            arguments = structure.arguments([mode.from_tensor(tensor) for tensor in inputs])
            torch.func.functional_call(module, fakes, arguments.args, arguments.kwargs)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the model raises in a mode that it may not support
        return None, f"a forward pass in training mode failed: {headline(error)[:200]}"
    finally:
        module.eval()
    return sum(saved.values()), ""


def _storage(tensor: torch.Tensor) -> int:
    return int(StorageWeakRef(tensor.untyped_storage()).cdata)  # type: ignore[no-untyped-call]
