"""The line that names the command which reverses a change."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import click

from etui.cli.context import Settings
from etui.text import plain


def show_undo(settings: Settings, words: Sequence[str]) -> None:
    """Print the command with these words on stderr, quoted for the shell, for the same database."""
    database = ["--db", settings.chosen] if settings.chosen else []
    click.echo(f"undo: {plain(shlex.join(['etui', *database, *words]), keep_lines=True)}", err=True)
