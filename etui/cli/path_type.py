"""Option type for files and folders, which refuses invalid paths before anything runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etui.cli.complete import complete_file
from etui.errors import UsageError
from etui.paths import absolute, expanded

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class FilePath(click.ParamType[Path]):
    """A path with ``~`` expanded. Raises UsageError for an invalid path.

    ``-`` is passed on to the command; with ``stdout`` it is converted to ``STDOUT``.
    """

    name = "FILE"

    def __init__(self, *, stdout: bool = False) -> None:
        self._stdout = stdout

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Convert the text of a path."""
        if isinstance(value, Path):
            return value
        text = os.fsdecode(value) if isinstance(value, bytes) else str(value)
        if self._stdout and text == "-":
            return STDOUT
        absolute(text, param.opts[0] if param is not None else "the path")
        return expanded(text)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Let the shell complete the path."""
        return complete_file(ctx, param, incomplete)


STDOUT = Path("/dev/stdout")

FILE_PATH = FilePath()
OUTPUT_PATH = FilePath(stdout=True)
"""A file to write, or ``-`` for standard output."""


def check_one_on_stdout(**outputs: Path | bool | None) -> bool:
    """Return whether one of the outputs of a command, by option, is the standard output: a path, or a flag such as
    ``--json``. Raises UsageError for more than one."""
    on_stdout = [name for name, target in outputs.items() if target is True or target == STDOUT]
    if len(on_stdout) > 1:
        options = " and ".join(f"--{name}" for name in on_stdout)
        raise UsageError(f"{options} cannot both go to standard output", "name a file for one of them")
    return bool(on_stdout)
