"""``etui delete``: delete runs from the database."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.run_selection import selected_runs
from etui.errors import UsageError
from etui.text import LINE_CELLS, counted, shortened

if TYPE_CHECKING:
    from etui.store import Store


@click.command(
    epilog=examples("etui delete 3f2a", "etui delete 3f2a 91bc --yes", "etui delete 'status:failed age>30d'")
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN..", shell_complete=complete_run)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation; required without a terminal.")
@click.pass_obj
def delete(settings: Settings, runs: tuple[str, ...], yes: bool) -> None:
    """Delete runs with their samples and logs. Cancel a queued or running run first.

    RUN is an id, or a filter like those of etui runs.
    """
    with settings.store_with_runs() as store:
        run_ids = selected_runs(store, runs)
        _refuse_unseen(store, run_ids)
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError(
                    "cannot ask for confirmation without a terminal", "use --yes to delete without confirmation"
                )
            for run_id in run_ids:
                summary = store.summary(run_id)
                name = f"{summary.model} {summary.configuration}"
                click.echo(f"{run_id}  {shortened(name, LINE_CELLS)}  {summary.status}", err=True)
            if not click.confirm(f"Delete {counted(len(run_ids), 'run')}?", err=True):
                click.echo("nothing was deleted", err=True)
                return
        _delete(store, run_ids)


def _delete(store: Store, run_ids: Sequence[str]) -> None:
    """Delete runs and print how many, also if that fails or is interrupted."""
    deleted, done = 0, False
    try:
        for some in store.delete_in_batches(run_ids):
            deleted += some
        done = True
    finally:
        if done:
            click.echo(f"deleted {counted(deleted, 'run')}", err=True)
        elif deleted:
            click.echo(f"deleted {deleted:,} of {counted(len(run_ids), 'run')}; the others were kept", err=True)


def _refuse_unseen(store: Store, run_ids: list[str]) -> None:
    """Raise UsageError for a run of a session whose runner cannot be seen from here, with the next step."""
    claims = {claim.id: claim for claim in store.claims()}
    if not claims:
        return
    from etui.services.stalled_runs import stall_of_claim

    for run_id in run_ids:
        session_id = store.summary(run_id).session
        live = store.live_run_ids(session_id) if session_id in claims else []
        stall = stall_of_claim(store, claims[session_id], run_id if run_id in live else live[0]) if live else None
        if stall is not None:
            raise UsageError(*stall)
