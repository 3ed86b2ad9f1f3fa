"""Export a module in a precision: FP32, half precision, or quantized by one of the recipes."""

from __future__ import annotations

import copy
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.export import ExportedProgram

from etui.engine.delegates import quantizing_support
from etui.engine.delegates.base import Quantizer, QuantizerOptions
from etui.engine.lowering.flat_export import export, mutated_buffers
from etui.engine.lowering.keep_fp32 import is_under, module_path
from etui.engine.models.call_structure import CallStructure, Inputs, plain_structure
from etui.engine.runtime.input_dtypes import program_inputs
from etui.errors import PreparationError
from etui.jobs import DynamicDims
from etui.text import counted

_GROUP_SIZE = 32
"""The number of weights that share a scale in 8da4w, as in ExecuTorch's examples."""

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Graph(NamedTuple):
    """An exported program and the callable that computes the same before lowering, both of flat tensors.

    ``calibration_count`` is the number of calibration inputs, None if the recipe needs none; ``detail`` describes what
    was done.

    ``observed``, if requested, is the FP32 graph before quantization: BatchNorm folded, nodes named as in ``module``,
    annotated by the quantizer, with observers that pass values through.
    """

    program: ExportedProgram
    module: Callable[..., object]
    calibration_count: int | None = None
    detail: str = ""
    observed: torch.fx.GraphModule | None = None


def plain_graph(
    module: nn.Module, inputs: Inputs, structure: CallStructure, dynamic: DynamicDims | None = None
) -> Graph:
    """Export a module as it is."""
    return Graph(export(module, inputs, structure, dynamic), structure.bound(module))


def halve(module: nn.Module, inputs: Inputs, structure: CallStructure, dynamic: DynamicDims | None = None) -> Graph:
    """Export a module in half precision, with half-precision floating-point inputs."""
    half = module.half()
    program = export(half, program_inputs(inputs, "fp16"), structure, dynamic)
    return Graph(program, structure.bound(half), detail="16-bit weights and activations")


def quantize(
    module: nn.Module,
    exported: ExportedProgram | None,
    inputs: Inputs,
    calibration: Sequence[Inputs],
    recipe: str,
    *,
    structure: CallStructure | None = None,
    keep: Sequence[str] = (),
    keep_observed: bool = False,
    dynamic: DynamicDims | None = None,
) -> Graph:
    """Quantize by a recipe (see ``etui.catalog.precisions.recipe``), keeping the modules ``keep`` in FP32.

    ``exported`` is the FP32 export, which every recipe except 8da4w starts from. Like every export it takes flat
    tensors; ``structure`` is that of the module's arguments, None for positional tensors.

    Raises:
        PreparationError: the recipe quantizes nothing in the model, or there are no calibration inputs.
    """
    name = recipe.partition("/")[0]
    if name == "8da4w":
        return _four_bit_linear(module, inputs, structure or plain_structure(len(inputs)), keep, dynamic)
    assert exported is not None
    quantizer = _quantizer(module, exported, name, keep)
    return _pt2e(exported, inputs, calibration, quantizer, keep_observed=keep_observed, dynamic=dynamic)


def _quantizer(module: nn.Module, exported: ExportedProgram, name: str, keep: Sequence[str]) -> Quantizer:
    convolutional = convolves(module, exported)
    if name == "int8-auto":
        name = "int8-static" if convolutional else "int8-dynamic"
    state = set(mutated_buffers(exported))
    options = QuantizerOptions(
        recipe=name,
        exported=exported,
        convolutional=convolutional,
        keep=keep,
        is_kept=lambda node: is_under(module_path(node), keep) or _reads_state(node, state),
        keeps_any=bool(keep or state),
    )
    return quantizing_support(name).quantizer(options)


def _reads_state(node: torch.fx.Node, state: set[str]) -> bool:
    """Return whether a node computes with the initial value of a buffer that the model changes. Quantizing that value
    would make it a constant."""
    return any(_is_state(argument, state) for argument in node.all_input_nodes)


def _is_state(node: torch.fx.Node, state: set[str]) -> bool:
    if node.op == "get_attr":
        return str(node.target) in state
    arguments = node.all_input_nodes if node.op == "call_function" else []
    return bool(arguments) and bool(state) and all(_is_state(argument, state) for argument in arguments)


def _pt2e(
    exported: ExportedProgram,
    inputs: Inputs,
    calibration: Sequence[Inputs],
    quantizer: Quantizer,
    keep_observed: bool,
    dynamic: DynamicDims | None,
) -> Graph:
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    calibrated = not quantizer.dynamic
    if calibrated and not calibration:
        raise PreparationError(
            "static quantization needs at least one calibration input",
            "use a calibration count above zero, and data with a training split",
        )
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        module = exported.module(check_guards=False)
        state = {name: module.get_buffer(name).clone() for name in mutated_buffers(exported)}
        prepared = prepare_pt2e(module, quantizer.quantizer)
        # A dynamic recipe does not calibrate, but the observers of its weights run with the graph.
        for tensors in calibration if calibrated else [inputs]:
            prepared(*tensors)
        # The conversion changes its graph in place; a copy of the graph shares its tensors.
        observed = torch.fx.GraphModule(prepared, copy.deepcopy(prepared.graph)) if keep_observed else None
        converted = convert_pt2e(prepared, fold_quantize=quantizer.fold)
        for name, value in state.items():
            # The program begins with the state of the module: calibration and the folding of constants change it.
            converted.get_buffer(name).copy_(value)
    graph = quantized_graph(converted, inputs, dynamic)
    return graph._replace(
        calibration_count=len(calibration) if calibrated else None,
        detail=f"calibrated on {counted(len(calibration), 'input')}"
        if calibrated
        else "activations scaled at run time",
        observed=observed,
    )


def quantized_graph(converted: torch.fx.GraphModule, inputs: Inputs, dynamic: DynamicDims | None = None) -> Graph:
    """Export a graph that ``convert_pt2e`` returned.

    Raises:
        PreparationError: nothing in it is quantized.
    """
    if not any("quantize" in str(node.target) for node in converted.graph.nodes):
        raise PreparationError(
            "the recipe quantizes nothing in this model",
            "choose another precision, or keep fewer modules in FP32",
        )
    program = export(converted, inputs, None, dynamic)
    _compute_weights_once(converted)
    return Graph(program, converted)


def _compute_weights_once(module: torch.fx.GraphModule) -> None:
    """Replace weights that a graph quantizes or dequantizes at each run by their values; its results do not change.

    Dequantizing all weights of a transformer takes longer than its inference.
    """
    known: dict[torch.fx.Node, Any] = {}

    def value_of(argument: Any) -> Any:
        return known[argument] if isinstance(argument, torch.fx.Node) else argument

    for node in list(module.graph.nodes):
        if node.op == "get_attr":
            known[node] = operator.attrgetter(node.target)(module)
        elif "quantize_per" in str(node.target) and set(node.all_input_nodes) <= set(known):
            with torch.no_grad():
                known[node] = node.target(*map(value_of, node.args), **{k: value_of(v) for k, v in node.kwargs.items()})
            name = f"_computed_{len(known)}"
            module.register_buffer(name, known[node], persistent=False)
            with module.graph.inserting_before(node):
                computed = module.graph.get_attr(name)
            known[computed] = known[node]
            node.replace_all_uses_with(computed)
    module.graph.eliminate_dead_code()
    module.recompile()


def _four_bit_linear(
    module: nn.Module, inputs: Inputs, structure: CallStructure, keep: Sequence[str], dynamic: DynamicDims | None
) -> Graph:
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig, quantize_
    from torchao.quantization.granularity import PerGroup
    from torchao.utils import unwrap_tensor_subclass

    quantizable = {
        id(layer)
        for path, layer in module.named_modules()
        if type(layer) is nn.Linear and _divides(layer) and not is_under(path, keep)
    }
    if not quantizable:
        remaining = " outside the modules kept in FP32" if keep else ""
        raise PreparationError(
            f"the model has no torch.nn.Linear{remaining} with an input width divisible by {_GROUP_SIZE}",
            "choose another precision",
        )
    four_bits: torch.dtype = getattr(torch, "int4")  # noqa: B009 - missing in torch's stubs
    config = Int8DynamicActivationIntxWeightConfig(weight_dtype=four_bits, weight_granularity=PerGroup(_GROUP_SIZE))
    quantize_(module, config, filter_fn=lambda layer, _name: id(layer) in quantizable)
    unwrap_tensor_subclass(module)
    detail = f"{counted(len(quantizable), 'linear layer')}, groups of {_GROUP_SIZE} weights"
    return Graph(export(module, inputs, structure, dynamic), structure.bound(module), detail=detail)


def _divides(layer: nn.Linear) -> bool:
    return layer.in_features % _GROUP_SIZE == 0


def convolves(module: nn.Module, exported: ExportedProgram) -> bool:
    """Return whether a model contains convolutions."""
    if any(isinstance(layer, _CONVOLUTIONS) for layer in module.modules()):
        return True
    return any("conv" in str(node.target) for node in exported.graph.nodes if node.op == "call_function")
