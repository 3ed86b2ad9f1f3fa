"""The eager profile of a real model: every operator once, attributed to the module that called it."""

from __future__ import annotations

import msgspec
import pytest

from etui.analysis_kinds.profile import ProfileJob
from etui.engine.profile.eager import TIMELINE, run_eager_profile
from etui.formats.chrome_trace import Timeline
from etui.insight import OperatorSide
from tests.engine.conftest import TINY, Workshop


def profiled(workshop: Workshop, model: str, inferences: int) -> OperatorSide:
    """Return the eager side of a model's profile."""
    bundle = workshop.bundle(model)
    job = ProfileJob(
        bundle=bundle.path, model=model, program=None, delegate="eager", threads=1, inferences=inferences, run_id="run",
        budget_s=1.0, files_dir=str(workshop.cache_dir),
    )  # fmt: skip
    return run_eager_profile(job, workshop.events.append).side


@pytest.mark.slow
def test_operator_counts_once_in_the_innermost_calling_module(workshop: Workshop) -> None:
    side = profiled(workshop, f"{TINY}:convolutional", 12)
    # The time of the operators that these call (convolution, _convolution, mkldnn_convolution, addmm, t) is part of
    # theirs.
    assert [(one.name, one.origin.module, one.origin.module_type, one.calls) for one in side.operators] == [
        ("conv2d", "convolution", "Conv2d", 1),
        ("batch_norm", "norm", "BatchNorm2d", 1),
        ("relu", "", "Convolutional", 1),
        ("mean", "", "Convolutional", 1),
        ("linear", "head", "Linear", 1),
    ]
    assert side.inferences == 12 and side.unmapped_share == 0.0
    assert sum(one.share for one in side.operators) == pytest.approx(1.0)
    assert side.operators_ms == pytest.approx(sum(one.median_ms for one in side.operators))
    assert all(one.p90_ms is not None and one.p90_ms >= one.median_ms > 0 for one in side.operators)


@pytest.mark.slow
def test_calls_of_one_module_are_summed_in_one_operator(workshop: Workshop) -> None:
    side = profiled(workshop, f"{TINY}:repeated", 1)
    operators = {one.origin.module: one for one in side.operators if one.name == "linear"}
    assert {module: one.calls for module, one in operators.items()} == {"blocks.0": 3, "blocks.1": 1}
    (spans,) = msgspec.json.decode((workshop.cache_dir / TIMELINE).read_bytes(), type=Timeline).inferences
    for module, one in operators.items():
        spent_ns = sum(span.duration_ns for span in spans if (span.name, span.module) == ("aten::linear", module))
        assert one.median_ms == pytest.approx(spent_ns / 1e6)
        assert one.p90_ms is None
