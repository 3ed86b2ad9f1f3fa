"""Inputs at a requested shape, and the layer that does not take it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from etui.catalog.models import MODELS
from etui.engine.models.input_shapes import changed_to, check_made, factory_arguments, naming_layer, requested
from etui.engine.models.inputs import at_shape, catalog_inputs, example_inputs
from etui.engine.models.user_inputs import Examples, content
from etui.errors import PreparationError
from etui.spec import OWN_SHAPE, Shape


def test_photos_have_the_requested_size_and_batch() -> None:
    entry = MODELS["resnet18"]
    inputs = catalog_inputs(entry, 4, 4, 0, None, Shape(input_size=(40, 80), batch=3))
    assert [tuple(tensor.shape) for tensor in inputs.accuracy[0]] == [(3, 3, 40, 80)]
    assert {tuple(tensors[0].shape) for tensors in (*inputs.accuracy, *inputs.calibration)} == {(3, 3, 40, 80)}
    assert len({tensors[0].sum().item() for tensors in inputs.accuracy}) == len(inputs.accuracy) >= 2
    assert inputs.info.shapes == [[3, 3, 40, 80]]


def test_the_items_of_a_batch_are_the_inputs_of_single_inferences() -> None:
    entry = MODELS["resnet18"]
    single = catalog_inputs(entry, 4, 0, 0, None, Shape(input_size=(32, 32)))
    batched = catalog_inputs(entry, 4, 0, 0, None, Shape(input_size=(32, 32), batch=2))
    assert torch.equal(batched.accuracy[0][0], torch.cat([single.accuracy[0][0], single.accuracy[1][0]]))


def test_texts_have_the_requested_length() -> None:
    inputs = catalog_inputs(MODELS["distilbert"], 2, 1, 0, None, Shape(sequence=16, batch=2))
    assert [tuple(tensor.shape) for tensor in inputs.accuracy[0]] == [(2, 16), (2, 16)]


def test_the_own_shape_of_a_catalog_model_gives_the_same_bundle() -> None:
    assert requested(MODELS["resnet18"], Shape(input_size=(224, 224), batch=1)) == OWN_SHAPE
    assert requested(MODELS["distilbert"], Shape(sequence=128)) == OWN_SHAPE
    assert requested(MODELS["resnet18"], Shape(input_size=(224, 225))) == Shape(input_size=(224, 225))


def test_inputs_of_a_factory_are_resized_lengthened_and_repeated() -> None:
    image, ids = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4), torch.arange(10).reshape(2, 5)
    scale = torch.ones(1)
    changed = changed_to(Shape(input_size=(8, 6), sequence=12, batch=5), [(image, ids, scale)], "a model")
    first, second, third = changed[0]
    assert first.shape == (5, 3, 8, 6) and second.shape == (5, 12)
    assert torch.equal(second[0], ids[0].repeat(3)[:12]) and torch.equal(third, scale)
    # The range of the values is that of the example.
    assert first.min() >= image.min() and first.max() <= image.max()


def test_a_batch_consists_of_different_examples() -> None:
    examples = [(torch.full((1, 2), float(number)),) for number in range(3)]
    (first,), (second,), _ = changed_to(Shape(batch=2), examples, "a model")
    assert first[:, 0].tolist() == [0, 1] and second[:, 0].tolist() == [1, 2]


@pytest.mark.parametrize("shape", [Shape(input_size=(8, 8)), Shape(sequence=4)])
def test_what_cannot_be_changed_is_refused(shape: Shape) -> None:
    with pytest.raises(PreparationError) as refused:
        changed_to(shape, [(torch.zeros(1, 7),)], "mine.py:make")
    assert "mine.py:make" in refused.value.message and "parameter" in refused.value.hint


def test_a_factory_gets_the_parts_that_it_has_parameters_for() -> None:
    def make(input_size: tuple[int, int] = (8, 8), batch: int = 1) -> None:
        del input_size, batch

    keywords, rest = factory_arguments(make, Shape(batch=4, sequence=3))
    assert keywords == {"batch": 4} and rest == Shape(sequence=3)


def test_a_factory_that_ignores_its_parameter_is_refused() -> None:
    asked = Shape(input_size=(8, 6), batch=4, sequence=12)
    good = (torch.zeros(4, 3, 8, 6), torch.zeros(4, 12))
    check_made(asked, OWN_SHAPE, good, "mine.py:make")
    check_made(asked, asked, (torch.zeros(1, 7),), "mine.py:make")
    for ignored, made in (("batch", (1, 8, 6, 12)), ("input_size", (4, 3, 6, 8, 12)), ("sequence", (4, 3, 8, 6))):
        with pytest.raises(PreparationError, match=ignored):
            check_made(asked, OWN_SHAPE, (torch.zeros(made),), "mine.py:make")


class Fixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(4 * 6 * 6, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.features(image))
        return result


def test_the_layer_that_does_not_take_a_shape_is_named() -> None:
    module, shape = Fixed(), Shape(input_size=(9, 9))
    with pytest.raises(PreparationError) as refused, naming_layer(module, shape, "net"):
        module(torch.zeros(1, 3, 9, 9))
    message = refused.value.message
    assert "9x9" in message and "head (Linear)" in message and "1x196" in message and "\n" not in message
    # The hooks are gone.
    assert module(torch.zeros(1, 3, 8, 8)).shape == (1, 2)


def test_errors_without_a_requested_shape_are_those_of_the_model() -> None:
    module = Fixed()
    with pytest.raises(RuntimeError), naming_layer(module, OWN_SHAPE, "net"):
        module(torch.zeros(1, 3, 9, 9))


@pytest.mark.parametrize(("texts", "separate"), [(8, True), (1, False)])
def test_texts_with_a_common_beginning_are_not_used_for_both(texts: int, separate: bool) -> None:
    rows = [torch.tensor([[7, 7, number % texts, number]]) for number in range(16)]
    inputs = example_inputs(Examples.of_model(rows, None, "net"), 4, 12, 0)
    changed = at_shape(inputs, Shape(sequence=3), "net")
    shared = {content(one) for one in changed.accuracy} & {content(one) for one in changed.calibration}
    assert bool(shared) is not separate
    assert changed.info.calibration_count == len(changed.calibration) > 0
    assert changed.info.split.startswith("none: ") is not separate and changed.info.split != inputs.info.split
