"""Option type for files and folders, which refuses invalid paths before anything runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etui.cli.complete import complete_file
from etui.paths import absolute, expanded

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class FilePath(click.ParamType[Path]):
    """A path with ``~`` expanded. Raises UsageError for an invalid path."""

    name = "FILE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Convert the text of a path. ``-`` is passed on to the command."""
        if isinstance(value, Path):
            return value
        text = os.fsdecode(value) if isinstance(value, bytes) else str(value)
        absolute(text, param.opts[0] if param is not None else "the path")
        return expanded(text)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Let the shell complete the path."""
        return complete_file(ctx, param, incomplete)


FILE_PATH = FilePath()
