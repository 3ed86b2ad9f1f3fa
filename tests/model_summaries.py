"""Made-up summaries of models."""

from __future__ import annotations

from typing import Any

from etui.model_summary import ModelSummary, ModuleSummary, TensorInfo

IMAGE = TensorInfo(shape=[1, 3, 32, 32], dtype="float32")
FEATURES = TensorInfo(shape=[1, 8, 32, 32], dtype="float32")


def made_up(blocks: int = 3, *, model: str = "net") -> ModelSummary:
    """A model of some blocks of a convolution and a custom layer; the second block has most work."""
    modules = []
    for index in range(blocks):
        work = 5_000_000 if index == 1 else 1_000_000
        inside: dict[str, Any] = {"inputs": [FEATURES], "outputs": [FEATURES], "calls": 1}
        modules += [
            ModuleSummary(
                path=f"body.{index}", type="Block", depth=2, parameters=600, trainable=600, macs=work,
                activation_bytes=65_536, own_activation_bytes=32_768, unknown_calls=int(index == 0), **inside,
            ),
            ModuleSummary(
                path=f"body.{index}.conv", type="Conv2d", depth=3, parameters=600, trainable=600, own_parameters=600,
                macs=work, own_macs=work, activation_bytes=32_768, own_activation_bytes=32_768,
                traffic_bytes=70_000, own_traffic_bytes=70_000, **inside,
            ),
            ModuleSummary(
                path=f"body.{index}.mine", type="Mine", depth=3, uncounted={"mine::twice": 1} if index == 0 else {},
                unknown_calls=int(index == 0),
                **inside,
            ),
        ]  # fmt: skip
    macs = sum(module.own_macs for module in modules)
    activations = sum(module.own_activation_bytes for module in modules)
    parameters = sum(module.own_parameters for module in modules)
    whole: dict[str, Any] = {
        "parameters": parameters,
        "trainable": parameters,
        "macs": macs,
        "activation_bytes": activations,
        "unknown_calls": 1,
    }
    return ModelSummary(
        model=model,
        title="a made-up net",
        inputs=[IMAGE],
        outputs=[FEATURES],
        parameters=parameters,
        trainable=parameters,
        buffers=0,
        parameter_bytes=4 * parameters,
        buffer_bytes=0,
        parameters_by_dtype={"float32": parameters},
        estimated_bytes={"fp32": 4 * parameters, "fp16": 2 * parameters, "int8": parameters},
        input_bytes=12_288,
        output_bytes=32_768,
        forward_bytes=activations,
        peak_bytes=65_536,
        backward_bytes=activations,
        backward_note="",
        macs=macs,
        uncounted={"mine::twice": 1},
        counted_on="shapes",
        notes=[],
        modules=[
            ModuleSummary(path="", type="Net", depth=0, calls=1, inputs=[IMAGE], outputs=[FEATURES], **whole),
            ModuleSummary(
                path="body", type="Sequential", depth=1, calls=1, inputs=[IMAGE], outputs=[FEATURES], **whole
            ),
            *modules,
        ],
        torch_version="2.13.0",
    )
