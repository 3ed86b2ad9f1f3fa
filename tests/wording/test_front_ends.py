"""Texts that every front end shows name no option and no command of the command line."""

from __future__ import annotations

import re

import click
import pytest

from etui.cli.main import cli
from etui.wording.flags import explained
from tests.docs import flags
from tests.golden import FOLDER

_COMMANDS = "|".join(cli.list_commands(click.Context(cli)))
_COMMAND_LINE = re.compile(rf"(?<![\w-])--[a-z]|\betui (?:{_COMMANDS})\b")
SHARED = ("comparison", "comparison_limits", "delegation", "histories", "pareto", "verdicts", "words")


@pytest.mark.parametrize("name", SHARED)
def test_sentences_do_not_name_the_command_line(name: str) -> None:
    assert _COMMAND_LINE.findall((FOLDER / f"{name}.txt").read_text("utf-8")) == []


def test_explanations_of_flags_do_not_name_the_command_line() -> None:
    names = re.findall(r"^\| `([^`]+)`", flags.page(), re.M)
    assert len(names) > 15
    assert [name for name in names if _COMMAND_LINE.search(explained(name))] == []
