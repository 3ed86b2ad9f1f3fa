"""Find the modules in which a training step goes wrong, from what they are given and return."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from etui.engine.models.outputs import tensors_in

_DROPS = re.compile(r"drop|StochasticDepth", re.IGNORECASE)

_Hook = Callable[[str, nn.Module, object, object], None]
"""Is called with the path of a module, the module, its arguments and its output."""


def named(path: str, module: nn.Module) -> str:
    """Return ``path (class)`` of a module."""
    return f"{path or 'the model itself'} ({type(module).__name__})"


def parameter_places(module: nn.Module, names: list[str]) -> list[str]:
    """Return the modules of parameters in order, each with its parameters: ``path (class): weight, bias``."""
    by_owner: dict[str, list[str]] = {}
    for name in names:
        owner, _, own = name.rpartition(".")
        by_owner.setdefault(owner, []).append(own)
    return [f"{named(path, module.get_submodule(path))}: {', '.join(own)}" for path, own in by_owner.items()]


class FirstNonFinite:
    """Notes the first module that returns a value that is not finite though it was given only finite ones."""

    def __init__(self) -> None:
        self.place = ""

    @contextlib.contextmanager
    def observing(self, module: nn.Module) -> Iterator[None]:
        """Observe the calls within this context."""
        with _hooked(module, self._hook, leaves_only=False):
            yield

    def _hook(self, path: str, module: nn.Module, arguments: object, output: object) -> None:
        if not self.place and _is_finite(arguments) and not _is_finite(output):
            self.place = named(path, module)


class ZeroOutputs:
    """Notes the modules without submodules whose outputs were zero in every observed call, though they were given other
    values. Those that drop values at random are not observed."""

    def __init__(self) -> None:
        self._zero: dict[str, bool] = {}

    @contextlib.contextmanager
    def observing(self, module: nn.Module) -> Iterator[None]:
        """Observe the calls within this context."""
        with _hooked(module, self._hook, leaves_only=True):
            yield

    @property
    def places(self) -> list[str]:
        """The modules, in the order of their first call."""
        return [place for place, zero in self._zero.items() if zero]

    def _hook(self, path: str, module: nn.Module, arguments: object, output: object) -> None:
        place = named(path, module)
        if self._zero.get(place, True) and not _DROPS.search(type(module).__name__):
            tensors = _floating(output)
            if tensors:
                self._zero[place] = not _any(tensors) and not self._is_given_zeros(arguments)

    @staticmethod
    def _is_given_zeros(arguments: object) -> bool:
        given = _floating(arguments)
        return bool(given) and not _any(given)


@contextlib.contextmanager
def _hooked(root: nn.Module, hook: _Hook, *, leaves_only: bool) -> Iterator[None]:
    handles = []
    for path, module in root.named_modules():
        if isinstance(module, torch.jit.ScriptModule) or (leaves_only and next(module.children(), None) is not None):
            continue

        def call(module: nn.Module, arguments: object, keywords: object, output: object, path: str = path) -> None:
            with torch.no_grad():
                hook(path, module, (arguments, keywords), output)

        handles.append(module.register_forward_hook(call, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _floating(tree: object) -> list[torch.Tensor]:
    return [one for one in tensors_in(tree) if one.is_floating_point() and one.numel()]


def _any(tensors: Sequence[torch.Tensor]) -> bool:
    return any(bool(one.any()) for one in tensors)


def _is_finite(tree: object) -> bool:
    return all(bool(torch.isfinite(one).all()) for one in tensors_in(tree) if one.is_floating_point())
