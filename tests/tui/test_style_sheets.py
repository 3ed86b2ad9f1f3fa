"""Style sheets name widgets by their class: renaming a class must rename its selectors."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import textual.widgets
from textual.dom import DOMNode

import etui.tui

_COMMENT, _BLOCK = re.compile(r"/\*.*?\*/", re.DOTALL), re.compile(r"\{[^{}]*\}")
_TYPE = re.compile(r"(?<![\w.#:$-])[A-Z]\w*")


def _classes(base: type) -> Iterator[type]:
    yield base
    subclasses: list[type] = base.__subclasses__()
    for subclass in subclasses:
        yield from _classes(subclass)


def _selected_types(css: str) -> set[str]:
    """The widget types that the selectors of a style sheet without nested rules name."""
    return set(_TYPE.findall(_BLOCK.sub("{}", _COMMENT.sub("", css))))


def test_every_widget_type_in_a_style_sheet_exists() -> None:
    for module in pkgutil.walk_packages(etui.tui.__path__, "etui.tui."):
        importlib.import_module(module.name)
    for name in textual.widgets.__all__:  # type: ignore[attr-defined]  # it is set at run time
        getattr(textual.widgets, name)
    classes = list(_classes(DOMNode))
    sheets = {str(path): path.read_text() for path in Path(etui.tui.__path__[0]).rglob("*.tcss")}
    for cls in classes:
        if cls.__module__.startswith("etui."):
            sheets[cls.__qualname__] = str(cls.__dict__.get("DEFAULT_CSS", "")) + str(cls.__dict__.get("CSS", ""))
    known = {cls.__name__ for cls in classes}
    unknown = {where: _selected_types(css) - known for where, css in sheets.items()}
    assert {where: names for where, names in unknown.items() if names} == {}
