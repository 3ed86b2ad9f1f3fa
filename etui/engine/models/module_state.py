"""The state of a built module: its tensors and the plain values of its attributes."""

from __future__ import annotations

import enum
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_OWN = frozenset(vars(nn.Module())) - {"training"}
_DEPTH = 6


def other_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors of a module and its submodules that are not in its state dict, by path: non-persistent
    buffers, and tensors that are plain attributes."""
    in_state_dict = module.state_dict().keys()
    tensors = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    tensors = {name: tensor for name, tensor in tensors.items() if name not in in_state_dict}
    for path, name, value in _attributes(module):
        if isinstance(value, torch.Tensor) and value.layout is torch.strided:
            tensors[f"{path}.{name}" if path else name] = value
    return {name: tensor.detach() for name, tensor in sorted(tensors.items())}


_DTYPES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float64: "fp64"}


def weights_dtype(module: nn.Module) -> str:
    """Return the dtype of most of a module's floating-point parameters, as the name of a precision; empty for FP32."""
    sizes: Counter[torch.dtype] = Counter()
    for parameter in module.parameters():
        if parameter.is_floating_point():
            sizes[parameter.dtype] += parameter.numel()
    return _DTYPES.get(max(sizes, key=lambda dtype: sizes[dtype], default=torch.float32), "")


def set_tensors(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Assign tensors by path, the inverse of ``other_tensors``."""
    for name, tensor in tensors.items():
        path, _, attribute = name.rpartition(".")
        owner = module.get_submodule(path)
        # A parameter can only be replaced by a parameter.
        is_parameter = attribute in dict(owner.named_parameters(recurse=False))
        setattr(owner, attribute, nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor.detach())


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Restore the values of all buffers and other tensors except parameters at the end: a module with state changes
    them at each call."""
    names = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    tensors = {**dict(module.named_buffers(remove_duplicate=False)), **other_tensors(module)}
    before = {name: (tensor, tensor.clone()) for name, tensor in tensors.items() if name not in names}
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in before.values():
                if not torch.equal(tensor, value):
                    tensor.copy_(value)
        now = {**dict(module.named_buffers(remove_duplicate=False)), **other_tensors(module)}
        moved = {name: tensor for name, (tensor, _) in before.items() if not _is_same(now.get(name), tensor)}
        set_tensors(module, moved)


def _is_same(one: torch.Tensor | None, other: torch.Tensor) -> bool:
    return one is not None and one.shape == other.shape and one.data_ptr() == other.data_ptr()


def hash_tensors(digest: hashlib._Hash, tensors: Mapping[str, torch.Tensor]) -> None:
    """Update a hash with the names, dtypes, shapes and bytes of tensors."""
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}:{tensor.dtype}{list(tensor.shape)};".encode())
        content: Any = tensor.detach().contiguous().flatten().view(torch.uint8).numpy()
        digest.update(content)


def structure(module: nn.Module) -> dict[str, str]:
    """Return a hash for each submodule by path: over its class and the values of its attributes that are numbers,
    strings, or lists and dicts of those and of tensors. Two modules with the same code, tensors and structure compute
    the same, unless attributes of other types differ."""
    digests = {path: hashlib.sha256(_class(child).encode()) for path, child in module.named_modules()}
    for path, name, value in _attributes(module):
        if not isinstance(value, torch.Tensor):
            _hash_value(digests[path], name, value, _DEPTH)
    return {path: digest.hexdigest()[:16] for path, digest in digests.items()}


def _attributes(module: nn.Module) -> Iterator[tuple[str, str, object]]:
    """Yield path, name and value of the attributes of a module and its submodules that torch does not define."""
    for path, child in module.named_modules():
        for name, value in sorted(vars(child).items()):
            if name not in _OWN:
                yield path, name, value


def _hash_value(digest: hashlib._Hash, name: str, value: object, depth: int) -> None:
    digest.update(f"{name}={_class(value)}".encode())
    match value:
        case None | bool() | int() | float() | complex() | str() | bytes() | enum.Enum():
            digest.update(repr(value).encode())
        case torch.dtype() | torch.device() | torch.Size():
            digest.update(repr(value).encode())
        case torch.Tensor() if value.layout is torch.strided:
            hash_tensors(digest, {"": value.detach()})
        case list() | tuple() if depth:
            for index, item in enumerate(value):
                _hash_value(digest, str(index), item, depth - 1)
        case dict() if depth:
            for key, item in sorted(value.items(), key=lambda pair: repr(pair[0])):
                if isinstance(key, str | int | float | bool | tuple | None):
                    _hash_value(digest, repr(key), item, depth - 1)
        case set() | frozenset():
            items = sorted(repr(item) for item in value if isinstance(item, str | int | float | bool))
            digest.update(repr(items).encode())


def _class(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
