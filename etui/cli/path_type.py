"""The type of options that name a file or folder: what cannot be a path is refused before anything runs."""

from __future__ import annotations

import os
from pathlib import Path

import click

from etui.paths import absolute, expanded


class FilePath(click.ParamType[Path]):
    """A path as it was typed, with ``~`` expanded. Raises UsageError for what can name no file."""

    name = "FILE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Check the text of a path. ``-`` is left for the command to understand."""
        if isinstance(value, Path):
            return value
        text = os.fsdecode(value) if isinstance(value, bytes) else str(value)
        absolute(text, param.opts[0] if param is not None else "the path")
        return expanded(text)


FILE_PATH = FilePath()
