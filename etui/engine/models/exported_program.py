"""Load an exported program (.pt2) without running code from its file.

Torch unpickles parts of such a file without restriction, and evaluates names and expressions in the description of the
graph as Python. Therefore everything that torch would unpickle or evaluate is checked first, using torch's file reader.
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

from etui.engine.explain.error_text import first_line, headline
from etui.errors import PreparationError
from etui.programs.pickle_check import SAMPLE_INPUTS, Part, to_text, unpickled, unsafe_parts

ALLOW = "--allow-pickle"

_MODELS = "models/"
_MOST_UNPACKED = 20
"""The maximum ratio of a file's unpacked to its packed size. Torch itself writes such files uncompressed."""

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
    """An exported program: its module, and its example inputs by position and by keyword."""

    module: nn.Module
    positional: Any
    by_name: Any


def load_exported(path: Path, *, allow_pickle: bool) -> Exported:
    """Load the exported program of a file. With ``allow_pickle`` nothing is checked, and code in the file is run.

    Raises:
        PreparationError: it is not an exported program that this torch can read, or it would run code and this is not
            allowed.
    """
    with _readable(path):
        program = torch.export.load(path) if allow_pickle else _load_checked(path)
        positional, by_name = program.example_inputs or ((), {})
        # Guards check shapes at every call; that is not part of the model's own time.
        return Exported(program.module(check_guards=False), positional, by_name)


def _load_checked(path: Path) -> torch.export.ExportedProgram:
    from torch.export.pt2_archive._package import load_pt2

    _check(path)
    with _only_weights():
        # Not torch.export.load, which falls back to another way of reading the file.
        return load_pt2(str(path)).exported_programs["model"]


def check_exported(path: Path) -> None:
    """Raise PreparationError if a file is not an exported program, or if loading it would run code from the file."""
    with _readable(path):
        _check(path)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Convert whatever torch raises for a damaged file to PreparationError."""
    try:
        yield
    except (PreparationError, MemoryError):
        raise
    except Exception as error:
        raise PreparationError(
            f"{path} is not an exported program that this torch can read: {headline(error)[:300]}",
            f"save it with torch.export.save from torch {torch.__version__.partition('+')[0]}",
        ) from error


class _TorchArchive:
    """A .pt2 opened with torch's reader."""

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
            f"{path} is not an exported program: it is not a zip archive", "save it with torch.export.save"
        )
    archive = _TorchArchive(path)
    names = archive.names()
    if "archive_format" not in names:
        raise PreparationError(
            f"{path} has the format of torch 2.7 and earlier, or is not an exported program",
            f"save it again with torch.export.save, or load it with {ALLOW}, which runs code from the file",
        )
    _refuse_bomb(path, sum(archive.size(name) for name in names))
    parts = unsafe_parts(archive)
    known = {part.name for part in parts}
    parts += [
        Part(name, (reason,))
        for name in unpickled(archive)
        if name not in known and (reason := _not_tensors(archive, name, path))
    ]
    if parts:
        raise PreparationError(
            f"{path} was not loaded, because it contains parts that run code when loaded: {to_text(parts)}",
            f"if you trust its source, run it with {ALLOW}; or save it again with only plain tensors",
        )
    for name in names:
        if name.startswith(_MODELS):
            _check_graph(path, name, archive.read(name))


def _refuse_bomb(path: Path, unpacked: int) -> None:
    size = path.stat().st_size
    if unpacked > max(_SMALL_BYTES, _MOST_UNPACKED * size):
        raise PreparationError(
            f"{path} was not loaded, because it would unpack from {size / 1e6:,.1f} MB to {unpacked / 1e6:,.0f} MB",
            "save it again with torch.export.save, which does not compress",
        )


def _not_tensors(archive: _TorchArchive, name: str, path: Path) -> str | None:
    """Return why torch cannot load a part as plain tensors; None if it can."""
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
    except Exception as error:  # noqa: BLE001 - any failure means that torch would unpickle it without restriction
        return first_line(error)[:120]
    return None


@contextlib.contextmanager
def _only_weights() -> Iterator[None]:
    """Force torch to load only tensors, whatever its caller requests."""
    before = {name: os.environ.pop(name, None) for name in (_ONLY_WEIGHTS, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")}
    os.environ[_ONLY_WEIGHTS] = "1"
    try:
        yield
    finally:
        del os.environ[_ONLY_WEIGHTS]
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _check_graph(path: Path, part: str, content: bytes) -> None:
    """Raise PreparationError if torch would evaluate something in a graph's description other than the name of a value,
    an operator, or an expression over sizes."""
    for key, text in _texts(json.loads(content), ""):
        match key:
            case "target" | "as_operator":
                safe = _is_operator(text)
            case "expr_str":
                safe = _is_expression(text)
            case "name" | "as_name" | "forward_arg_names":
                safe = _NAME.fullmatch(text) is not None
            case "in_spec" | "out_spec":
                safe = not text or _is_structure(text)
            case _:
                safe = not key.endswith("_name") or _FIELD.fullmatch(text) is not None
        if not safe:
            raise PreparationError(
                f"{path} was not loaded, because its graph could run code other than its operators: {part} has the"
                f" {key} {text[:80]!r}",
                f"if you trust its source, run it with {ALLOW}",
            )


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield every text in a JSON value with its key, or with the key of its list."""
    waiting = [(key, value)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, list):
            waiting += [(key, item) for item in value]
        elif isinstance(value, dict):
            waiting += value.items()


def _is_structure(text: str) -> bool:
    """Return whether a text is a description of nested inputs or outputs that contains only names. Torch generates code
    from the names of inputs, and imports what some kinds of nesting name."""
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
    """Return whether a text is an expression over sizes: symbols, numbers, and functions known to be safe."""
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
            case ast.Constant(value=str(constant)):
                if not _TEXT.fullmatch(constant):
                    return False
            case _:
                if not isinstance(node, _SYNTAX) or isinstance(node, ast.Call):
                    return False
    return True
