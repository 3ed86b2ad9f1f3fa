"""The page of the Python API: signatures, fields and docstrings of the public names, as they are in the code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import msgspec

from tests.docs.markdown import block, code, make_page, table

NAMES: dict[str, tuple[str, ...]] = {
    "etui.model": ("Model", "Args"),
    "etui.testing": ("EtuiRun", "Measuring", "judged"),
    "etui.analysis.comparison": ("compare", "RunComparison"),
    "etui.analysis.comparability": ("Obstacle",),
    "etui.errors": (),
    "etui.results": (),
    "etui.insight": (),
}
"""The public names by module; empty means every public class and function that the module defines."""

_WIDTH = 100
_SECTION = re.compile(r"^(Args|Returns|Raises|Yields):$")
_INTRO = (
    "These modules are for your own scripts and tests. A run is a tree of `msgspec.Struct`s; `etui show RUN --json` and"
    " `etui export` write it as JSON ([schema](../schema/etui.run-1.schema.json)), and it is read back with",
    block(
        "import msgspec\nfrom pathlib import Path\nfrom etui.results import RunDocument\n\n"
        'run = msgspec.json.decode(Path("result.json").read_bytes(), type=RunDocument)',
        "python",
    ),
    "Milliseconds, bytes, seconds and decibels are in the names (`_ms`, `_bytes`, `_s`, `_db`). What was not measured"
    " is `None`.",
)


def page() -> str:
    """The text of ``docs/reference/python-api.md``."""
    parts = list(_INTRO)
    verify = import_module("etui.verify")
    parts += ["## etui.verify", _prose(verify.__doc__ or "")]
    tests = [(name, value) for name, value in vars(verify).items() if name.startswith("test_")]
    parts.append(table(("test", "meaning"), [(code(name), _first(value)) for name, value in tests]))
    for module_name, names in NAMES.items():
        module = import_module(module_name)
        parts += [f"## {module_name}", _prose(module.__doc__ or "")]
        for name in names or _public(module):
            parts += _entry(name, getattr(module, name))
    return make_page("Python API", *parts)


def public_objects() -> Iterator[tuple[str, Any]]:
    """Every documented name with what it names, methods included."""
    for module_name, names in NAMES.items():
        module = import_module(module_name)
        for name in names or _public(module):
            value = getattr(module, name)
            yield f"{module_name}.{name}", value
            for method, function in _methods(value):
                yield f"{module_name}.{name}.{method}", function


def _public(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]


def _entry(name: str, value: Any) -> list[str]:
    if inspect.isfunction(value):
        return [f"### {name}", block(_signature(name, value), "python"), _prose(inspect.getdoc(value) or "")]
    parts = [f"### {name}", _prose(value.__doc__ or "")]
    if issubclass(value, Exception):
        bases = [base.__name__ for base in value.__bases__]
        parts.append(f"Base: {', '.join(map(code, bases))}. Ends a command with status {value.exit_status}.")
        return parts
    if rows := list(_fields(value)):
        parts.append(table(("field", "type", "default"), rows))
    instance = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    shown = {"__init__": name, "__call__": instance}
    for method, function in _methods(value):
        parts.append(f"#### {name}.{method}")
        if not isinstance(function, property):
            parts.append(block(_signature(shown.get(method, f"{instance}.{method}"), function), "python"))
        parts.append(_prose(inspect.getdoc(function) or ""))
    return parts


def _methods(value: Any) -> Iterator[tuple[str, Any]]:
    if not inspect.isclass(value) or issubclass(value, Exception):
        return
    is_struct = issubclass(value, msgspec.Struct)
    for name, inner in vars(value).items():
        if name in ("__init__", "__call__") and not is_struct and inspect.isfunction(inner) and inner.__doc__:
            yield name, inner
        if not name.startswith("_") and (inspect.isfunction(inner) or isinstance(inner, property)):
            yield name, inner


def _fields(value: Any) -> Iterable[tuple[str, str, str]]:
    annotations = {name: str(text) for name, text in inspect.get_annotations(value).items()}
    if issubclass(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            if field.default is not msgspec.NODEFAULT:
                default = repr(field.default)
            elif field.default_factory is not msgspec.NODEFAULT:
                default = repr(field.default_factory())
            else:
                default = ""
            yield code(field.name), code(annotations[field.name]), code(default)
    elif hasattr(value, "__required_keys__"):  # a TypedDict
        for name, text in inspect.get_annotations(value).items():
            yield code(name), code(getattr(text, "__forward_arg__", str(text))), ""


def _signature(name: str, function: Any) -> str:
    """A call as it is written, over several lines if it is long. Annotations are text in the source, and stay that."""
    signature = inspect.signature(function)
    parameters = [one for one in signature.parameters.values() if one.name != "self"]
    parts: list[str] = []
    for one in parameters:
        if one.kind is one.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        sign = "**" if one.kind is one.VAR_KEYWORD else ""
        default = "" if one.default is one.empty else f" = {one.default!r}"
        parts.append(f"{sign}{one.name}: {one.annotation}{default}")
    result = signature.return_annotation
    ending = "" if result in (inspect.Signature.empty, "None") else f" -> {result}"
    whole = f"{name}({', '.join(parts)}){ending}"
    return whole if len(whole) <= _WIDTH else "\n".join([f"{name}(", *(f"    {one}," for one in parts), f"){ending}"])


def _first(value: Any) -> str:
    return " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())


def _prose(doc: str) -> str:
    """A docstring as Markdown: paragraphs and items of lists on lines of their own, sections such as ``Raises:`` as
    lists."""
    parts: list[str] = []
    for paragraph in inspect.cleandoc(doc).split("\n\n"):
        lines = paragraph.splitlines()
        if lines and (section := _SECTION.match(lines[0].strip())):
            parts.append(f"{section[1]}:\n\n" + _list(lines[1:]))
        else:
            items = re.split(r"\n(?=- )", paragraph)
            parts.append("\n".join(" ".join(item.split()) for item in items).replace("``", "`"))
    return "\n\n".join(parts)


def _list(lines: list[str]) -> str:
    items: list[str] = []
    depth = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    for line in lines:
        if len(line) - len(line.lstrip()) == depth or not items:
            name, colon, rest = line.strip().partition(": ")
            items.append(f"- {code(name)}: {rest}" if colon else f"- {line.strip()}")
        else:
            items[-1] += " " + line.strip()
    return "\n".join(item.replace("``", "`") for item in items)
