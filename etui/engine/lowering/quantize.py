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

from etui.engine.lowering.delegates import ethos_u_target
from etui.engine.lowering.keep_fp32 import is_under, module_path
from etui.engine.runtime.input_dtypes import program_inputs
from etui.errors import PreparationError
from etui.text import counted

Inputs = tuple[torch.Tensor, ...]

_GROUP_SIZE = 32
"""The number of weights that share a scale in 8da4w, as in ExecuTorch's examples."""

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_INTEGER_TARGETS = (torch.ops.aten.add.Tensor, torch.ops.aten.mul.Tensor)


class Graph(NamedTuple):
    """An exported program and the callable that computes the same before lowering. ``calibration_count`` is the number
    of calibration inputs, None if the recipe needs none; ``detail`` describes what was done.

    ``observed``, if requested, is the FP32 graph before quantization: BatchNorm folded, nodes named as in ``module``,
    annotated by the quantizer, with observers that pass values through.
    """

    program: ExportedProgram
    module: Callable[..., object]
    calibration_count: int | None = None
    detail: str = ""
    observed: torch.fx.GraphModule | None = None


def export(module: nn.Module, inputs: Inputs) -> ExportedProgram:
    """Export a module for inputs of exactly these shapes and dtypes."""
    return torch.export.export(module, inputs, strict=False)


def halve(module: nn.Module, inputs: Inputs) -> Graph:
    """Export a module in half precision, with half-precision floating-point inputs."""
    half = module.half()
    return Graph(export(half, program_inputs(inputs, "fp16")), half, detail="16-bit weights and activations")


def quantize(
    module: nn.Module,
    exported: ExportedProgram | None,
    inputs: Inputs,
    calibration: Sequence[Inputs],
    recipe: str,
    *,
    keep: Sequence[str] = (),
    keep_observed: bool = False,
) -> Graph:
    """Quantize by a recipe (see ``etui.catalog.precisions.recipe``), keeping the modules ``keep`` in FP32.

    ``exported`` is the FP32 export, which every recipe except 8da4w starts from.

    Raises:
        PreparationError: the recipe quantizes nothing in the model, or there are no calibration inputs.
    """
    name = recipe.partition("/")[0]
    if name == "8da4w":
        return _four_bit_linear(module, inputs, keep)
    assert exported is not None
    quantizer, fold, dynamic = _quantizer(module, exported, name, keep)
    return _pt2e(
        exported,
        inputs,
        () if dynamic else calibration,
        quantizer,
        fold=fold,
        calibrated=not dynamic,
        keep_observed=keep_observed,
    )


def _quantizer(module: nn.Module, exported: ExportedProgram, name: str, keep: Sequence[str]) -> tuple[Any, bool, bool]:
    """Return the quantizer of a recipe, whether weights are folded, and whether activations are scaled at run time."""
    convolutional = any(isinstance(layer, _CONVOLUTIONS) for layer in module.modules()) or _convolves(exported)
    if name == "int8-auto":
        name = "int8-static" if convolutional else "int8-dynamic"
    if name.startswith("nncf"):
        transformer = name.endswith("transformer") or (name.endswith("auto") and not convolutional)
        return _openvino_quantizer(transformer, _nodes_under(exported, keep)), False, False
    if name.startswith("arm"):
        return _ethos_u_quantizer(keep), True, False
    dynamic = name == "int8-dynamic"
    quantizer = _xnnpack_quantizer(
        per_channel="per-tensor" not in name,
        dynamic=dynamic,
        linear_only=dynamic or name.endswith("-linear"),
        keep=keep,
    )
    return quantizer, True, dynamic


def _nodes_under(exported: ExportedProgram, modules: Sequence[str]) -> list[str]:
    return [node.name for node in exported.graph.nodes if is_under(module_path(node), modules)]


def _pt2e(
    exported: ExportedProgram,
    inputs: Inputs,
    calibration: Sequence[Inputs],
    quantizer: Any,
    fold: bool = True,
    calibrated: bool = True,
    keep_observed: bool = False,
) -> Graph:
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    if calibrated and not calibration:
        raise PreparationError(
            "static quantization needs at least one calibration input", "use a calibration count above zero"
        )
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        prepared = prepare_pt2e(exported.module(check_guards=False), quantizer)
        # A dynamic recipe does not calibrate, but the observers of its weights run with the graph.
        for tensors in calibration or [inputs]:
            prepared(*tensors)
        # The conversion changes its graph in place; a copy of the graph shares its tensors.
        observed = torch.fx.GraphModule(prepared, copy.deepcopy(prepared.graph)) if keep_observed else None
        converted = convert_pt2e(prepared, fold_quantize=fold)
    if not any("quantize" in str(node.target) for node in converted.graph.nodes):
        raise PreparationError(
            "the recipe quantizes nothing in this model",
            "choose another precision, or keep fewer modules in FP32",
        )
    program = export(converted, inputs)
    _compute_weights_once(converted)
    return Graph(
        program,
        converted,
        len(calibration) if calibrated else None,
        f"calibrated on {counted(len(calibration), 'input')}" if calibrated else "activations scaled at run time",
        observed,
    )


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


def _four_bit_linear(module: nn.Module, inputs: Inputs, keep: Sequence[str]) -> Graph:
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
    return Graph(export(module, inputs), module, detail=detail)


def _divides(layer: nn.Linear) -> bool:
    return layer.in_features % _GROUP_SIZE == 0


def _convolves(exported: ExportedProgram) -> bool:
    return any("conv" in str(node.target) for node in exported.graph.nodes if node.op == "call_function")


def _xnnpack_quantizer(per_channel: bool, dynamic: bool, linear_only: bool, keep: Sequence[str]) -> Any:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    class IntegerSafeQuantizer(XNNPACKQuantizer):  # type: ignore[misc]
        """XNNPACK's quantizer without the conversion of scalars in index arithmetic to float tensors.

        It converts the scalars of every add and mul; for token or position indices this breaks the graph. During the
        transformation such nodes get another target.
        """

        def transform_for_annotation(self, model: torch.fx.GraphModule) -> torch.fx.GraphModule:
            hidden = [node for node in model.graph.nodes if node.target in _INTEGER_TARGETS and _is_integer(node)]
            targets = [node.target for node in hidden]
            for node in hidden:
                node.target = torch.ops.aten.sub.Tensor
            transformed: torch.fx.GraphModule = super().transform_for_annotation(model)
            for node, target in zip(hidden, targets, strict=True):
                node.target = target
            transformed.recompile()
            return transformed

    quantizer = IntegerSafeQuantizer()
    config = get_symmetric_quantization_config(is_per_channel=per_channel, is_dynamic=dynamic)
    if linear_only:
        quantizer.set_module_type(nn.Linear, config)
        # Attention calls its projections as functions, so they are not linear modules.
        quantizer.set_module_type(nn.MultiheadAttention, config if dynamic else None)
    else:
        quantizer.set_global(config)
    if keep:
        quantizer.set_filter_function(lambda node: not is_under(module_path(node), keep))
    return quantizer


def _is_integer(node: torch.fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and not value.is_floating_point()


def _openvino_quantizer(transformer: bool, ignored: Sequence[str]) -> Any:
    try:
        from executorch.backends.openvino.quantizer import OpenVINOQuantizer, QuantizationMode
    except ImportError as error:
        message = f"OpenVINO's quantizer cannot be imported: {error}"
        raise PreparationError(message, "pip install openvino nncf") from error
    mode = QuantizationMode.INT8_TRANSFORMER if transformer else QuantizationMode.INT8_SYM
    quantizer = OpenVINOQuantizer(mode=mode)
    if ignored:
        # Folding BatchNorm removes some of these nodes before the quantizer searches for them.
        quantizer.set_ignored_scope(names=list(ignored), validate=False)
    return quantizer


def _ethos_u_quantizer(keep: Sequence[str]) -> Any:
    try:
        from executorch.backends.arm.quantizer import EthosUQuantizer, get_symmetric_quantization_config
    except ImportError as error:
        message = f"the Ethos-U quantizer cannot be imported: {error}"
        raise PreparationError(message, "pip install 'executorch[ethos-u]'") from error
    quantizer = EthosUQuantizer(ethos_u_target())
    quantizer.set_global(get_symmetric_quantization_config())
    for path in keep:
        quantizer.set_module_name(path, None)
    return quantizer
