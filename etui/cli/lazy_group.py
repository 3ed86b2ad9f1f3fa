"""A click group that imports a command's module when the command runs, and reports every error in one line."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click

from etui.cli import ascii_streams
from etui.cli.failure import failure
from etui.errors import EXIT_CANCELLED, EXIT_CROSSED, EXIT_DONE, EXIT_USAGE

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_GLOBAL_OPTIONS = ("--db", "--debug")

COMPLETE_VARIABLE = "_ETUI_COMPLETE"
"""Set by the shell when it asks for completions of a command line."""


def examples(*lines: str) -> str:
    """Return an epilog with examples, without rewrapping."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class LazyGroup(click.Group):
    """A group whose commands are a table: name to (``module:attribute``, one line of help).

    A command ends with the status it returns (None is 0), with that of the EtuiError it raises, or with ``ctx.exit``.
    Any other error is also reported in one line, and ends with 3 (see ``failure``); ``--debug`` shows its traceback.
    """

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table
        self._debug = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None for an unknown name."""
        if cmd_name not in self._table:
            return None
        module, _, attribute = self._table[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown name is a usage error that names similar ones."""
        if args and args[0] not in self._table and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], self._table, n=1, cutoff=0.5)
            guess = f"did you mean {near[0]}?" if near else "see etui --help"
            raise EtuiUsage(f"unknown command {args[0]!r}", guess)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in self._table.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command from the table, without importing the commands, or of an option."""
        from click.shell_completion import CompletionItem

        named = [CompletionItem(name, help=about) for name, (_, about) in self._table.items()]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(item for item in named if item.value.startswith(incomplete)), *options]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and report errors in one line; ``--debug`` shows the traceback."""
        self._debug = bool(ctx.params.get("debug"))
        try:
            return super().invoke(ctx)
        except EOFError as error:
            # Click's prompts raise Abort; it would report any other EOFError as cancelled by the user.
            raise RuntimeError("unexpected end of input") from error

    def main(  # type: ignore[override]  # it always ends the process, as click's own does in standalone mode
        self, args: Sequence[str] | None = None, prog_name: str | None = "etui", **extra: Any
    ) -> NoReturn:
        """Run the command line and end the process with its exit status."""
        _open_closed_streams()
        if os.environ.get(COMPLETE_VARIABLE):
            from etui.cli import shells

            shells.register()
            # A message would be written into the line that the user is typing.
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for as long as the process lives
        for stream in (sys.stdout, sys.stderr):
            ascii_streams.prepare(stream)
        stdout = sys.stdout
        try:
            status = super().main(args, prog_name, COMPLETE_VARIABLE, standalone_mode=False, **extra)
            sys.stdout.flush()
        except click.Abort:
            _print_error("cancelled")
            sys.exit(EXIT_CANCELLED)
        except click.ClickException as error:
            _print_error(_one_line(error))
            # Click uses status 1 for other errors, which here means that a limit was crossed.
            sys.exit(error.exit_code if error.exit_code != EXIT_CROSSED else EXIT_USAGE)
        except KeyboardInterrupt:
            _print_error("cancelled")
            sys.exit(EXIT_CANCELLED)
        except SystemExit:
            # At a broken pipe click replaces stdout and ends with 1, which here means that a limit was crossed.
            if sys.stdout is not stdout:
                _leave_quietly()
            raise
        except Exception as error:  # noqa: BLE001 - the last place that can report it and set a status
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                _leave_quietly()
            if self._debug:
                _show(traceback.format_exc())
            message, status = failure(error)
            _print_error(message)
            _drop_output()
            sys.exit(status)
        sys.exit(status if isinstance(status, int) else EXIT_DONE)


class EtuiUsage(click.ClickException):
    """A usage error of the command line itself, with a hint."""

    exit_code = EXIT_USAGE

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message}; {hint}")


def _one_line(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    message = message[:1].lower() + message[1:]
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return message
    if isinstance(error, click.NoSuchOption) and error.option_name in _GLOBAL_OPTIONS:
        return f"{message}; write {error.option_name} before the command: etui {error.option_name} ..."
    return f"{message}; see {error.ctx.command_path} --help"


def _print_error(line: str) -> None:
    from etui.text import plain

    _show(f"etui: {plain(line)}\n")


def _show(message: str) -> None:
    """Write to stderr without terminal escapes: an error may quote anything."""
    from etui.text import plain

    try:
        click.echo(plain(message, keep_lines=True), err=True, nl=False)
    except OSError:
        _drop_output()


def _leave_quietly() -> NoReturn:
    """End silently if the reader of the output has gone (``etui runs | head``)."""
    # The interpreter flushes what is still buffered at exit.
    _to_nowhere(sys.stdout)
    sys.exit(EXIT_DONE)


def _drop_output() -> None:
    """Discard output that cannot be written (to a full disk); otherwise the interpreter would print a traceback at exit
    and change the status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _to_nowhere(stream)


def _to_nowhere(stream: IO[str]) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_closed_streams() -> None:
    """Open streams that were closed before the start (``etui runs >&-``), for which Python has None."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 - for as long as the process lives
