"""Build the list of modules of a summary from what was observed: own figures, and sums over the submodules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import torch
from torch import nn

from etui.engine.summary.calls import Calls
from etui.engine.summary.recorder import Work, size_bytes
from etui.model_summary import ModuleSummary


class Tensors:
    """The distinct parameters and buffers of a module."""

    def __init__(self, parameters: Iterable[torch.Tensor], buffers: Iterable[torch.Tensor]) -> None:
        self.parameters = list({id(each): each for each in parameters}.values())
        self.buffers = list({id(each): each for each in buffers}.values())

    @property
    def count(self) -> int:
        """The number of values of the parameters."""
        return sum(each.numel() for each in self.parameters)

    @property
    def trainable(self) -> int:
        """The number of values of the parameters that require gradients."""
        return sum(each.numel() for each in self.parameters if each.requires_grad)


def module_list(
    model: nn.Module, calls: Calls, work: Mapping[str, Work], types: Mapping[str, str] | None = None
) -> list[ModuleSummary]:
    """Return the modules in depth-first order, the model itself first. ``types`` has the classes of the source model's
    modules by path, if they are not those of ``model``.

    A parameter that several submodules share counts once in each module that contains it.
    """
    paths: dict[int, str] = {}
    listed: dict[str, ModuleSummary] = {}
    named = list(model.named_modules(remove_duplicate=False))
    # Modules without parameters are not part of an exported program, but their calls are.
    missing = dict.fromkeys({*calls.count, *work, *(types or {})} - {path for path, _ in named})
    for path, module in named:
        first = paths.setdefault(id(module), path)
        kind = (types or {}).get(path) or type(module).__name__
        listed[path] = _one(path, kind, module, calls, work, same_as=first if first != path else None)
    for path in missing:
        for ancestor in _ancestors(path):
            if ancestor not in listed:
                kind = (types or {}).get(ancestor, "")
                listed[ancestor] = _one(ancestor, kind, None, calls, work, same_as=None)
    return _summed(_depth_first(listed), {path: work[path].weights if path in work else {} for path in listed})


def _one(
    path: str, kind: str, module: nn.Module | None, calls: Calls, work: Mapping[str, Work], same_as: str | None
) -> ModuleSummary:
    depth = path.count(".") + 1 if path else 0
    whole = Tensors(module.parameters(), module.buffers()) if module is not None else Tensors((), ())
    own = Tensors(module.parameters(recurse=False), ()) if module is not None else whole
    figures = work.get(path, Work()) if same_as is None else Work()
    return ModuleSummary(
        path=path,
        type=kind,
        depth=depth,
        calls=calls.count[path] if same_as is None else 0,
        inputs=calls.inputs.get(path, []) if same_as is None else [],
        outputs=calls.outputs.get(path, []) if same_as is None else [],
        parameters=whole.count,
        trainable=whole.trainable,
        buffers=sum(each.numel() for each in whole.buffers),
        own_parameters=own.count,
        own_trainable=own.trainable,
        parameter_bytes=sum(map(size_bytes, whole.parameters)),
        own_macs=figures.macs,
        own_activation_bytes=figures.activation_bytes,
        own_traffic_bytes=figures.traffic_bytes,
        own_mac_calls=figures.mac_calls,
        io_values=calls.values[path] if same_as is None else 0,
        io_other_bytes=calls.other_bytes[path] if same_as is None else 0,
        uncounted=dict(figures.uncounted),
        same_as=same_as,
    )


def _ancestors(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def _depth_first(listed: dict[str, ModuleSummary]) -> list[ModuleSummary]:
    children: dict[str, list[str]] = {}
    for path in listed:
        if path:
            children.setdefault(path.rpartition(".")[0], []).append(path)
    ordered, waiting = [], [""]
    while waiting:
        path = waiting.pop()
        ordered.append(listed[path])
        waiting += reversed(children.get(path, []))
    return ordered


def _summed(modules: list[ModuleSummary], own_weights: Mapping[str, Mapping[int, int]]) -> list[ModuleSummary]:
    """Return the modules with the sums over their submodules. ``own_weights`` are those that a module's own
    multiply-adds read, by storage; a weight that several submodules read counts once."""
    weights: dict[str, dict[int, int]] = {module.path: dict(own_weights[module.path]) for module in modules}
    sums = {
        module.path: [
            module.own_macs,
            module.own_activation_bytes,
            module.own_traffic_bytes,
            sum(module.uncounted.values()),
        ]
        for module in modules
    }
    for module in reversed(modules):
        if module.path:
            above = sums[module.path.rpartition(".")[0]]
            for index, value in enumerate(sums[module.path]):
                above[index] += value
            read = weights[module.path.rpartition(".")[0]]
            for storage, values in weights[module.path].items():
                read[storage] = max(values, read.get(storage, 0))
    return [
        _with_sums(module, *sums[module.path], weight_values=sum(weights[module.path].values())) for module in modules
    ]


def _with_sums(
    module: ModuleSummary,
    macs: int,
    activation_bytes: int,
    traffic_bytes: int,
    unknown_calls: int,
    *,
    weight_values: int,
) -> ModuleSummary:
    # A module may not read all of its inputs: its operators' operands and results, in FP32, are a limit then.
    most_values = max(0, traffic_bytes // 4 - weight_values)
    return msgspec.structs.replace(
        module,
        macs=macs,
        activation_bytes=activation_bytes,
        traffic_bytes=traffic_bytes,
        unknown_calls=unknown_calls,
        weight_values=weight_values,
        io_values=min(module.io_values, most_values),
    )
