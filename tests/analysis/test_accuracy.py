"""PASS, FAIL and UNPROVEN, and the comparisons they are based on."""

from __future__ import annotations

import math

import msgspec
import pytest
import torch

from etui.analysis.accuracy import OF_ARITHMETIC, judge
from etui.catalog.find import tolerance_for
from etui.catalog.models import MODELS
from etui.engine.measure.accuracy import compare, real_tokens
from etui.results import Comparison, Tolerance
from tests.facts import lacking

STRICT = Tolerance(sqnr_db_min=60.0, cosine_min=0.999, source="test")


def several(count: int = 4, size: int = 100) -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [[torch.randn(1, size, generator=generator)] for _ in range(count)]


def noisy(outputs: list[list[torch.Tensor]], share: float) -> list[list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [[tensor + share * torch.randn(tensor.shape, generator=generator) for tensor in one] for one in outputs]


def compared(reference: list[list[torch.Tensor]], result: list[list[torch.Tensor]], meaning: str = "") -> Comparison:
    return compare(reference, result, meaning, "test")


def test_metrics_agree_with_their_formulas() -> None:
    reference, result = torch.tensor([[3.0, 4.0, 0.0]]), torch.tensor([[3.0, 4.5, -0.5]])
    metrics = compared([[reference]], [[result]]).outputs[0].metrics
    assert metrics is not None
    assert metrics.mae == pytest.approx(1 / 3)
    assert metrics.max_abs == pytest.approx(0.5)
    assert metrics.rmse == pytest.approx(math.sqrt(0.5 / 3))
    assert metrics.sqnr_db == pytest.approx(10 * math.log10(25 / 0.5))
    assert metrics.cosine == pytest.approx(27.0 / (5 * math.sqrt(9 + 20.25 + 0.25)))


def test_small_noise_passes_and_large_noise_fails_with_the_metric() -> None:
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
def test_output_without_information_is_unproven(outputs: list[list[torch.Tensor]]) -> None:
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
def test_wrong_shape_type_or_non_finite_value_fails_first(broken: object, word: str) -> None:
    assert callable(broken)
    reference = several()
    result = [[broken(one[0])] for one in reference]
    verdict, reason = judge(compared(reference, result), None)
    assert verdict == "FAIL"
    assert word in reason


def test_missing_output_fails() -> None:
    reference = [[torch.randn(3), torch.randn(3)], [torch.randn(3), torch.randn(3)]]
    assert judge(compared(reference, [one[:1] for one in reference]), STRICT)[0] == "FAIL"


def test_exact_match_passes_without_an_infinite_sqnr() -> None:
    reference = several()
    comparison = compared(reference, reference)
    assert comparison.overall.exact and comparison.overall.sqnr_db is None
    assert judge(comparison, STRICT)[0] == "PASS"


def test_missing_tolerance_is_unproven() -> None:
    reference = several()
    assert judge(compared(reference, noisy(reference, 1e-6)), None)[0] == "UNPROVEN"
    assert judge(compared(reference, noisy(reference, 1e-6)), Tolerance(source="empty"))[0] == "UNPROVEN"


def test_classes_are_compared_if_the_output_is_logits() -> None:
    reference = [[torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 9.0]])]]
    result = [[torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0, 9.0, 8.0]])]]
    metrics = compared(reference, result, "logits").overall
    assert (metrics.top1, metrics.top5) == (0.0, 1.0)
    assert compared(reference, result, "embedding").overall.top1 is None


def test_segmentation_map_is_compared_per_pixel() -> None:
    reference = torch.zeros(1, 3, 2, 2)
    reference[0, 1] = 1.0
    result = reference.clone()
    result[0, 2, 0, 0] = 5.0
    metrics = compared([[reference]], [[result]], "segmentation map").overall
    assert metrics.top1 == pytest.approx(0.75)


def test_exchanged_classes_fail_although_their_numbers_are_close() -> None:
    torch.manual_seed(0)
    reference = [[torch.randint(400, 900, (1, 16))] for _ in range(8)]
    usual = Tolerance(sqnr_db_min=15.0, cosine_min=0.98)
    neighbour = compared(reference, [[one[0] + 1] for one in reference])
    assert neighbour.overall.sqnr_db is not None and neighbour.overall.sqnr_db > 50 and neighbour.overall.top1 == 0
    assert judge(neighbour, usual)[0] == "FAIL" and judge(neighbour, usual, "synthetic")[0] == "UNPROVEN"
    few = compared(reference, [[torch.where(torch.arange(16) < 2, one[0] + 1, one[0])] for one in reference])
    assert judge(few, usual)[0] == "PASS" and judge(few, Tolerance(sqnr_db_min=15.0, top1_min=0.95))[0] == "FAIL"
    assert judge(neighbour, Tolerance(mae_max=1.0))[0] == "PASS"
    # A rare class that is missed has a large share of equal elements.
    rare = [[(torch.rand(1, 64) < 0.1).long()] for _ in range(8)]
    missed = compared(rare, [[torch.zeros_like(one[0])] for one in rare])
    assert missed.overall.top1 is not None and missed.overall.top1 > 0.75 and judge(missed, usual)[0] == "FAIL"


def test_integers_of_images_are_magnitudes() -> None:
    torch.manual_seed(0)
    reference = [[torch.randint(0, 250, (1, 3, 8, 8), dtype=torch.uint8)] for _ in range(4)]
    brighter = compared(reference, [[one[0] + 1] for one in reference])
    assert judge(brighter, Tolerance(sqnr_db_min=15.0, cosine_min=0.98))[0] == "PASS"


def test_half_precision_outputs_are_compared_in_full_precision() -> None:
    reference = several()
    comparison = compared(reference, [[one[0].half()] for one in reference])
    assert comparison.overall.sqnr_db is not None and comparison.overall.sqnr_db > 50
    assert comparison.outputs[0].problem is None


def with_output(outputs: list[list[torch.Tensor]], other: torch.Tensor) -> list[list[torch.Tensor]]:
    return [[*one, other.clone()] for one in outputs]


ANCHORS, NOTHING = torch.arange(1.0, 9.0), torch.zeros(8)


@pytest.mark.parametrize("constant", [ANCHORS, NOTHING, torch.tensor(4.6)], ids=["anchors", "zeros", "a scalar"])
def test_matching_constant_output_does_not_affect_the_verdict(constant: torch.Tensor) -> None:
    reference = several()
    expected = with_output(reference, constant)
    verdict, reason = judge(compared(expected, with_output(noisy(reference, 1e-4), constant)), STRICT)
    assert verdict == "PASS"
    assert not lacking(reason, "output 1", "4 of 8 outputs")
    assert judge(compared(expected, with_output(noisy(reference, 3.0), constant)), STRICT)[0] == "FAIL"
    assert judge(compared([[constant]] * 4, [[constant]] * 4), STRICT)[0] == "UNPROVEN"


@pytest.mark.parametrize("constant", [ANCHORS, NOTHING], ids=["anchors", "zeros"])
@pytest.mark.parametrize("alone", [True, False])
def test_noise_on_a_constant_reference_fails(constant: torch.Tensor, alone: bool) -> None:
    reference = [[constant]] * 4 if alone else with_output(several(), constant)
    generator = torch.Generator().manual_seed(2)
    result = [[*one[:-1], 100 * torch.randn(8, generator=generator)] for one in reference]
    verdict, reason = judge(compared(reference, result), STRICT)
    assert verdict == "FAIL"
    assert not lacking(reason, "no information", "reference")


def test_negligible_error_on_a_negligible_reference_is_unproven() -> None:
    reference = [[1e-9 * torch.randn(1, 10)] for _ in range(4)]
    assert judge(compared(reference, [[torch.zeros(1, 10)] for _ in reference]), STRICT)[0] == "UNPROVEN"


def test_too_few_informative_inputs_are_unproven() -> None:
    reference = several()
    dead = [[torch.zeros(1, 100)]] * 5
    assert judge(compared(reference + dead, noisy(reference, 1e-4) + dead), STRICT)[0] == "UNPROVEN"
    assert judge(compared(reference + dead, noisy(reference, 1.0) + dead), STRICT)[0] == "FAIL"


@pytest.mark.parametrize("dead", [1, 4])
def test_output_of_zeros_fails_a_tolerance_on_cosine_only(dead: int) -> None:
    reference = several()
    result = [[torch.zeros(1, 100)] for _ in range(dead)] + noisy(reference, 1e-4)[dead:]
    comparison = compared(reference, result)
    assert comparison.worst.cosine == 0.0
    assert judge(comparison, Tolerance(cosine_min=0.99))[0] == "FAIL"


def classes(agreeing: int, count: int = 8) -> Comparison:
    """Logits of which ``agreeing`` keep their best class, all of them very close to the reference."""
    generator = torch.Generator().manual_seed(3)
    reference, result = [], []
    for number in range(count):
        logits = torch.randn(1, 1000, generator=generator)
        best, second = logits.topk(2).indices[0].tolist()
        logits[0, second] = logits[0, best] - 1e-4
        moved = logits.clone()
        if number >= agreeing:
            moved[0, second] += 2e-4
        reference.append([logits])
        result.append([moved + 1e-7])
    return compared(reference, result, "logits")


def test_changed_classes_fail_even_if_the_numbers_are_close() -> None:
    tolerance = tolerance_for("mobilenet_v2", "int8")
    assert judge(classes(8), tolerance)[0] == judge(classes(6), tolerance)[0] == "PASS"
    verdict, reason = judge(classes(3), tolerance, "pretrained")
    assert verdict == "FAIL"
    assert not lacking(reason, "top-1", "0.375", "0.75") and OF_ARITHMETIC not in reason


def test_classes_of_untrained_weights_alone_are_unproven() -> None:
    tolerance = tolerance_for("mobilenet_v2", "int8")
    verdict, reason = judge(classes(3), tolerance, "synthetic")
    assert verdict == "UNPROVEN"
    assert not lacking(reason, "top-1", "0.375", "0.75") and reason.endswith(OF_ARITHMETIC)
    verdict, reason = judge(classes(8), tolerance, "synthetic")
    assert verdict == "PASS" and reason.endswith(OF_ARITHMETIC)
    reference = several(size=1000)
    verdict, reason = judge(compared(reference, noisy(reference, 1.0), "logits"), tolerance, "synthetic")
    assert verdict == "FAIL" and "worst SQNR" in reason


def test_top1_limit_applies_to_each_output() -> None:
    whole, spoiled = classes(8), classes(3)
    second = [msgspec.structs.replace(one, output=1, name="output 1") for one in spoiled.outputs]
    both = msgspec.structs.replace(whole, outputs=[*whole.outputs, *second])
    verdict, reason = judge(both, Tolerance(top1_min=0.6))
    assert verdict == "FAIL" and reason.startswith("output 1: top-1 agreement 0.375")


def test_padding_is_ignored() -> None:
    reference = [[torch.randn(1, 16, 8)] for _ in range(4)]
    masks = [torch.arange(16).unsqueeze(0) < real for real in (3, 5, 4, 9)]
    inputs = [(torch.zeros(1, 16, dtype=torch.long), mask.long()) for mask in masks]
    counted = real_tokens(MODELS["distilbert"], inputs)
    assert all(mask is not None and torch.equal(mask, real) for mask, real in zip(counted, masks, strict=True))
    assert real_tokens(MODELS["minilm"], inputs) == [None] * 4

    def outputs_with(change: float, *, padded: bool) -> list[list[torch.Tensor]]:
        return [
            [torch.where(mask.unsqueeze(-1) != padded, one[0] + change, one[0])]
            for one, mask in zip(reference, masks, strict=True)
        ]

    padding, real = outputs_with(9.0, padded=True), outputs_with(0.5, padded=False)
    assert compare(reference, padding, "hidden state", "test", counted).overall.exact
    assert not compare(reference, padding, "hidden state", "test").overall.exact
    spoiled = compare(reference, real, "hidden state", "test", counted)
    assert spoiled.overall.mae == pytest.approx(0.5)
    assert [one.shape for one in spoiled.outputs] == [[1, 16, 8]] * 4
    assert all(one.informative for one in spoiled.outputs)
    cut = [[one[0][:, :9]] for one in reference]
    assert judge(compare(reference, cut, "hidden state", "test", counted), None)[0] == "FAIL"
