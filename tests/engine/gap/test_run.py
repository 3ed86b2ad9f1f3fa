"""Numeric gaps: layers are paired with their counterparts, and the error attributed to a layer is the improvement from
quantizing without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from etui.analysis_kinds.gap import GapJob
from etui.engine.gap.graph_pair import GraphPair
from etui.engine.gap.interpreter import GapSums, GraphInterpreter
from etui.engine.gap.run import run_gap
from etui.engine.lowering.flat_export import export
from etui.engine.lowering.keep_fp32 import check_modules
from etui.engine.lowering.quantize import quantize
from etui.engine.models.outputs import flat_outputs
from etui.errors import PreparationError
from etui.insight import NumericGap
from tests.engine import tiny
from tests.engine.conftest import TINY, Workshop


def gap_of(workshop: Workshop, model: str, precision: str, delegate: str = "xnnpack", **options: Any) -> NumericGap:
    """Prepare a program and determine its numeric gap, as the runner's jobs do."""
    bundle = workshop.bundle(model)
    lowered = workshop.lower(model, bundle, precision, delegate)
    fields: dict[str, Any] = {"keep_fp32": (), "inputs": 2, "threshold_db": None, "budget_s": 600.0, **options}
    job = GapJob(
        bundle=bundle.path,
        model=model,
        program_dir=str(Path(lowered.path).parent),
        precision=precision,
        delegate=delegate,
        arithmetic=lowered.arithmetic,
        calibration_count=2,
        threads=1,
        run_id="run",
        **fields,
    )
    return run_gap(job, workshop.events.append)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "model", "module"),
    [
        ("int8-static/1", tiny.Spoiled, "middle"),
        ("int8-static/1", tiny.Spoiled, "head"),
        ("int8-static-per-tensor/1", tiny.Spoiled, "middle"),
        ("int8-dynamic/1", tiny.Projections, "key"),
        ("8da4w/1", tiny.Projections, "key"),
    ],
)
def test_keeping_a_module_in_fp32_equals_quantizing_without_it(recipe: str, model: Any, module: str) -> None:
    torch.manual_seed(0)
    whole = model().eval()
    inputs = (torch.randn(1, 3, 16, 16) if model is tiny.Spoiled else torch.randn(8, 32),)
    exported = export(whole, inputs)

    def quantized(keep: tuple[str, ...]) -> Any:
        fresh = model().eval()
        fresh.load_state_dict(whole.state_dict())
        return quantize(fresh, export(fresh, inputs), inputs, [inputs], recipe, keep=keep, keep_observed=True)

    with torch.no_grad():
        graph = quantized(())
        observed = graph.observed
        pair = (
            GraphPair(observed, graph.module)
            if observed is not None
            else GraphPair(exported.module(check_guards=False), graph.program.module(check_guards=False))
        )
        expected = flat_outputs(quantized((module,)).module(*inputs))[0]
        plain = pair.changed.outputs(inputs)[0]
        output = pair.changed.outputs(inputs, pair.keeping_fp32([module]))[0]
        torch.testing.assert_close(pair.reference.outputs(inputs)[0], whole(*inputs), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(plain, flat_outputs(graph.module(*inputs))[0], atol=1e-6, rtol=1e-5)
    assert not torch.equal(plain, output)
    # At most one step of the output's quantization grid, because a value may be rounded to the other side.
    assert float((output - expected).abs().max()) <= 0.2 * float((plain - expected).abs().max())
    everything = {(edge.user, edge.argument): edge.unquantized for edge in pair.edges}
    torch.testing.assert_close(pair.changed.outputs(inputs, everything)[0], whole(*inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_damaged_layer_is_listed_first_with_its_error(workshop: Workshop) -> None:
    gap = gap_of(workshop, f"{TINY}:spoiled", "int8-static-per-tensor")
    assert gap.first_past is not None
    first = gap.layers[gap.first_past]
    assert (first.name, first.origin.module_type, first.origin.operators) == ("middle", "Conv2d", ["aten.conv2d"])
    assert max(gap.layers, key=lambda layer: layer.contribution or 0.0) is first
    assert (first.contribution or 0.0) > 0.8
    assert gap.keep_fp32 == "middle"
    assert "middle" in gap.suggestion and gap.keep_fp32 == "middle"
    assert gap.layers[-1].name == "lowering for xnnpack"
    assert not gap.notes, gap.notes


@pytest.mark.slow
@pytest.mark.parametrize("delegate", ["xnnpack", "portable"])
def test_each_value_of_an_fp32_program_is_compared_with_its_counterpart(workshop: Workshop, delegate: str) -> None:
    gap = gap_of(workshop, f"{TINY}:projections", "fp32", delegate)
    assert not gap.notes, gap.notes
    assert all(layer.exact or (layer.sqnr_db or 0.0) > 100 for layer in gap.layers), gap.layers
    assert gap.first_past is None
    assert not gap.suggestion
    outside = [layer for layer in gap.layers if not layer.delegated]
    assert [layer.origin.module for layer in outside if layer.origin.operators == ["aten.layer_norm"]] == ["norm"] * 2
    if delegate == "portable":
        assert len(outside) == len(gap.layers)
        assert {"query", "key", "value"} <= {layer.name for layer in gap.layers}
    else:
        # The outputs of the first and the last subgraph.
        assert sum(bool(layer.delegated) for layer in gap.layers) >= 2


@pytest.mark.slow
def test_views_neither_hide_nor_replace_a_layer(workshop: Workshop) -> None:
    gap = gap_of(workshop, f"{TINY}:blocks", "fp32", "portable")
    assert {f"layers.{block}.{linear}" for block in range(4) for linear in range(2)} <= {one.name for one in gap.layers}
    assert all((layer.sqnr_db or 0.0) > 100 for layer in gap.layers), gap.layers
    assert len(gap.layers) == 4 * 6


@pytest.mark.slow
def test_half_precision_is_compared_per_layer_without_attribution(workshop: Workshop) -> None:
    gap = gap_of(workshop, f"{TINY}:convolutional", "fp16")
    assert {"convolution", "head"} <= {layer.origin.module for layer in gap.layers}
    assert all(30 < (layer.sqnr_db or 0.0) < 120 for layer in gap.layers[:-1])
    assert all(layer.contribution is None for layer in gap.layers)


@pytest.mark.slow
def test_only_outputs_are_compared_if_the_debug_buffer_is_too_small(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etui.engine.gap.debug_buffer.available_bytes", lambda: 1 << 20)
    gap = gap_of(workshop, f"{TINY}:projections", "fp32")
    assert [layer.name for layer in gap.layers] == ["the whole program (xnnpack)"]
    assert (gap.layers[0].sqnr_db or 0.0) > 100
    assert any("debug buffer" in note for note in gap.notes)


def test_masks_are_ignored_and_non_finite_values_are_counted() -> None:
    sums = GapSums()
    sums.add(torch.tensor([1.0, -torch.inf, -3e38, 2.0, 4.0]), torch.tensor([1.5, -torch.inf, 0.0, torch.nan, 4.0]))
    assert (sums.count, sums.non_finite) == (2, 1)
    assert sums.squared == 0.25
    assert sums.power == 17.0
    assert not sums.exact


def test_uncompared_layer_is_not_exact() -> None:
    sums = GapSums()
    assert not sums.exact
    sums.add(torch.full((3,), torch.nan), torch.ones(3))
    assert (sums.count, sums.exact, sums.sqnr_db) == (0, False, None)
    sums.add(torch.ones(3), torch.ones(3))
    assert sums.exact


@pytest.mark.slow
def test_model_that_returns_nan_is_not_exact(workshop: Workshop) -> None:
    gap = gap_of(workshop, f"{TINY}:nowhere", "fp32")
    assert gap.layers == []
    assert any("not finite" in note for note in gap.notes)


def test_interpreter_frees_values_after_their_last_use_and_applies_bypasses() -> None:
    class Sum(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            doubled = x * 2
            return torch.relu(doubled) + x

    module = export(Sum(), (torch.ones(3),)).module(check_guards=False)
    assert isinstance(module, torch.fx.GraphModule)
    interpreter = GraphInterpreter(module)
    named = {node.name: node for node in interpreter.nodes}
    assert interpreter.outputs([torch.ones(3)])[0].tolist() == [3.0, 3.0, 3.0]
    instead = {(named["relu"], named["mul"]): torch.full((3,), 5.0)}
    assert interpreter.outputs([torch.ones(3)], instead)[0].tolist() == [6.0, 6.0, 6.0]
    shown = dict(interpreter.values([torch.ones(3)], {named["mul"]}))
    assert shown[named["mul"]].tolist() == [2.0, 2.0, 2.0]


def test_unknown_modules_are_refused_with_similar_names() -> None:
    module = tiny.Spoiled()
    check_modules(module, ["stem", "middle"])
    with pytest.raises(PreparationError, match="no module 'midle'") as refused:
        check_modules(module, ["stem", "midle"])
    assert "middle" in refused.value.hint
    with pytest.raises(PreparationError) as refused:
        check_modules(module, ["zzz"])
    assert "stem, middle, tail, head" in refused.value.hint
    # An exported program has no submodule for a module without weights; its nodes still name it.
    inner = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    exported = torch.export.export(torch.nn.Sequential(inner), (torch.randn(1, 2),)).module(check_guards=False)
    check_modules(exported, ["0", "0.0", "0.1"])
    with pytest.raises(PreparationError):
        check_modules(exported, ["0.2"])
