"""One side of a profile has medians over the inferences, and the overhead of tracing from inferences without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.analysis_kinds.profile import ProfileJob
from etui.engine.profile import program as profile
from etui.engine.profile.aggregate import Times, TracedOperator, side_of
from etui.engine.runtime.execution import LoadedProgram, TensorTuple
from etui.insight import Origin
from tests.engine.conftest import TINY, Workshop


def seen(name: str, origin: Origin) -> TracedOperator:
    return TracedOperator((name,), name, None, None, origin)


def test_operator_metrics_are_over_the_inferences_and_its_share_is_of_the_operators() -> None:
    operators = [seen("a", Origin(module="a")), seen("b", Origin(module_type="Model")), seen("c", Origin())]
    inferences: list[Times] = [
        {("a",): (2, 10.0 + number), ("b",): (1, 3.0), ("c",): (1, 100.0 if number == 10 else 1.0)}
        for number in range(11)
    ]
    del inferences[0]["b",]
    side = side_of(operators, inferences, [30.0] * 10 + [130.0], [25.0, 20.0, 30.0])
    assert [(one.calls, one.median_ms) for one in side.operators] == [(2, 15.0), (1, 3.0), (1, 1.0)]
    assert side.operators[0].p90_ms == pytest.approx(19.0)
    assert (side.inferences, side.operators_ms) == (11, 19.0)
    assert [one.share for one in side.operators] == pytest.approx([15 / 19, 3 / 19, 1 / 19])
    assert (side.inference_ms, side.untraced_ms) == (30.0, 25.0)
    # The class of the model itself is known, although it has no path.
    assert side.unmapped_share == pytest.approx(1 / 19)


def test_missing_inferences_give_no_high_percentile_and_no_overhead() -> None:
    side = side_of([seen("a", Origin())], [{("a",): (1, 0.0)}] * 9, [1.0], [])
    assert side.operators[0].p90_ms is None and side.operators[0].share == 0.0
    assert side.untraced_ms is None


@pytest.mark.slow
def test_overhead_of_tracing_is_measured_with_untraced_inferences(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = f"{TINY}:convolutional"
    bundle = workshop.bundle(model)
    lowered = workshop.lower(model, bundle, "fp32")
    traced: list[bool] = []

    def timed(call: LoadedProgram, inputs: TensorTuple) -> float:
        traces = bool(call._program.has_etdump())
        call(inputs)
        traced.append(traces)
        return 0.003 if traces else 0.002

    monkeypatch.setattr(profile, "timed", timed)
    job = ProfileJob(
        bundle=bundle.path, model=model, program=str(Path(lowered.path)), delegate="xnnpack", threads=1, inferences=4,
        budget_s=1.0, run_id="run",
    )  # fmt: skip
    side = profile.run_profile(job, workshop.events.append).side
    assert (side.inferences, side.inference_ms, side.untraced_ms) == (4, 3.0, 2.0)
    # Alternating, so that drift affects both equally.
    assert traced[-8:] == [False, True] * 4


def test_high_percentile_of_equal_times_is_that_time() -> None:
    (operator,) = side_of([seen("a", Origin())], [{("a",): (1, 0.0013)}] * 12, [1.0], []).operators
    assert operator.p90_ms == operator.median_ms == 0.0013
