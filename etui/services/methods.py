"""Choose the methods of a finished program (.pte) that are measured, from its file."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence
from pathlib import Path

import msgspec

from etui.catalog.find import Model, UserModel
from etui.files.hashing import file_stamp
from etui.programs.files import mapped
from etui.programs.flatbuffer import DamagedFile
from etui.programs.program import FORWARD, Method, read_program, signature_text
from etui.services.request import FieldError, is_as_is
from etui.spec import Variant


class Chosen(msgspec.Struct, frozen=True):
    """The methods to measure; None is ``forward``, whether it was requested or not, so that both are one configuration.
    ``notice`` names the methods that are not measured, if any."""

    methods: tuple[str | None, ...] = (None,)
    notice: str = ""


def choose_methods(model: Model, requested: Sequence[str]) -> Chosen:
    """Return the requested methods of a program, or the one that is measured without a request.

    Raises:
        FieldError: the model is not a program, it has no such method (the hint has similar names), or there are several
            and none is called ``forward`` (the message lists them with their inputs).
    """
    if not is_as_is(model):
        if requested:
            raise FieldError(
                "methods",
                f"{model.name} has no methods to choose from",
                "omit --method: only a .pte has some",
                screen_hint="select none",
            )
        return Chosen()
    methods = methods_of(model)
    names = [method.name for method in methods]
    for name in requested if methods else ():
        if name not in names:
            similar = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(similar)}?" if similar else _listed(methods)
            raise FieldError("methods", f"{model.name} has no method {name!r}", hint)
    if requested:
        return Chosen(tuple(dict.fromkeys(None if name == FORWARD else name for name in requested)))
    if len(names) > 1 and FORWARD not in names:
        raise FieldError(
            "model",
            f"{model.name} has {len(names)} methods, and none is called {FORWARD!r}",
            f"choose with --method {','.join(names)}: {_listed(methods)}",
            screen_hint="select some of its methods",
        )
    others = [name for name in names if name != FORWARD]
    if len(names) == 1 and others:
        return Chosen((names[0],))
    if len(names) > 1:
        return Chosen(
            notice=f"{model.name}: measuring {FORWARD}; it also has {', '.join(others)}; choose with --method"
        )
    return Chosen()


def with_methods(variants: Sequence[Variant], methods: Sequence[str | None]) -> tuple[Variant, ...]:
    """Return the variants of a program for each of the methods that are measured."""
    return tuple(msgspec.structs.replace(variant, method=method) for method in methods for variant in variants)


def methods_of(model: Model) -> list[Method]:
    """Return the methods of a finished program; none of any other model, and none if the file cannot be read, which the
    early check reports."""
    if not isinstance(model, UserModel) or model.kind != "pte":
        return []
    path = Path(model.path)
    try:
        return _read_methods(path, file_stamp(path))
    except (OSError, DamagedFile):
        return []


@functools.lru_cache(maxsize=8)
def _read_methods(path: Path, _stamp: str) -> list[Method]:
    """Read the methods of a program. Cached while the file is unchanged: the screen asks at every key press."""
    with mapped(path) as buffer:
        return read_program(buffer).methods


def _listed(methods: Sequence[Method]) -> str:
    return "it has " + "; ".join(signature_text(method) for method in methods)
