"""Arguments of any structure: flattened in the order of torch's pytrees, put together again, and exported."""

from __future__ import annotations

from collections import UserDict
from typing import Any

import msgspec
import numpy
import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

import etui
from etui.engine.lowering.flat_export import export
from etui.engine.models.call_structure import CallStructure, flat_call, plain_structure
from etui.errors import PreparationError
from tests.models_zoo import zoo

A, B, C = torch.randn(2, 3), torch.randn(4), torch.arange(3)


@pytest.mark.parametrize(
    ("example", "args", "kwargs"),
    [
        (A, (A,), {}),
        ((A, B), (A, B), {}),
        ([A, None, 3], (A, None, 3), {}),
        (({"x": A, "y": [B, (C, None)]},), ({"x": A, "y": [B, (C, None)]},), {}),
        ({"y": B, "x": A}, (), {"y": B, "x": A}),
        (etui.Args(A, 0.5, mask=[B], name="mean", flag=True), (A, 0.5), {"mask": [B], "name": "mean", "flag": True}),
        (etui.Args([]), None, {}),
        ((A, float("inf")), (A, float("inf")), {}),
        (UserDict({"ids": C}), (), {"ids": C}),
        ((numpy.arange(3), numpy.int64(2)), (C, 2), {}),
    ],
)
def test_arguments_survive_flattening_and_json(example: object, args: Any, kwargs: Any) -> None:
    if args is None:
        with pytest.raises(PreparationError, match="no example inputs"):
            flat_call(example, "test")
        return
    tensors, structure = flat_call(example, "test")
    stored = msgspec.json.decode(msgspec.json.encode(structure), type=CallStructure)
    assert stored == structure
    rebuilt = stored.arguments(tensors)
    for given, got in ((args, rebuilt.args), (kwargs, rebuilt.kwargs)):
        expected, before = pytree.tree_flatten(given)
        leaves, after = pytree.tree_flatten(got)
        assert before == after
        for one, other in zip(expected, leaves, strict=True):
            assert (
                torch.equal(one, other) if isinstance(one, torch.Tensor) else (one, type(one)) == (other, type(other))
            )
    flat = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    assert all(torch.equal(one, other) for one, other in zip(tensors, flat, strict=True))
    assert len(structure.names()) == len(tensors) == len(set(structure.names()))


def test_names_are_paths() -> None:
    _, structure = flat_call(etui.Args(A, {"left": [B, C]}, mask=A), "test")
    assert structure.names() == ["0", "1.left[0]", "1.left[1]", "mask"]
    assert plain_structure(2).is_plain and not structure.is_plain


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ((A, {1, 2}), "argument 1 .* is a set"),
        ({"x": [A, object()]}, r"x\[1\] .* is a object"),
        ({3: A}, "keys that are not names"),
        ((A.to_sparse(),), "sparse"),
        ((A, torch.float32), "torch.dtype"),
    ],
)
def test_what_is_not_an_argument_is_named(example: object, message: str) -> None:
    with pytest.raises(PreparationError, match=message) as refused:
        flat_call(example, "test")
    assert "\n" not in str(refused.value) and refused.value.hint


class Everything(nn.Module):
    """Takes constants, keyword arguments and nested arguments, and returns a nested output with constants."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, first: Any, absent: Any, factor: float, *, parts: Any, mode: str = "", flag: bool = False) -> Any:
        result = self.inner(first) * factor
        if flag and absent is None and mode == "add":
            result = result + parts["right"] - parts["left"][0]
        return {"result": result, "rest": (None, 3, result.sum())}


def test_exported_program_takes_only_tensors_in_the_flat_order() -> None:
    parts = {"right": torch.randn(2, 4), "left": [torch.randn(2, 4)]}
    example = etui.Args(torch.randn(2, 4), None, 0.5, mode="add", parts=parts, flag=True)
    tensors, structure = flat_call(example, "test")
    module = Everything().eval()
    program = export(module, tensors, structure)
    assert len(program.graph_signature.user_inputs) == len(tensors) == 3
    expected = module(*example.args, **example.kwargs)
    for got in (program.module(check_guards=False)(*tensors), structure.bound(module)(*tensors)):
        assert torch.equal(got["result"], expected["result"]) and torch.equal(got["rest"][2], expected["rest"][2])


def test_attribute_called_graph_is_exported() -> None:
    module, example = zoo.graphs()
    program = export(module.eval(), example)
    assert torch.equal(program.module(check_guards=False)(*example), module(*example))
