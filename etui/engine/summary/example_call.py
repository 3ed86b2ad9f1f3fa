"""Build a model to look at its structure: catalog models without the values of their weights, with example inputs."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn

from etui.catalog.find import Model
from etui.catalog.models import ModelEntry
from etui.engine.models.build import build, build_raw, finish
from etui.engine.models.call_structure import CallStructure, Inputs, plain_structure
from etui.engine.models.input_shapes import changed_to
from etui.engine.models.inputs import catalog_inputs
from etui.errors import PreparationError
from etui.spec import Shape


class ExampleCall(NamedTuple):
    """A module, and the tensors and the structure of the arguments of one call."""

    module: nn.Module
    inputs: Inputs
    structure: CallStructure


def example_call(model: Model, shape: Shape, seed: int, *, allow_pickle: bool) -> ExampleCall:
    """Build a model, with example inputs of a shape.

    Raises PreparationError if it has no example inputs; exceptions of the user's code are not caught.
    """
    if isinstance(model, ModelEntry):
        # The structure needs no values, except the inputs' own.
        raw: Any = build_raw(model, initialize=False)
        if model.builder is not None:
            raw.tie_weights()  # part of the initialization that was omitted
        module = finish(model, raw, keep=False, freeze=False)
        inputs = catalog_inputs(model, 1, 0, seed, None, shape).accuracy[0]
        return ExampleCall(module, inputs, plain_structure(len(inputs)))
    built = build(model, seed=seed, allow_pickle=allow_pickle, shape=shape, freeze=False)
    if built.example is None:
        raise PreparationError(f"{model.name} has no example inputs", "return them with the module")
    example = built.example.take(1, seed)[0]
    (tensors,) = changed_to(built.rest, [example.tensors], model.reference)
    return ExampleCall(built.module, tensors, example.structure)
