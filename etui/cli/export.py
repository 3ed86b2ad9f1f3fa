"""``etui export``: export runs to JSON files."""

from __future__ import annotations

from pathlib import Path

import click

from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.path_type import FILE_PATH, STDOUT
from etui.cli.run_selection import selected_runs
from etui.text import plain


@click.command(
    epilog=examples(
        "etui export 3f2a",
        "etui export 3f2a 91bc -o results/",
        "etui export 3f2a 91bc -o both.json",
        "etui export tag:release -o release/",
    )
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN..", shell_complete=complete_run)
@click.option(
    "-o",
    "--output",
    type=FILE_PATH,
    default=".",
    metavar="FILE|DIR|-",
    help="A .json file for all runs, a folder for one file per run, or - for standard output.  [default: this folder]",
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@click.pass_obj
def export(settings: Settings, runs: tuple[str, ...], output: Path, force: bool) -> None:
    """Export runs to JSON files and print the file names. A file is named MODEL_PRECISION_DELEGATE.json.

    RUN is an id, or a filter like those of etui runs.
    """
    from etui.files.atomic import is_stream
    from etui.results import LIVE_STATUSES
    from etui.store.transfer import write_runs

    target = STDOUT if str(output) == "-" else output
    with settings.store_with_runs() as store:
        found = [store.summary(run_id) for run_id in selected_runs(store, runs)]
        for run in found:
            if run.status in LIVE_STATUSES:
                click.echo(f"run {run.id} is {run.status}: its results so far are exported", err=True)
        names = [(run.model, run.precision, run.delegate, run.id) for run in found]
        for path in write_runs(names, store.document, target, force=force):
            if not is_stream(path):
                click.echo(plain(str(path)))
