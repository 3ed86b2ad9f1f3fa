"""PASS, FAIL and UNPROVEN, and the comparisons they rest on."""

from __future__ import annotations

import math

import pytest
import torch

from etui.analysis.accuracy import judge
from etui.engine.accuracy import compare
from etui.results import Comparison, Tolerance

STRICT = Tolerance(sqnr_db_min=60.0, cosine_min=0.999, source="test")


def several(count: int = 4, size: int = 100) -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [[torch.randn(1, size, generator=generator)] for _ in range(count)]


def noisy(outputs: list[list[torch.Tensor]], share: float) -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [[tensor + share * torch.randn(tensor.shape, generator=generator) for tensor in one] for one in outputs]


def compared(reference: list[list[torch.Tensor]], result: list[list[torch.Tensor]], meaning: str = "") -> Comparison:
    return compare(reference, result, meaning, "test")


def test_the_figures_are_what_their_formulas_say() -> None:
    reference, result = torch.tensor([[3.0, 4.0, 0.0]]), torch.tensor([[3.0, 4.5, -0.5]])
    metrics = compared([[reference]], [[result]]).outputs[0].metrics
    assert metrics is not None
    assert metrics.mae == pytest.approx(1 / 3)
    assert metrics.max_abs == pytest.approx(0.5)
    assert metrics.rmse == pytest.approx(math.sqrt(0.5 / 3))
    assert metrics.sqnr_db == pytest.approx(10 * math.log10(25 / 0.5))
    assert metrics.cosine == pytest.approx(27.0 / (5 * math.sqrt(9 + 20.25 + 0.25)))


def test_small_noise_passes_and_large_noise_fails_with_the_figure() -> None:
    reference = several()
    assert judge(compared(reference, noisy(reference, 1e-4)), STRICT)[0] == "PASS"
    verdict, reason = judge(compared(reference, noisy(reference, 0.1)), STRICT)
    assert verdict == "FAIL"
    assert "SQNR" in reason and "60 dB" in reason


def test_one_bad_input_among_good_ones_fails() -> None:
    reference = several()
    result = [*noisy(reference, 1e-5)[:-1], noisy(reference, 0.5)[-1]]
    assert judge(compared(reference, result), STRICT)[0] == "FAIL"


@pytest.mark.parametrize(
    "outputs",
    [
        [[torch.full((1, 10), 0.25)], [torch.full((1, 10), 0.5)]],
        [[torch.randn(1, 10) * 1e-10], [torch.randn(1, 10) * 1e-10]],
        [[torch.arange(10.0)], [torch.arange(10.0)]],
    ],
    ids=["constant", "no magnitude", "the same for every input"],
)
def test_an_output_without_information_proves_nothing(outputs: list[list[torch.Tensor]]) -> None:
    verdict, reason = judge(compared(outputs, outputs), STRICT)
    assert verdict == "UNPROVEN"
    assert "no information" in reason


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        (lambda one: one[:, :5], "shape"),
        (lambda one: one * float("nan"), "NaN"),
        (lambda one: one / 0.0, "infinity"),
        (lambda one: one.to(torch.int64), "int64"),
    ],
)
def test_structure_and_finite_values_come_first(broken: object, word: str) -> None:
    assert callable(broken)
    reference = several()
    result = [[broken(one[0])] for one in reference]
    verdict, reason = judge(compared(reference, result), None)
    assert verdict == "FAIL"
    assert word in reason


def test_a_missing_output_fails() -> None:
    reference = [[torch.randn(3), torch.randn(3)], [torch.randn(3), torch.randn(3)]]
    assert judge(compared(reference, [one[:1] for one in reference]), STRICT)[0] == "FAIL"


def test_an_exact_match_passes_without_an_infinite_figure() -> None:
    reference = several()
    comparison = compared(reference, reference)
    assert comparison.overall.exact and comparison.overall.sqnr_db is None
    assert judge(comparison, STRICT)[0] == "PASS"


def test_no_tolerance_proves_nothing() -> None:
    reference = several()
    assert judge(compared(reference, noisy(reference, 1e-6)), None)[0] == "UNPROVEN"
    assert judge(compared(reference, noisy(reference, 1e-6)), Tolerance(source="empty"))[0] == "UNPROVEN"


def test_classes_are_compared_where_they_are_what_the_output_means() -> None:
    reference = [[torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 9.0]])]]
    result = [[torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0, 9.0, 8.0]])]]
    metrics = compared(reference, result, "logits").overall
    assert (metrics.top1, metrics.top5) == (0.0, 1.0)
    assert compared(reference, result, "embedding").overall.top1 is None


def test_a_segmentation_map_is_compared_pixel_by_pixel() -> None:
    reference = torch.zeros(1, 3, 2, 2)
    reference[0, 1] = 1.0
    result = reference.clone()
    result[0, 2, 0, 0] = 5.0
    metrics = compared([[reference]], [[result]], "segmentation map").overall
    assert metrics.top1 == pytest.approx(0.75)


def test_half_precision_outputs_are_compared_in_full() -> None:
    reference = several()
    comparison = compared(reference, [[one[0].half()] for one in reference])
    assert comparison.overall.sqnr_db is not None and comparison.overall.sqnr_db > 50
    assert comparison.outputs[0].problem is None
