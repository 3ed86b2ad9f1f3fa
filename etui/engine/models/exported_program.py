"""Load an exported program (.pt2) without running code that its file brings along.

Torch unpickles parts of such a file without restriction, and evaluates names and expressions in the description of the
graph as Python. So everything that it would do so with is looked at first, through torch's own reader of the file.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from etui.errors import PreparationError
from etui.programs.pickle_check import SAMPLE_INPUTS, Part, to_text, unpickled, unsafe_parts

ALLOW = "--allow-pickle"

_MODELS = "models/"
_MOST_UNPACKED = 20
"""A file may unpack to so many times its size. Torch itself writes them uncompressed."""

_SMALL_BYTES = 50_000_000
_ONLY_WEIGHTS = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"

_NAME = re.compile(r"\w*")
_DOTTED = re.compile(r"[\w.]*")
_FIELD = re.compile(r"[^\"'\\\x00-\x1f\x7f]*")
_OPERATOR = re.compile(r"torch\.ops(\.\w+){2,3}|#\w+:[\w.]+")
_SYMBOLIC = re.compile(
    r"_operator\.(eq|ne|le|ge|lt|gt|neg|pos|mul|add|sub|floordiv|mod|pow|truediv|and_|or_|lshift|rshift)"
    r"|torch\.sym_\w+|math\.trunc"
)
_FILE_OPERATORS = ("torch.ops.aten.from_file",)
_SYMBOL = re.compile(r"[a-z]{1,4}\d+")
_TEXT = re.compile(r"[\w.+-]*")
_FUNCTIONS = frozenset(
    {
        "Abs", "Add", "And", "CeilDiv", "CeilToInt", "CleanDiv", "Eq", "Equality", "FloatPow", "FloatTrueDiv", "Float",
        "FloorDiv", "FloorToInt", "GreaterThan", "Ge", "Gt", "Identity", "IntTrueDiv", "Integer",
        "IsNonOverlappingAndDenseIndicator", "LShift", "Le", "LessThan", "Lt", "Max", "Min", "Mod", "ModularIndexing",
        "Mul", "Ne", "Not", "Or", "Piecewise", "Pow", "PowByNatural", "PythonMod", "RShift", "Rational", "RoundDecimal",
        "RoundToInt", "StrictGreaterThan", "StrictLessThan", "Symbol", "ToFloat", "TruncToFloat", "TruncToInt",
        "Unequality", "Where", "ceiling", "floor", "sqrt",
    }
)  # fmt: skip
_CONSTANTS = frozenset({"true", "false", "True", "False", "oo", "int_oo", "nan", "zoo", "Infinity", "NaN"})
_SYNTAX = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.UnaryOp, ast.USub, ast.UAdd, ast.Not,
    ast.Invert, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.LShift, ast.RShift,
    ast.BitAnd, ast.BitOr, ast.BoolOp, ast.And, ast.Or, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt,
    ast.GtE, ast.Tuple,
)  # fmt: skip


class Exported(NamedTuple):
    """What an exported program holds: its module, and the inputs that it was exported with, by position and by name."""

    module: nn.Module
    positional: Any
    by_name: Any


def load_exported(path: Path, *, allow_pickle: bool) -> Exported:
    """The exported program of a file. With ``allow_pickle`` nothing is looked at, and whatever the file brings along is
    run.

    Raises:
        PreparationError: it is none that this torch can read, or would run code and is not allowed to.
    """
    with _readable(path):
        program = torch.export.load(path) if allow_pickle else _load_checked(path)
        positional, by_name = program.example_inputs or ((), {})
        # Its guards check shapes at every call, which is no part of the model's own time.
        return Exported(program.module(check_guards=False), positional, by_name)


def _load_checked(path: Path) -> torch.export.ExportedProgram:
    from torch.export.pt2_archive._package import load_pt2

    _check(path)
    with _only_weights():
        # Not by torch.export.load, which falls back on reading the file in another way.
        return load_pt2(str(path)).exported_programs["model"]


def check_exported(path: Path) -> None:
    """Raise PreparationError if a file is no exported program, or torch would run code of the file's own to load it."""
    with _readable(path):
        _check(path)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise PreparationError for whatever torch raises for a damaged file."""
    try:
        yield
    except (PreparationError, MemoryError):
        raise
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0][:300]
        raise PreparationError(
            f"{path} is not an exported program this torch can read: {type(error).__name__}: {line}",
            f"save it with torch.export.save from torch {torch.__version__.partition('+')[0]}",
        ) from error


class _TorchArchive:
    """A .pt2 as torch reads it."""

    def __init__(self, path: Path) -> None:
        self._reader: Any = torch._C.PyTorchFileReader(str(path))

    def names(self) -> list[str]:
        names: list[str] = self._reader.get_all_records()
        return names

    def size(self, name: str) -> int:
        size: int = self._reader.get_record_size(name)
        return size

    def read(self, name: str) -> bytes:
        content: bytes = self._reader.get_record(name)
        return content


def _check(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        raise PreparationError(
            f"{path} is not an exported program, and no archive at all", "save it with torch.export.save"
        )
    archive = _TorchArchive(path)
    names = archive.names()
    if "archive_format" not in names:
        raise PreparationError(
            f"{path} is of the format of torch 2.7 and earlier, or not an exported program",
            f"save it again with torch.export.save, or load it as it is with {ALLOW}: that runs what it brings along",
        )
    _refuse_bomb(path, sum(archive.size(name) for name in names))
    parts = unsafe_parts(archive)
    known = {part.name for part in parts}
    parts += [
        Part(name, (_why,))
        for name in unpickled(archive)
        if name not in known and (_why := _not_tensors(archive, name, path))
    ]
    if parts:
        raise PreparationError(
            f"{path} holds parts that run code when they are loaded, and was not loaded: {to_text(parts)}",
            f"if you trust where it comes from, run it with {ALLOW}; or save it again with plain tensors alone",
        )
    for name in names:
        if name.startswith(_MODELS):
            _check_graph(path, name, archive.read(name))


def _refuse_bomb(path: Path, unpacked: int) -> None:
    size = path.stat().st_size
    if unpacked > max(_SMALL_BYTES, _MOST_UNPACKED * size):
        raise PreparationError(
            f"{path} would unpack from {size / 1e6:,.1f} MB to {unpacked / 1e6:,.0f} MB, and was not loaded",
            "torch.export.save does not compress: save it again",
        )


def _not_tensors(archive: _TorchArchive, name: str, path: Path) -> str | None:
    """Why torch cannot load a part as tensors alone; None if it can."""
    data = archive.read(name)
    if not data and name.startswith(SAMPLE_INPUTS):
        return None
    if data[:4] == b"PK\x03\x04":
        with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as inner:
            _refuse_bomb(path, sum(part.file_size for part in inner.infolist()))
    try:
        torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever torch does not load as tensors, it loads without restriction
        return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
    return None


@contextlib.contextmanager
def _only_weights() -> Iterator[None]:
    """Have torch load tensors alone, whatever is asked of it."""
    before = {name: os.environ.pop(name, None) for name in (_ONLY_WEIGHTS, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")}
    os.environ[_ONLY_WEIGHTS] = "1"
    try:
        yield
    finally:
        del os.environ[_ONLY_WEIGHTS]
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _check_graph(path: Path, part: str, content: bytes) -> None:
    """Raise PreparationError if a graph's description holds anything that torch would evaluate, and that is more than
    the name of a value, an operator, or an expression over sizes."""
    for key, text in _texts(json.loads(content), ""):
        match key:
            case "target" | "as_operator":
                fine = _is_operator(text)
            case "expr_str":
                fine = _is_expression(text)
            case "name" | "as_name" | "forward_arg_names":
                fine = _NAME.fullmatch(text) is not None
            case "in_spec" | "out_spec":
                fine = not text or _is_structure(text)
            case _:
                fine = not key.endswith("_name") or _FIELD.fullmatch(text) is not None
        if not fine:
            raise PreparationError(
                f"{path} holds a graph that could run other code than its operators, and was not loaded: {part} has the"
                f" {key} {text[:80]!r}",
                f"if you trust where it comes from, run it with {ALLOW}",
            )


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every text in a JSON value, with the key that it or its list stands under."""
    waiting = [(key, value)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, list):
            waiting += [(key, one) for one in value]
        elif isinstance(value, dict):
            waiting += value.items()


def _is_structure(text: str) -> bool:
    """Whether a text describes how inputs or outputs are nested, by names alone. Torch makes code of the names of
    inputs, and imports what some kinds of nesting name."""
    try:
        waiting = [json.loads(text)]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                if any(key.startswith("__") or "factory" in key for key in value):
                    return False
                waiting += [*value, *value.values()]
            elif isinstance(value, list):
                waiting += value
            elif isinstance(value, str) and not _DOTTED.fullmatch(value):
                # The context of a kind of nesting is JSON within JSON.
                waiting.append(json.loads(value))
    except (ValueError, RecursionError):
        return False
    return True


def _is_operator(text: str) -> bool:
    if text.startswith(_FILE_OPERATORS):
        return False
    return (_OPERATOR.fullmatch(text) or _SYMBOLIC.fullmatch(text)) is not None


def _is_expression(text: str) -> bool:
    """Whether a text is an expression over sizes: symbols, numbers, and functions known to be harmless."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)):
                if name not in _FUNCTIONS:
                    return False
            case ast.Name(id=name):
                if id(node) not in called and not _SYMBOL.fullmatch(name) and name not in _CONSTANTS:
                    return False
            case ast.Constant(value=str(words)):
                if not _TEXT.fullmatch(words):
                    return False
            case _:
                if not isinstance(node, _SYNTAX) or isinstance(node, ast.Call):
                    return False
    return True
