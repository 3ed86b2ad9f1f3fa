"""The command line: the table of commands and the global options."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from etui import __version__
from etui.cli.complete import complete_file
from etui.cli.context import Settings
from etui.cli.lazy_group import LazyGroup, examples
from etui.errors import UsageError
from etui.web.served import in_browser

COMMANDS = {
    "run": ("etui.cli.run:run", "Measure a model in precisions and on delegates, against eager."),
    "sweep": ("etui.cli.run:sweep", "Measure several models, one session each."),
    "runs": ("etui.cli.runs:runs", "List the runs in the database."),
    "show": ("etui.cli.show:show", "Show all results of a run."),
    "log": ("etui.cli.log:log", "Print or follow the log of a run."),
    "cancel": ("etui.cli.cancel:cancel", "Cancel queued and running runs."),
    "move": ("etui.cli.move:move", "Move a waiting session to another place in the queue."),
    "who": ("etui.cli.who:who", "Show who uses the machine, and who waits for it."),
    "compare": ("etui.cli.compare:compare", "Compare runs with a baseline, with confidence intervals."),
    "trend": ("etui.cli.trend:trend", "Show latency and accuracy changes of a configuration over time."),
    "duel": ("etui.cli.duel:duel", "Measure two runs again, interleaved, to find the faster one."),
    "gap": ("etui.cli.gap:gap", "Show per-layer numerical error against FP32 eager."),
    "profile": ("etui.cli.profile:profile", "Profile the operators of a run, next to those of eager."),
    "summary": ("etui.cli.summary:summary", "Show the parameters, work and memory of a model by module."),
    "diagram": ("etui.cli.diagram:diagram", "Draw the modules of a model and the data flow between them."),
    "check-training": ("etui.cli.check_training:check_training", "Check whether a model trains."),
    "train": ("etui.cli.train:train", "Train a classifier on labelled images, also with quantization."),
    "evaluate": ("etui.cli.evaluate:evaluate", "Evaluate programs on labelled images, by the metrics of the task."),
    "peaks": ("etui.cli.peaks:peaks", "Measure the peaks of this machine, for rooflines."),
    "predict": ("etui.cli.predict:predict", "Predict a model in INT8 on an Arm Ethos-U, without the hardware."),
    "inspect": ("etui.cli.inspect:inspect", "Show the contents of a program, and whether it loads here."),
    "gate": ("etui.cli.gate:gate", "Fail if runs are worse than a baseline file."),
    "report": ("etui.cli.report:report", "Write a report on runs as Markdown or HTML."),
    "export": ("etui.cli.export:export", "Export runs to JSON files."),
    "import": ("etui.cli.import_runs:import_files", "Import runs from JSON files."),
    "delete": ("etui.cli.delete:delete", "Delete runs from the database."),
    "tag": ("etui.cli.tag:tag", "Add tags to runs, remove them, or print them."),
    "note": ("etui.cli.note:note", "Set or print the note of runs."),
    "cache": ("etui.cli.cache:cache", "List or clean the program cache."),
    "data": ("etui.cli.data:data", "Check, make and download data sets of labelled images."),
    "models": ("etui.cli.models:models", "List the models and precisions."),
    "delegates": ("etui.cli.delegates:delegates", "List the delegates and their support on this machine."),
    "config": ("etui.cli.config:config", "Show the configuration file, settings and keys."),
    "completion": ("etui.cli.completion:completion", "Print the script for completion in bash, zsh or fish."),
    "web": ("etui.cli.web:web", "Serve the screen to a web browser."),
    "doctor": ("etui.cli.doctor:doctor", "Check this machine for problems that affect measurements."),
}

KEYS = (
    "r run, x cancel, n new, / filter, enter details, space mark, s sort, c compare, t trend, e export, i import,"
    " l log, ? help, ctrl+p palette, q quit"
)
"""The main keys of the screen, repeated here so that the help does not import their registry."""


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
    + f"\n\nWithout a command, etui opens the terminal UI. Its main keys: {KEYS}."
    + "\n\nRUN is a run id or a unique prefix of it. Exit status: 0 success; 1 a tolerance or --fail-if limit was"
    " crossed; 2 usage error; 3 a run failed; 4 timed out; 130 cancelled.",
)
@click.option("--db", metavar="FILE", shell_complete=complete_file,
              help="Database file.  [default: ETUI_DB, or etui.db in the user's data folder]")  # fmt: skip
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="etui")
@click.pass_context
def cli(ctx: click.Context, db: str | None, debug: bool) -> int:
    """Export PyTorch models to ExecuTorch, measure them against eager PyTorch, and compare all runs."""
    open_screen: Callable[[Path], int] | None = ctx.obj
    ctx.obj = Settings(chosen=db, debug=debug)
    if ctx.invoked_subcommand is None:
        return _terminal_ui(ctx.obj, open_screen)
    return 0


def _terminal_ui(settings: Settings, open_screen: Callable[[Path], int] | None) -> int:
    """Start the terminal UI given by the caller. Raises UsageError if there is no suitable terminal."""
    if open_screen is None or not (_on_terminal() or in_browser()):
        raise UsageError(
            "the terminal UI needs an interactive terminal (no pipe, TERM other than dumb)",
            "use the commands, see etui --help",
        )
    return open_screen(settings.database)


def _on_terminal() -> bool:
    return os.environ.get("TERM", "") not in ("", "dumb", "unknown") and sys.stdin.isatty() and sys.stdout.isatty()
