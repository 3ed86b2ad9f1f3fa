"""Quantization-aware training: insert fake quantization into a model, and convert the trained graph to integers.

The graph that is trained has fake quantization wherever the program quantizes: on inputs and outputs of operators,
additions of residuals included, and on weights after folding batch normalization. The program therefore computes what
was trained, up to the rounding of sums.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from torchao.quantization.pt2e import FakeQuantize, MovingAverageMinMaxObserver, MovingAveragePerChannelMinMaxObserver

from etui.engine.delegates import quantizing_support
from etui.engine.delegates.base import QuantizerOptions
from etui.engine.lowering.keep_fp32 import check_modules, is_under, module_path
from etui.engine.lowering.quantize import Graph, quantized_graph
from etui.engine.training.lsq import LsqFakeQuantize
from etui.errors import PreparationError

QatKind = Literal["lsq", "pt2e"]

_RECIPE = "int8-static"
_PT2E_EPS = 1e-5
"""The only epsilon of batch normalization that PT2E's preparation knows; it sets a momentum of 0.1, too."""
_MOMENTUM, _EPS = 6, 7
"""Places of arguments of batch normalization in a graph."""
_LAYERS = (
    torch.ops.aten.conv1d.default,
    torch.ops.aten.conv2d.default,
    torch.ops.aten.conv3d.default,
    torch.ops.aten.linear.default,
)
_MOVES = (
    torch.ops.aten.flatten.using_ints,
    torch.ops.aten.max_pool2d.default,
    torch.ops.aten.permute.default,
    torch.ops.aten.reshape.default,
    torch.ops.aten.squeeze.dim,
    torch.ops.aten.transpose.int,
    torch.ops.aten.unsqueeze.default,
    torch.ops.aten.view.default,
)
"""Operators that only move values."""
_DROPOUTS = (torch.ops.aten.dropout.default, torch.ops.aten.dropout_.default)


class MovingAverageFakeQuantize(FakeQuantize):  # type: ignore[misc]
    """PT2E's fake quantization with moving averages of minimum and maximum.

    The fused implementation that XNNPACK's quantizer chooses trains with scales that are 0.4 % larger than those that
    the conversion computes from the same extremes, which moves outputs by several quantization steps.
    """

    def __init__(self, dtype: torch.dtype, qscheme: torch.qscheme, ch_axis: int | None = None, **options: Any) -> None:
        per_channel = qscheme in (torch.per_channel_symmetric, torch.per_channel_affine)
        if per_channel:
            options["ch_axis"] = ch_axis or 0
        super().__init__(
            observer=MovingAveragePerChannelMinMaxObserver if per_channel else MovingAverageMinMaxObserver,
            dtype=dtype,
            qscheme=qscheme,
            eps=2.0**-24,
            **options,
        )


_FAKE_QUANTIZATION: dict[QatKind, type[Any]] = {"lsq": LsqFakeQuantize, "pt2e": MovingAverageFakeQuantize}


def prepare_qat(
    module: nn.Module, images: torch.Tensor, kind: QatKind, keep: Sequence[str] | None = None
) -> torch.fx.GraphModule:
    """Return a graph of a module with fake quantization, whose scales are set from ``images`` [N, 3, H, W], N > 1.

    ``keep`` are modules that stay in FP32; None keeps none with ``pt2e``, and the first and the last layer with
    ``lsq``, as Esser et al. do. The graph takes any batch. It shares its weights with the module.

    Raises:
        PreparationError: the model cannot be exported for training, it does not have a module of ``keep``, or nothing
            is quantized.
    """
    from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

    check_modules(module, keep or ())
    module.train()
    batch = torch.export.Dim("batch", min=2, max=1 << 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(module, (images,), dynamic_shapes=({0: batch},), strict=False)
        graph = exported.module(check_guards=False)
        assert isinstance(graph, torch.fx.GraphModule)
        kept = (first_and_last(graph) if kind == "lsq" else []) if keep is None else keep
        options = QuantizerOptions(
            recipe=_RECIPE,
            exported=exported,
            convolutional=True,
            keep=kept,
            is_kept=lambda node: is_under(module_path(node), kept),
            keeps_any=bool(kept),
            qat=True,
            fake_quantize=_FAKE_QUANTIZATION[kind],
        )
        constants = _take_constants(graph)
        prepared: torch.fx.GraphModule = prepare_qat_pt2e(
            graph, quantizing_support(_RECIPE).quantizer(options).quantizer
        )
    _restore_constants(prepared, constants)
    _restore_unquantized(prepared)
    _share_scales(prepared)
    if not _fake_quantizations(prepared):
        raise PreparationError("nothing in this model is quantized", "train it without --qat")
    _set_mode(prepared, training=False, observing=True)
    with torch.no_grad():
        prepared(images)
    to_training(prepared)
    return prepared


def first_and_last(graph: torch.fx.GraphModule) -> list[str]:
    """Return the paths of the first and the last module with weights (convolution or linear) in a graph's order."""
    paths = [module_path(node) for node in graph.graph.nodes if node.target in _LAYERS]
    named = [path for path in paths if path]
    return list(dict.fromkeys([*named[:1], *named[-1:]]))


def to_training(prepared: torch.fx.GraphModule) -> None:
    """Put a prepared graph into training mode; observers update scales."""
    _set_mode(prepared, training=True)


def to_evaluation(prepared: torch.fx.GraphModule) -> None:
    """Put a prepared graph into evaluation mode; its scales stay as they are."""
    _set_mode(prepared, training=False)


def convert_qat(prepared: torch.fx.GraphModule, images: torch.Tensor) -> Graph:
    """Return the quantized graph, for inputs of the shape of ``images``, of a trained graph, which is used up.

    Raises:
        PreparationError: nothing in it is quantized.
    """
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

    to_evaluation(prepared)
    _fold_batch_norms(prepared)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return quantized_graph(convert_pt2e(prepared, fold_quantize=True), (images,))


def _set_mode(prepared: torch.fx.GraphModule, *, training: bool, observing: bool | None = None) -> None:
    nodes: Any = prepared.graph.nodes
    for node in nodes:
        if node.target is torch.ops.aten.batch_norm.default:
            node.update_arg(5, training)
        elif node.target in _DROPOUTS:
            node.update_arg(2, training)
    prepared.recompile()
    for one in _fake_quantizations(prepared):
        one.enable_observer(training if observing is None else observing)


def _fake_quantizations(prepared: torch.fx.GraphModule) -> list[Any]:
    return [one for one in prepared.modules() if isinstance(one, (LsqFakeQuantize, FakeQuantize))]


class _Constants(NamedTuple):
    """Momentum and epsilon of a batch normalization."""

    momentum: float
    eps: float


def _take_constants(graph: torch.fx.GraphModule) -> dict[str, _Constants]:
    """Set the epsilon of all batch normalizations to that of PT2E, whose patterns do not match others; return what they
    had by the names of their running variances."""
    found = {}
    nodes: Any = graph.graph.nodes
    for node in nodes:
        if node.target is torch.ops.aten.batch_norm.default:
            found[str(node.args[4].target)] = _Constants(node.args[_MOMENTUM], node.args[_EPS])
            node.update_arg(_EPS, _PT2E_EPS)
    graph.recompile()
    return found


def _restore_constants(prepared: torch.fx.GraphModule, constants: dict[str, _Constants]) -> None:
    """Set the constants of batch normalizations, and of the factors that weights are folded with, to those of the
    model."""
    nodes: Any = prepared.graph.nodes
    for node in nodes:
        if node.target is torch.ops.aten.batch_norm.default:
            own = constants[str(node.args[4].target)]
            node.update_arg(_MOMENTUM, own.momentum)
            node.update_arg(_EPS, own.eps)
        elif node.target is torch.ops.aten.add.Tensor and node.args[1] == _PT2E_EPS:
            variance = node.args[0]
            if isinstance(variance, torch.fx.Node) and str(variance.target) in constants:
                node.update_arg(1, constants[str(variance.target)].eps)
    prepared.recompile()


class _Normalized(NamedTuple):
    """A convolution and its batch normalization in a prepared graph: conv(x, w * s) / s + b, with fake quantization of
    w * s if it is quantized. ``weight`` and ``bias`` are the nodes of w and b, ``quantized`` that of the fake
    quantization."""

    norm: Any
    convolution: Any
    weight: Any
    bias: Any
    quantized: Any


def _normalized(prepared: torch.fx.GraphModule) -> list[_Normalized]:
    found = []
    nodes: Any = prepared.graph.nodes
    for norm in nodes:
        if norm.target is not torch.ops.aten.batch_norm.default:
            continue
        source, bias, quantized = norm.args[0], None, None
        if source.target is torch.ops.aten.add.Tensor and source.args[1].target is torch.ops.aten.reshape.default:
            source, bias = source.args[0], source.args[1].args[0]
        if source.target is not torch.ops.aten.div.Tensor:
            continue
        convolution = source.args[0]
        scaled = convolution.args[1]
        if scaled.op == "call_module":
            quantized, scaled = scaled, scaled.args[0]
        if scaled.target is torch.ops.aten.mul.Tensor:
            found.append(_Normalized(norm, convolution, scaled.args[0], bias, quantized))
    return found


def _restore_unquantized(prepared: torch.fx.GraphModule) -> None:
    """Undo the folding of batch normalization into convolutions that are not quantized, which the preparation does to
    all, and stop counting batches."""
    for one in _normalized(prepared):
        if one.quantized is None:
            one.convolution.update_arg(1, one.weight)
            if one.bias is not None:
                one.convolution.update_arg(2, one.bias)
            one.norm.update_arg(0, one.convolution)
    graph: Any = prepared.graph
    for node in list(graph.nodes):
        if node.target is torch.ops.aten.add_.Tensor and str(node.args[0].target).endswith("num_batches_tracked"):
            graph.erase_node(node)
    graph.eliminate_dead_code()
    prepared.recompile()


@torch.no_grad()
def _fold_batch_norms(prepared: torch.fx.GraphModule) -> None:
    """Fold batch normalization into quantized convolutions, with the same weights that were trained. The conversion
    does the same by matching a hundred patterns, each of which it exports."""

    def value(node: Any) -> torch.Tensor:
        found: torch.Tensor = operator.attrgetter(str(node.target))(prepared)
        return found

    def constant(name: str, tensor: torch.Tensor, before: Any) -> Any:
        prepared.register_buffer(name, tensor)
        with prepared.graph.inserting_before(before):
            return prepared.graph.get_attr(name)

    for number, one in enumerate(_normalized(prepared)):
        if one.quantized is None:
            continue
        gamma, beta, mean, variance = (value(node) for node in one.norm.args[1:5])
        scale = gamma / torch.sqrt(variance + one.norm.args[_EPS])
        weight = value(one.weight)
        shift = mean if one.bias is None else mean - value(one.bias)
        folded = weight * scale.reshape(-1, *[1] * (weight.dim() - 1))
        one.quantized.update_arg(0, constant(f"_folded_weight_{number}", folded, one.quantized))
        one.convolution.update_arg(2, constant(f"_folded_bias_{number}", beta - shift * scale, one.convolution))
        one.norm.replace_all_uses_with(one.convolution)
    prepared.graph.eliminate_dead_code()
    _fuse_others(prepared)
    prepared.recompile()


def _fuse_others(prepared: torch.fx.GraphModule) -> None:
    """Fold batch normalization into the convolutions that stay in FP32."""
    from torchao.quantization.pt2e.utils import _fuse_conv_bn_

    _fuse_conv_bn_(prepared)
    prepared.graph.eliminate_dead_code()


def _share_scales(prepared: torch.fx.GraphModule) -> None:
    """Use the same fake quantization before and after an operator that only moves values: XNNPACK has none that also
    changes the scale, and refuses such a program when it is loaded."""
    nodes: Any = prepared.graph.nodes
    for node in nodes:
        moved = node.args[0] if node.op == "call_module" else None
        if not isinstance(moved, torch.fx.Node) or moved.target not in _MOVES:
            continue
        source: Any = moved.args[0]
        both = isinstance(source, torch.fx.Node) and source.op == "call_module"
        if both and isinstance(prepared.get_submodule(str(node.target)), (LsqFakeQuantize, FakeQuantize)):
            node.target = source.target
    prepared.delete_all_unused_submodules()
    prepared.recompile()
