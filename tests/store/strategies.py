"""A hypothesis strategy for documents, derived from the types of the structs."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from etui.results import RunDocument

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_PLAIN_DATA = st.recursive(
    st.none() | st.booleans() | _INTEGERS | _FLOATS | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)
_LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: _TEXT, int: _INTEGERS, float: _FLOATS, bool: st.booleans(), type(None): st.none(), object: _PLAIN_DATA,
    msgspec.UnsetType: st.just(msgspec.UNSET),
}  # fmt: skip


def any_document() -> st.SearchStrategy[RunDocument]:
    """Documents with every field drawn, however unlikely together."""
    return _of(RunDocument)


def _of(kind: Any) -> st.SearchStrategy[Any]:
    if kind in _LEAVES:
        return _LEAVES[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of([_of(argument) for argument in arguments])
    if origin is list:
        return st.lists(_of(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(_of(arguments[0]), _of(arguments[1]), max_size=3)
    if origin is tuple:
        return st.tuples(*map(_of, arguments))
    assert issubclass(kind, msgspec.Struct), kind
    return st.builds(kind, **{field.name: _of(field.type) for field in msgspec.structs.fields(kind)})
