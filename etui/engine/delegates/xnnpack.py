"""XNNPACK: optimized CPU kernels, and the PT2E quantizer that delegates without their own one share."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import nn

from etui.engine.delegates.base import DelegateSupport, Quantizer, QuantizerOptions
from etui.engine.delegates.xnnpack_patterns import search_only_if_needed
from etui.programs.xnnpack import node_kinds

_INTEGER_TARGETS = (torch.ops.aten.add.Tensor, torch.ops.aten.mul.Tensor)


class _Xnnpack(DelegateSupport):
    convolves_3d = False
    preloaded = (
        "executorch.backends.xnnpack.partition.xnnpack_partitioner",
        "executorch.backends.xnnpack.quantizer.xnnpack_quantizer",
    )

    def make_partitioners(self, precision: str) -> list[Any]:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

        search_only_if_needed()
        return [XnnpackPartitioner()]

    def quantizer(self, options: QuantizerOptions) -> Quantizer:
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )

        class IntegerSafeQuantizer(XNNPACKQuantizer):  # type: ignore[misc]
            """XNNPACK's quantizer without the conversion of scalars in index arithmetic to float tensors.

            It converts the scalars of every add and mul; for token or position indices this breaks the graph. During
            the transformation such nodes get another target.
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

        dynamic = options.recipe == "int8-dynamic"
        quantizer = IntegerSafeQuantizer()
        config = get_symmetric_quantization_config(
            is_per_channel="per-tensor" not in options.recipe, is_dynamic=dynamic, is_qat=options.qat
        )
        if options.fake_quantize is not None:
            config = _with_fake_quantization(config, options.fake_quantize)
        if dynamic or options.recipe.endswith("-linear"):
            quantizer.set_module_type(nn.Linear, config)
            # Attention calls its projections as functions, so they are not linear modules.
            quantizer.set_module_type(nn.MultiheadAttention, config if dynamic else None)
        else:
            quantizer.set_global(config)
        if options.keeps_any:
            quantizer.set_filter_function(lambda node: not options.is_kept(node))
        return Quantizer(quantizer, dynamic=dynamic)

    def serialized_nodes(self, data: bytes) -> list[tuple[str, int]]:
        return node_kinds(data)


def _with_fake_quantization(config: Any, fake_quantize: type[Any]) -> Any:
    """Return a configuration of the quantizer with another fake quantization of activations and weights."""
    make = fake_quantize.with_args()

    def replaced(spec: Any) -> Any:
        return None if spec is None else dataclasses.replace(spec, observer_or_fake_quant_ctr=make)

    return dataclasses.replace(
        config,
        input_activation=replaced(config.input_activation),
        output_activation=replaced(config.output_activation),
        weight=replaced(config.weight),
    )


def _is_integer(node: torch.fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and not value.is_floating_point()


DELEGATE = _Xnnpack("xnnpack")
