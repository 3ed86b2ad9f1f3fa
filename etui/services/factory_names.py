"""Find a factory in the source of a user's file without running it."""

from __future__ import annotations

import ast
import difflib
import functools
from collections.abc import Iterator
from pathlib import Path

from etui.errors import UsageError
from etui.files.hashing import file_stamp

_MOST_BYTES = 4_000_000
_DYNAMIC = frozenset({"globals", "exec", "setattr", "__getattr__", "vars", "locals", "eval"})
"""Names whose use may define further names, so that the names are known only after the file was run."""


def check_factory(path: Path, factory: str) -> None:
    """Check that a file is valid Python and defines a factory. Nothing is checked in a file that defines names in ways
    that are only known when it is run.

    Raises:
        UsageError: it is not valid, or the name is not defined in it; the hint has similar names.
    """
    try:
        problem, functions, others, is_open = _content(path, file_stamp(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "check its permissions") from error
    if problem:
        raise UsageError(problem, "fix it, and run again")
    if factory in functions or factory in others or is_open:
        return
    similar = difflib.get_close_matches(factory, functions, n=3, cutoff=0.5)
    if similar:
        hint = f"did you mean {' or '.join(similar)}?"
    else:
        hint = f"it has {', '.join(functions[:8])}" if functions else "it defines no functions"
    raise UsageError(f"{path.name} has no function {factory!r}", hint)


@functools.lru_cache(maxsize=16)
def _content(path: Path, _stamp: str) -> tuple[str, tuple[str, ...], tuple[str, ...], bool]:
    """Return a syntax error, the functions and classes, the other names, and whether there may be more names. Cached
    while the file is unchanged: the screen asks at every key press."""
    with path.open("rb") as file:
        source = file.read(_MOST_BYTES + 1)
    if len(source) > _MOST_BYTES:
        return "", (), (), True
    try:
        tree = ast.parse(source, filename=str(path))
    except SyntaxError as error:
        line = f":{error.lineno}" if error.lineno else ""
        code = f" `{error.text.strip()}`" if error.text and error.text.strip() else ""
        return f"{path.name}{line}{code} is not valid Python: {error.msg}", (), (), False
    except (ValueError, RecursionError, MemoryError):
        return "", (), (), True
    functions: list[str] = []
    others: list[str] = []
    is_open = any(isinstance(node, ast.Name) and node.id in _DYNAMIC for node in ast.walk(tree))
    for node in _statements(tree.body):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                functions.append(name)
                is_open |= name in _DYNAMIC
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                others += [alias.asname or alias.name.partition(".")[0] for alias in names]
                is_open |= any(alias.name == "*" for alias in names)
            case _:
                others += [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
    public = [name for name in functions if not name.startswith("_")]
    return "", tuple(public), (*functions, *others), is_open


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module, including those in ``if``, ``try``, ``with`` and loops."""
    for node in body:
        yield node
        for field in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _statements(getattr(node, field, []))
        for handler in getattr(node, "handlers", []):
            yield from _statements(handler.body)
