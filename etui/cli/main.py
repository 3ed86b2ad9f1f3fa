"""The command line: the table of commands and the options that stand before them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from etui import __version__
from etui.cli.context import Settings
from etui.cli.lazy_group import LazyGroup, examples
from etui.errors import UsageError

COMMANDS = {
    "run": ("etui.cli.run:run", "Measure a model with precisions and delegates, against eager."),
    "sweep": ("etui.cli.run:sweep", "Measure several models, one session each."),
    "runs": ("etui.cli.runs:runs", "List the runs in the database."),
    "show": ("etui.cli.show:show", "Show the whole of a run."),
    "log": ("etui.cli.log:log", "Print a run's log, or follow it."),
    "cancel": ("etui.cli.cancel:cancel", "Cancel runs that wait or are being measured."),
    "compare": ("etui.cli.compare:compare", "Say whether runs are faster than another, and how sure that is."),
    "trend": ("etui.cli.trend:trend", "Say what changed over a choice's runs, and since when."),
    "duel": ("etui.cli.duel:duel", "Measure two runs again, interleaved: which one is faster?"),
    "gap": ("etui.cli.gap:gap", "Say where a run's numbers moved, layer by layer."),
    "profile": ("etui.cli.profile:profile", "Say where a run's time goes, operator by operator, beside eager."),
    "inspect": ("etui.cli.inspect:inspect", "Say what a program holds, and whether it loads here."),
    "gate": ("etui.cli.gate:gate", "Fail where runs are worse than a baseline in a file."),
    "report": ("etui.cli.report:report", "Write a page about runs, to share."),
    "export": ("etui.cli.export:export", "Write runs as JSON files."),
    "import": ("etui.cli.import_runs:import_files", "Take runs in from JSON files."),
    "delete": ("etui.cli.delete:delete", "Delete runs from the database."),
    "models": ("etui.cli.models:models", "List the models and precisions."),
    "delegates": ("etui.cli.delegates:delegates", "List the delegates and what each can do here."),
    "config": ("etui.cli.config:config", "Show the settings and keys, and where they are kept."),
    "doctor": ("etui.cli.doctor:doctor", "Say what will spoil measurements on this box."),
}

KEYS = (
    "r run, x cancel, n new, / filter, enter details, space mark, s sort, c compare, t trend, e export, i import,"
    " l log, ? help, ctrl+p palette, q quit"
)
"""The main keys of the screen, written out because the registry they stand in is not imported for the help."""


@click.command(
    cls=LazyGroup,
    table=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "etui run mobilenet_v2 --precision fp32,int8 --delegate xnnpack",
        "etui runs --model mobilenet_v2",
        "etui --db other.db import results/*.json",
    )
    + f"\n\nWithout a command it opens the screen, whose keys are: {KEYS}."
    + "\n\nA RUN is a run's id or the beginning of it. Exit status: 0 done and within tolerance; 1 a tolerance was"
    " crossed; 2 wrong usage; 3 a run failed; 4 timed out; 130 cancelled.",
)
@click.option("--db", metavar="FILE", help="The database; else ETUI_DB, else etui.db in the user's data folder.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="etui")
@click.pass_context
def cli(ctx: click.Context, db: str | None, debug: bool) -> int:
    """Export PyTorch models to ExecuTorch, measure them honestly against eager, and remember every run."""
    open_screen: Callable[[Path], int] | None = ctx.obj
    ctx.obj = Settings(chosen=db, debug=debug)
    if ctx.invoked_subcommand is None:
        return _terminal_ui(ctx.obj, open_screen)
    return 0


def _terminal_ui(settings: Settings, open_screen: Callable[[Path], int] | None) -> int:
    """Start the terminal UI, which the caller of the group hands over. Raises UsageError if there is no terminal."""
    if (
        open_screen is None
        or os.environ.get("TERM", "") in ("", "dumb", "unknown")
        or not (sys.stdin.isatty() and sys.stdout.isatty())
    ):
        raise UsageError(
            "the terminal UI needs a terminal that can move its cursor (TERM is not dumb, no pipe)",
            "use the commands instead, see etui --help",
        )
    return open_screen(settings.database)
