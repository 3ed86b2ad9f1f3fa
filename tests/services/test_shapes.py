"""Shapes and threads as variants: every combination once, bounded, and refused if the model does not have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.catalog.find import find_model
from etui.services.request import FieldError, Options, specification
from etui.services.shapes import MOST_VARIANTS, ShapeError, parse_size
from etui.spec import SessionSpec, Variant

FP32 = (Variant("fp32", "xnnpack"),)


def session(model: str, options: Options, variants: tuple[Variant, ...] = FP32) -> SessionSpec:
    """Return the specification of a session of a model with these options."""
    return specification(find_model(model), variants, options)


def test_every_shape_is_a_variant_with_its_own_baseline() -> None:
    spec = session("resnet18", Options(input_size=("128", "160x320"), batch=(1, 4)))
    assert [(variant.input_size, variant.batch) for variant in spec.variants] == [
        ((128, 128), 1), ((128, 128), 4), ((160, 320), 1), ((160, 320), 4),
    ]  # fmt: skip
    assert len({variant.eager_label for variant in spec.variants}) == 4


def test_a_value_that_is_given_twice_is_measured_once() -> None:
    spec = session("resnet18", Options(input_size=(128, "128", "128x128")))
    assert [variant.input_size for variant in spec.variants] == [(128, 128)]


def test_one_number_of_threads_is_an_option_and_several_are_variants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etui.services.request.usable_cores", lambda: 4)
    one, several = session("resnet18", Options(threads=(2,))), session("resnet18", Options(threads=(1, 2)))
    assert (one.threads, [variant.threads for variant in one.variants]) == (2, [None])
    assert (several.threads, [variant.threads for variant in several.variants]) == (None, [1, 2])
    with pytest.raises(FieldError) as refused:
        session("resnet18", Options(threads=(1, 5)))
    assert refused.value.field == "threads"


def test_programs_and_baselines_of_a_shape_and_threads_share_one_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etui.services.request.usable_cores", lambda: 4)
    both = (Variant("fp32", "xnnpack"), Variant("fp32", "onnxruntime"))
    spec = session("resnet18", Options(batch=(1, 4), threads=(1, 2)), both)
    by_eager: dict[str, list[str]] = {}
    for variant in spec.variants:
        by_eager.setdefault(variant.eager_label, []).append(variant.delegate)
    assert len(by_eager) == 4 and all(found == ["xnnpack", "onnxruntime"] for found in by_eager.values())


def test_the_dynamic_program_is_measured_at_every_shape_beside_the_static_ones() -> None:
    spec = session("distilbert", Options(sequence=(16, 64), dynamic=True))
    assert [(variant.sequence, variant.dynamic) for variant in spec.variants] == [
        (16, False), (64, False), (16, True), (64, True),
    ]  # fmt: skip
    assert len({variant.eager_label for variant in spec.variants}) == 2


@pytest.mark.parametrize(
    ("model", "options", "field"),
    [
        ("distilbert", Options(input_size=(128,)), "input_size"),
        ("resnet18", Options(sequence=(16,)), "sequence"),
        ("vit_b_16", Options(input_size=(160,)), "input_size"),
        ("torchvision:vit_b_32", Options(input_size=(160,)), "input_size"),
        ("torchvision:maxvit_t", Options(input_size=(256,)), "input_size"),
        ("distilbert", Options(sequence=(513,)), "sequence"),
        ("resnet18", Options(input_size=("large",)), "input_size"),
        ("resnet18", Options(input_size=("0x3",)), "input_size"),
        ("resnet18", Options(batch=(100_000,)), "batch"),
        ("resnet18", Options(input_size=(128,), dynamic=True), "dynamic"),
        ("resnet18", Options(batch=tuple(range(1, MOST_VARIANTS + 2))), "batch"),
    ],
)
def test_what_a_model_does_not_take_is_refused_before_it_is_loaded(model: str, options: Options, field: str) -> None:
    with pytest.raises(FieldError) as refused:
        session(model, options)
    assert refused.value.field == field and refused.value.hint
    assert "\n" not in refused.value.message


def test_the_own_size_of_a_model_with_a_fixed_one_is_accepted() -> None:
    assert session("vit_b_16", Options(input_size=(224,))).variants[0].input_size == (224, 224)


def test_a_finished_program_has_its_shapes_but_not_its_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etui.services.request.usable_cores", lambda: 4)
    program = tmp_path / "model.pte"
    program.touch()
    as_is = (Variant("as-is", "as-is"),)
    with pytest.raises(FieldError):
        session(str(program), Options(batch=(1, 2)), as_is)
    assert len(session(str(program), Options(threads=(1, 2)), as_is).variants) == 2


@pytest.mark.parametrize(("text", "size"), [("224", (224, 224)), ("160x320", (160, 320)), (" 7 × 9 ", (7, 9))])
def test_sizes_are_height_and_width(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "12x", "-5", "1.5", "9999999"])
def test_what_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(ShapeError):
        parse_size(text)
