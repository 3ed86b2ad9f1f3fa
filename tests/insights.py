"""Synthetic profiles, numeric gaps, graph stages and program sections of any size for tests."""

from __future__ import annotations

import msgspec

from etui.insight import (
    GraphStage,
    LayerGap,
    NumericGap,
    Operator,
    OperatorSide,
    Origin,
    Profile,
    Section,
    UndelegatedNode,
)
from etui.results import Delegation, RunDocument

AT = "2026-11-20T10:05:00.000Z"
_BLOCKS = ("layer1.0", "layer1.1", "layer2.0", "layer2.1", "layer3.0", "layer3.1", "layer4.0", "layer4.1")


def make_origin(module: str, module_type: str = "Conv2d", *operators: str) -> Origin:
    """Return a place in the source of a model."""
    stack = [
        "torchvision/models/resnet.py:268 in _forward_impl: x = self.layer1(x)",
        f"torchvision/models/resnet.py:92 in forward: out = self.{module.rpartition('.')[2]}(x)",
    ]
    return Origin(module=module, module_type=module_type, operators=list(operators), stack=stack)


def make_profile(blocks: int = 8) -> Profile:
    """Return the profile of a ResNet: per block two delegated convolutions and an addition, and an undelegated mean."""
    program: list[tuple[str, str, float, bool]] = [("Convolution (NHWC, F32) IGEMM", "conv1", 2.4, True)]
    eager: list[tuple[str, str, float, bool]] = [
        ("aten::convolution", "conv1", 2.9, False),
        ("aten::batch_norm", "bn1", 0.41, False),
        ("aten::relu_", "relu", 0.12, False),
    ]
    for number in range(blocks):
        module = _BLOCKS[number] if blocks <= len(_BLOCKS) else f"layers.{number}"
        cost = 0.55 + 0.11 * (number % 7)
        program += [
            ("Convolution (NHWC, F32) IGEMM", f"{module}.conv1", cost, True),
            ("Convolution (NHWC, F32) IGEMM", f"{module}.conv2", cost * 1.1, True),
            ("Add (ND)", module, 0.021, True),
        ]
        eager += [
            ("aten::convolution", f"{module}.conv1", cost * 1.4, False),
            ("aten::batch_norm", f"{module}.bn1", 0.08, False),
            ("aten::relu_", f"{module}.relu", 0.03, False),
            ("aten::convolution", f"{module}.conv2", cost * 1.5, False),
            ("aten::add_", module, 0.04, False),
        ]
    program += [
        ("aten::mean.out", "avgpool", 0.19, False),
        ("Fully Connected (NC, F32) GEMM", "fc", 0.31, True),
        ("aten::view_copy.out", "", 0.0004, False),
    ]
    eager += [("aten::mean", "avgpool", 0.05, False), ("aten::addmm", "fc", 0.28, False)]
    return Profile(
        created_at=AT,
        threads=2,
        program=_side(program, traced=1.041, sums=0.972),
        eager=_side(eager, traced=1.09, sums=0.85),
        notes=["Eager's operators were timed by torch.profiler, which slows short ones more than long ones."],
    )


def _side(timed: list[tuple[str, str, float, bool]], *, traced: float, sums: float) -> OperatorSide:
    total = sum(ms for _, _, ms, _ in timed)
    operators = [
        Operator(
            name=name,
            calls=1,
            median_ms=ms,
            p90_ms=ms * 1.07,
            share=ms / total,
            delegate="XnnpackBackend" if inside else None,
            subgraph=0 if inside else None,
            origin=make_origin(
                module, "Conv2d" if "onv" in name else "", *(["aten.conv2d.default"] if "onv" in name else [])
            )
            if module
            else Origin(),
        )
        for name, module, ms, inside in timed
    ]
    return OperatorSide(
        inferences=50,
        inference_ms=total / sums,
        operators_ms=total,
        operators=operators,
        untraced_ms=total / sums / traced,
        unmapped_share=0.012,
    )


def make_gap(layers: int = 21, broken: int = 6) -> NumericGap:
    """Return a numeric gap whose SQNR decreases slowly with depth, and sharply at one broken layer."""
    result = []
    for number in range(layers):
        decibels = 46.0 - 0.5 * number
        if number >= broken:
            decibels += 0.4 * (number - broken) - 24.0
        result.append(
            LayerGap(
                name=f"aten_convolution_default_{number}",
                elements=802_816 >> (number // 4),
                mse=10 ** (-decibels / 10),
                max_abs=10 ** (-decibels / 20) * 4,
                sqnr_db=None if not number else decibels,
                exact=not number,
                delegated=number != layers - 1,
                contribution=0.81 if number == broken else 0.19 / (layers - 1),
                origin=make_origin(f"layer{1 + number // 5}.{number // 2 % 2}.conv{1 + number % 2}"),
            )
        )
    module = result[broken].origin.module
    return NumericGap(
        created_at=AT,
        against="FP32 eager",
        method="Each layer's output was compared with eager's on the same input; a layer's contribution is what the "
        "output's error falls by when that layer alone runs in FP32.",
        inputs=2,
        threshold_db=20.0,
        layers=result,
        first_past=broken,
        suggestion=f"{module} makes 81 % of the error: keep it in FP32.",
        keep_fp32=module,
        notes=["Layers inside one subgraph were read from the quantized graph before it was lowered."],
    )


def make_stages() -> list[GraphStage]:
    """Return the graph stages from ATen to planned."""
    return [
        GraphStage(
            name="aten",
            operators={"aten.conv2d.default": 20, "aten.batch_norm.default": 20, "aten.relu_.default": 17},
            seconds=1.4,
        ),
        GraphStage(
            name="core aten",
            operators={"aten.convolution.default": 20, "aten._native_batch_norm_legit_no_training.default": 20,
                       "aten.relu.default": 17, "aten.view.default": 1},
            seconds=0.6,
        ),
        GraphStage(
            name="edge",
            operators={"aten.convolution.default": 20, "aten.relu.default": 17, "aten.view_copy.default": 1},
            seconds=2.1,
        ),
        GraphStage(name="delegated", operators={"executorch_call_delegate": 1, "aten.mean.dim": 2}, seconds=1.9),
        GraphStage(name="planned", operators={"executorch_call_delegate": 1, "aten.mean.out": 2}, seconds=0.2),
    ]  # fmt: skip


def make_sections() -> list[Section]:
    """Return the sections of a program file."""
    return [
        Section(path="program", size_bytes=12_345, detail="flatbuffer: 1 method, 4 instructions"),
        Section(path="delegates", size_bytes=46_600_000),
        Section(path="delegates/XnnpackBackend 0", size_bytes=46_600_000, detail="flatbuffer and weights"),
        Section(path="constants", size_bytes=87_655),
        Section(path="constants/fc.weight", size_bytes=80_000, detail="float32 10x2000"),
        Section(path="constants/fc.bias", size_bytes=7_655, detail="float32"),
    ]


def look_inside(document: RunDocument) -> RunDocument:
    """Fill the run with a profile, a gap, graph stages, sections and undelegated nodes, and return it."""
    document.profile = make_profile()
    document.gap = make_gap()
    document.graph_stages = make_stages()
    if document.artifact is not None:
        document.artifact = msgspec.structs.replace(document.artifact, sections=make_sections())
    document.delegation = Delegation(
        delegated_nodes=66,
        undelegated_nodes=4,
        subgraphs=3,
        undelegated_operators={"aten.native_layer_norm.default": 3, "aten.mean.dim": 1},
        outside=[
            *(
                UndelegatedNode(
                    operator="aten.native_layer_norm.default",
                    origin=make_origin(f"encoder.layers.{number}.norm", "LayerNorm", "aten.layer_norm.default"),
                    breaks=True,
                )
                for number in range(3)
            ),
            UndelegatedNode(operator="aten.mean.dim", origin=make_origin("avgpool", "AdaptiveAvgPool2d")),
        ],
    )
    return document
