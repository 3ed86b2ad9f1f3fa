"""Texts of a model's summary say what is known, and what is not."""

from __future__ import annotations

import pytest

from etui.model_summary import ModelSummary, ModuleSummary, TensorInfo
from etui.wording import model_summary as wording


def summary_with(**changes: object) -> ModelSummary:
    facts: dict[str, object] = {
        "model": "net", "title": "a net", "inputs": [TensorInfo(shape=[1, 8], dtype="float32")], "outputs": [],
        "parameters": 100, "trainable": 100, "buffers": 0, "parameter_bytes": 400, "buffer_bytes": 0,
        "parameters_by_dtype": {"float32": 100}, "estimated_bytes": {"fp32": 400}, "input_bytes": 32,
        "output_bytes": 0, "forward_bytes": 64, "peak_bytes": 64, "backward_bytes": 32, "backward_note": "",
        "macs": 1000, "uncounted": {}, "counted_on": "shapes", "notes": [], "modules": [], "torch_version": "2.13.0",
    }  # fmt: skip
    return ModelSummary(**(facts | changes))  # type: ignore[arg-type]


def value(summary: ModelSummary, label: str) -> str:
    return next(entry.value for entry in wording.totals(summary) if entry.label == label)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1_000, "1.00 k"),
        (11_689_512, "11.7 M"),
        (1_814_073_344, "1.81 G"),
        (2 * 10**12, "2.00 T"),
    ],
)
def test_amounts(count: int, shown: str) -> None:
    assert wording.amount(count) == shown


def test_unknown_work_is_named_and_never_zero() -> None:
    summary = summary_with(uncounted={"mine::twice": 2})
    assert "mine::twice" in value(summary, "not counted")
    module = ModuleSummary(path="a", type="A", depth=1, uncounted={"mine::twice": 2}, unknown_calls=2)
    assert wording.macs(module) == "?"
    assert wording.macs(ModuleSummary(path="a", type="A", depth=1)) == "-"


def test_training_memory_is_weights_gradients_inputs_and_saved_activations() -> None:
    assert value(summary_with(), "training").startswith("864 B")
    assert value(summary_with(trainable=50), "training").startswith("664 B")
    assert "no training mode" in value(
        summary_with(backward_bytes=None, backward_note="an exported program has no training mode"), "training"
    )


def test_depth_fits_in_the_lines() -> None:
    modules = [ModuleSummary(path=path, type="M", depth=path.count(".") + 1) for path in ("a", "a.b", "a.c", "a.b.c")]
    summary = summary_with(modules=[ModuleSummary(path="", type="M", depth=0), *modules])
    assert [wording.depth_for(summary, lines) for lines in (1, 4, 5)] == [1, 2, 3]
