"""Find the line of the user's model at which an error arose, and shorten a traceback to the lines that matter."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from etui.engine.explain.error_text import headline
from etui.text import counted

_PACKAGES = frozenset({"site-packages", "dist-packages"})
_STDLIB = tuple({f"{Path(sysconfig.get_path(name)).resolve()}/" for name in ("stdlib", "platstdlib")})
_ETUI = f"{Path(__file__).resolve().parents[2]}/"
_TOOLS = frozenset({"torch", "torchao", "executorch", "functorch", "openvino", "nncf", "safetensors", "numpy"})
"""Packages whose lines do not belong to a model."""

_IN_MESSAGE = re.compile(
    r'^\s*File "(?P<path>[^"\n]+)", line (?P<line>\d+), in (?P<function>\S+)\n\s*(?P<code>.*)$', re.M
)
_MOST_CODE = 120
_MOST_FRAMES = 12


class SourceLine(NamedTuple):
    """One line of source that was being executed."""

    path: str
    line: int
    function: str
    code: str

    def to_text(self) -> str:
        """Return file, line and source text, such as ``zoo.py:45 `if x.sum() > 0:```."""
        code = self.code if len(self.code) <= _MOST_CODE else f"{self.code[:_MOST_CODE]}.."
        return f"{Path(self.path).name}:{self.line}" + (f" `{code}`" if code else "")


def is_own(origin: str) -> bool:
    """Return whether a file belongs neither to the standard library nor to an installed package."""
    path = Path(origin)
    # Some installers put symbolic links into site-packages.
    parts = {*path.parts, *path.resolve().parts}
    return not _PACKAGES & parts and not str(path.resolve()).startswith(_STDLIB)


def model_line(error: BaseException) -> SourceLine | None:
    """Return the innermost line of the user's files that raised an error; if there is none, of the library that the
    model is from; None if the error has neither in its traceback or its message."""
    errors = [*chain(error)][::-1]  # the first cause first
    for belongs in (_is_users, _is_models):
        for each in errors:
            frames = [frame for frame in _frames(each) if belongs(frame.path)]
            if frames:
                return frames[-1]
        for each in errors:
            named = [line for line in _in_message(str(each)) if belongs(line.path)]
            if named:
                return named[-1]
    return None


def model_line_in(stack_trace: str | None) -> SourceLine | None:
    """Return the same from the stack trace that an exported graph has for a node."""
    lines = _in_message(stack_trace or "")
    for belongs in (_is_users, _is_models):
        if found := [line for line in lines if belongs(line.path)]:
            return found[-1]
    return None


def short_traceback(error: BaseException) -> str:
    """Return a traceback that has the lines of the user's files, or else of the model's library, the last line before
    the error, and how many lines were omitted between them."""
    errors = [*chain(error)][::-1]  # the first cause first
    root = next((each for each in errors if any(_is_users(frame.path) for frame in _frames(each))), None)
    root = root or next((each for each in errors if each.__traceback__ is not None), error)
    frames = _frames(root)
    belongs = _is_users if any(_is_users(frame.path) for frame in frames) else _is_models
    return "\n".join([*_folded(frames, belongs), headline(root)])


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that caused it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _frames(error: BaseException) -> list[SourceLine]:
    return [
        SourceLine(frame.filename, frame.lineno or 0, frame.name, (frame.line or "").strip())
        for frame in traceback.extract_tb(error.__traceback__)
    ]


def _in_message(text: str) -> list[SourceLine]:
    return [
        SourceLine(found["path"], int(found["line"]), found["function"], found["code"].strip())
        for found in _IN_MESSAGE.finditer(text)
    ]


def _is_users(path: str) -> bool:
    return not path.startswith("<") and is_own(path) and not str(Path(path).resolve()).startswith(_ETUI)


def _is_models(path: str) -> bool:
    parts = Path(path).parts
    for folder in _PACKAGES & {*parts}:
        return parts[parts.index(folder) + 1] not in _TOOLS
    return False


def _folded(frames: Sequence[SourceLine], belongs: Callable[[str], bool]) -> Iterator[str]:
    shown = [index for index, frame in enumerate(frames) if belongs(frame.path)][-_MOST_FRAMES:]
    if frames and (len(frames) - 1) not in shown:
        shown.append(len(frames) - 1)
    after = 0
    for index in shown:
        if index > after:
            yield f"  .. {counted(index - after, 'line')} of etui, torch and other libraries"
        frame = frames[index]
        yield f'  File "{frame.path}", line {frame.line}, in {frame.function}'
        if frame.code:
            yield f"    {frame.code}"
        after = index + 1
