"""Observe the operators of one call of a model: their work, what they allocate, and the module that called each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from etui.engine.models.outputs import tensors_in
from etui.engine.summary.work import has_formula, multiply_adds


class Work:
    """What the operators that one module called itself did. ``weights`` has the parameters that multiply-adds read, by
    storage, with the number of values read."""

    def __init__(self) -> None:
        self.macs = 0
        self.mac_calls = 0
        self.weights: dict[int, int] = {}
        self.activation_bytes = 0
        self.traffic_bytes = 0
        self.uncounted: Counter[str] = Counter()


class Allocation:
    """A result, or an input, with the operators that made it and used it last, by their position."""

    def __init__(self, size_bytes: int, made: int) -> None:
        self.size_bytes = size_bytes
        self.made = self.used = made


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call] # as are most parts of torch
    """Counts while it is entered. ``place`` returns the path of the module that is running.

    Parameters and buffers, ``resident``, are not allocations. Composite operators are decomposed, so that what they
    consist of is counted.
    """

    supports_higher_order_operators = True

    def __init__(self, place: Callable[[], str], resident: Iterable[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.work: dict[str, Work] = {}
        self.allocations: list[Allocation] = []
        self._place = place
        # A weak reference keeps the address of a freed storage from being used again.
        self._references: dict[int, StorageWeakRef] = {}
        self._by_storage: dict[int, Allocation | None] = {}
        self._position = 0
        # The storage of the parameter that a storage belongs to: views of parameters have others.
        self._parameters: dict[int, int] = {}
        for tensor in resident:
            storage = self._storage(tensor)
            self._by_storage[storage] = None
            self._parameters[storage] = storage

    def add_inputs(self, tensors: Iterable[torch.Tensor]) -> None:
        """Regard these tensors as allocated before the first operator."""
        for tensor in tensors:
            self._allocate(tensor)

    def keep(self, tensors: Iterable[torch.Tensor]) -> None:
        """Regard these tensors as needed up to the end."""
        for tensor in tensors:
            if (allocation := self._by_storage.get(self._storage(tensor))) is not None:
                allocation.used = self._position

    def peak_bytes(self) -> int:
        """Return the largest sum of allocations that are needed at the same time: each from the operator that made it
        to the last one that used it."""
        changes = [0] * (self._position + 2)
        for allocation in self.allocations:
            changes[allocation.made] += allocation.size_bytes
            changes[allocation.used + 1] -= allocation.size_bytes
        peak = live = 0
        for change in changes:
            live += change
            peak = max(peak, live)
        return peak

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator and count it."""
        del types
        kwargs = kwargs or {}
        if not isinstance(func, torch._ops.OpOverload):
            self._own().uncounted[str(func)] += 1
            return func(*args, **kwargs)
        if func.namespace == "aten" and not has_formula(func):
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if func.namespace != "prim":
            self._count(func, args, kwargs, result)
        return result

    def _own(self) -> Work:
        return self.work.setdefault(self._place(), Work())

    def _count(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        self._position += 1
        work = self._own()
        macs = multiply_adds(operator, args, kwargs, result)
        if macs is None:
            work.uncounted[operator.name()] += 1
        else:
            work.macs += macs
        operands, results = _tensors((args, kwargs)), _tensors(result)
        if macs:
            work.mac_calls += 1
            self._note_weights(work, operands)
        for tensor in operands:
            if (allocation := self._by_storage.get(self._storage(tensor))) is not None:
                allocation.used = self._position
        if any(returned.alias_info is not None and not returned.alias_info.is_write
               for returned in operator._schema.returns):  # fmt: skip
            self._alias(operands, results)
            return
        work.activation_bytes += sum(map(self._allocate, results))
        work.traffic_bytes += sum(map(size_bytes, (*operands, *results)))

    def _alias(self, operands: list[torch.Tensor], results: list[torch.Tensor]) -> None:
        """Regard views as the tensor that they are views of, which need not have the same storage: that of a parameter
        is replaced by one without values."""
        if operands:
            original = self._storage(operands[0])
            viewed, parameter = self._by_storage.get(original), self._parameters.get(original)
            for tensor in results:
                storage = self._storage(tensor)
                self._by_storage.setdefault(storage, viewed)
                if parameter is not None:
                    self._parameters.setdefault(storage, parameter)

    def _note_weights(self, work: Work, operands: list[torch.Tensor]) -> None:
        for tensor in operands:
            parameter = self._parameters.get(self._storage(tensor))
            if parameter is not None and tensor.dim() > 1 and tensor.is_floating_point():
                work.weights[parameter] = max(work.weights.get(parameter, 0), tensor.numel())

    def _allocate(self, tensor: torch.Tensor) -> int:
        """Record a result; return its size, 0 if it is in memory that is already known."""
        storage = self._storage(tensor)
        if storage in self._by_storage:
            return 0
        allocation = Allocation(tensor.untyped_storage().nbytes(), self._position)
        self._by_storage[storage] = allocation
        self.allocations.append(allocation)
        return allocation.size_bytes

    def _storage(self, tensor: torch.Tensor) -> int:
        reference = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
        self._references.setdefault(reference.cdata, reference)
        return int(reference.cdata)


def _tensors(tree: object) -> list[torch.Tensor]:
    """Return the dense tensors in nested arguments or results."""
    return [tensor for tensor in tensors_in(tree) if tensor.layout is torch.strided]


def size_bytes(tensor: torch.Tensor) -> int:
    """Return the size of a tensor's values; a view has that of its own elements."""
    return tensor.numel() * tensor.element_size()
