"""``etui delete``: runs out of the database."""

from __future__ import annotations

import sys

import click

from etui.cli.context import Settings
from etui.cli.lazy import examples
from etui.errors import UsageError
from etui.text import LINE_CELLS, counted, shortened


@click.command(epilog=examples("etui delete 3f2a", "etui delete 3f2a 91bc --yes"))
@click.argument("runs", nargs=-1, required=True, metavar="RUN..")
@click.option("--yes", is_flag=True, help="Do not ask; needed where no terminal is there to ask on.")
@click.pass_obj
def delete(settings: Settings, runs: tuple[str, ...], yes: bool) -> None:
    """Delete runs, with their samples and logs. A live run is refused: cancel it first."""
    with settings.store_with_runs() as store:
        run_ids = list(dict.fromkeys(map(store.resolve, runs)))
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("there is no terminal to ask on", "give --yes to delete without asking")
            for run_id in run_ids:
                summary = store.summary(run_id)
                name = f"{summary.model} {summary.precision}/{summary.delegate}"
                click.echo(f"{run_id}  {shortened(name, LINE_CELLS)}  {summary.status}", err=True)
            if not click.confirm(f"Delete {counted(len(run_ids), 'run')}?", err=True):
                click.echo("nothing was deleted", err=True)
                return
        click.echo(f"deleted {counted(store.delete_runs(run_ids), 'run')}", err=True)
