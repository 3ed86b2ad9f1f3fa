"""The page of commands: each command's own help, and the options of the pytest plugin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from etui import errors, pytest_plugin
from etui.cli.main import cli
from tests.docs.markdown import block, code, make_page, table

_WIDE: dict[str, Any] = {"terminal_width": 100, "max_content_width": 100}
_HELP = cli.context_settings["help_option_names"]
_STATUSES = (
    (errors.EXIT_DONE, "done; no limit was crossed (UNPROVEN crosses none)"),
    (
        errors.EXIT_CROSSED,
        "a tolerance or a `--fail-if` limit was crossed; with `doctor`, measuring is impossible; with `data check`,"
        " training would fail",
    ),
    (errors.EXIT_USAGE, "wrong usage; nothing was started"),
    (errors.EXIT_FAILED, "a run failed, or a program does not load here (`inspect`), or an unexpected error"),
    (errors.EXIT_TIMED_OUT, "timed out; what was measured is kept"),
    (errors.EXIT_CANCELLED, "cancelled"),
)


def page() -> str:
    """The text of ``docs/reference/commands.md``."""
    parts = [
        "The output of `--help` of every command. RUN is a run's id or the beginning of it. Results go to stdout,"
        " progress and messages to stderr.",
        "## Exit status",
        table(("status", "meaning"), [(str(status), meaning) for status, meaning in _STATUSES]),
    ]
    for names, text in _helps(cli, click.Context(cli, info_name="etui", help_option_names=_HELP, **_WIDE), "etui"):
        parts += [f"## {names}", block(text)]
    parts += [
        "## pytest options",
        "The [pytest plugin](../ci.md#tests-with-pytest) adds these options. In a session of `etui.verify` those with a"
        " short name have that, too.",
        table(("option", "short", "meaning"), _plugin_options()),
    ]
    return make_page("Commands", *parts)


def _helps(command: click.Command, context: click.Context, names: str) -> Iterator[tuple[str, str]]:
    yield names, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            inner_context = click.Context(inner, parent=context, info_name=name, **_WIDE)
            yield from _helps(inner, inner_context, f"{names} {name}")


class _Recorder:
    """Stands in for pytest's parser and its group of options, and keeps the options that are added."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []

    def getgroup(self, _name: str, _description: str = "") -> _Recorder:
        return self

    def addoption(self, name: str, **attributes: Any) -> None:
        self.options.append((name, attributes))


def _plugin_options() -> list[tuple[str, str, str]]:
    recorder = _Recorder()
    pytest_plugin.pytest_addoption(recorder)  # type: ignore[arg-type]
    short = {f"--etui-{name}": f"--{name}" for name, has_short, _ in pytest_plugin._OPTIONS if has_short}
    return [
        (
            code(f"{name} {attributes.get('metavar') or '|'.join(attributes.get('choices', ()))}".strip()),
            code(short.get(name, "")),
            attributes["help"],
        )
        for name, attributes in recorder.options
    ]
