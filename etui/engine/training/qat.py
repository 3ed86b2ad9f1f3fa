"""Quantization-aware training: insert fake quantization into a model, and convert the trained graph to integers.

The graph that is trained has fake quantization wherever the program quantizes: on inputs and outputs of operators,
additions of residuals included, and on weights after folding batch normalization. The program therefore computes what
was trained, up to the rounding of sums.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

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
_BN_EPS = 1e-5
"""The only epsilon of batch normalization that PT2E's folding computes with."""
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
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


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

    odd = next(
        (name for name, one in module.named_modules() if isinstance(one, _BATCH_NORMS) and one.eps != _BN_EPS), ""
    )
    if odd:
        raise PreparationError(
            f"the batch normalization {odd} has another epsilon than {_BN_EPS:g}, which PT2E cannot fold",
            "train it without --qat and quantize afterwards",
        )
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
        prepared: torch.fx.GraphModule = prepare_qat_pt2e(
            graph, quantizing_support(_RECIPE).quantizer(options).quantizer
        )
    _restore_unquantized(prepared)
    _share_scales(prepared)
    if not _fake_quantizations(prepared):
        raise PreparationError("nothing in this model is quantized", "train it without --qat")
    to_evaluation(prepared)
    for one in _fake_quantizations(prepared):
        one.enable_observer()
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
    from torchao.quantization.pt2e import move_exported_model_to_train

    move_exported_model_to_train(prepared)
    for one in _fake_quantizations(prepared):
        one.enable_observer()


def to_evaluation(prepared: torch.fx.GraphModule) -> None:
    """Put a prepared graph into evaluation mode; its scales stay as they are."""
    from torchao.quantization.pt2e import move_exported_model_to_eval

    move_exported_model_to_eval(prepared)
    for one in _fake_quantizations(prepared):
        one.disable_observer()


def convert_qat(prepared: torch.fx.GraphModule, images: torch.Tensor) -> Graph:
    """Return the quantized graph, for inputs of the shape of ``images``, of a trained graph, which is used up.

    Raises:
        PreparationError: nothing in it is quantized.
    """
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

    to_evaluation(prepared)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return quantized_graph(convert_pt2e(prepared, fold_quantize=True), (images,))


def _fake_quantizations(prepared: torch.fx.GraphModule) -> list[Any]:
    return [one for one in prepared.modules() if isinstance(one, (LsqFakeQuantize, FakeQuantize))]


def _restore_unquantized(prepared: torch.fx.GraphModule) -> None:
    """Undo the folding of batch normalization into convolutions that are not quantized, and stop counting batches.

    The preparation replaces every pair by conv(x, w * s) / s and the normalization; the conversion folds only those
    with quantized weights, and the others would not be delegated.
    """
    graph: Any = prepared.graph
    for norm in [node for node in graph.nodes if node.target is torch.ops.aten.batch_norm.default]:
        source = norm.args[0]
        bias = None
        if source.target is torch.ops.aten.add.Tensor:
            source, shaped = source.args
            bias = shaped.args[0] if shaped.target is torch.ops.aten.reshape.default else None
        convolution = source.args[0] if source.target is torch.ops.aten.div.Tensor else None
        if not isinstance(convolution, torch.fx.Node) or len(convolution.args) < 2:
            continue
        scaled = convolution.args[1]
        if not isinstance(scaled, torch.fx.Node) or scaled.target is not torch.ops.aten.mul.Tensor:
            continue  # quantized: between them is the fake quantization
        convolution.update_arg(1, scaled.args[0])
        if bias is not None:
            convolution.update_arg(2, bias)
        norm.update_arg(0, convolution)
    for node in list(graph.nodes):
        if node.target is torch.ops.aten.add_.Tensor and str(getattr(node.args[0], "target", "")).endswith(
            "num_batches_tracked"
        ):
            graph.erase_node(node)
    graph.eliminate_dead_code()
    prepared.recompile()


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
