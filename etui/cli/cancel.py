"""`etui cancel`: stop runs that are queued or under way, and passes on finished ones."""

from __future__ import annotations

import time

import click

from etui.cli.context import Settings
from etui.cli.lazy import examples
from etui.errors import UsageError

WAIT_S = 5.0
POLL_S = 0.05


@click.command(
    epilog=examples(
        "etui cancel 3f9a",
        "etui cancel --all",
    )
)
@click.argument("runs", nargs=-1, metavar="RUN..")
@click.option("--all", "every", is_flag=True, help="Every run that is queued or under way.")
@click.pass_obj
def cancel(settings: Settings, runs: tuple[str, ...], every: bool) -> None:
    """Cancel runs, and profiles of them; what they have measured so far is kept."""
    from etui.results import LIVE_STATUSES

    if bool(runs) == every:
        raise UsageError("say which runs to cancel", "give their ids, or --all")
    with settings.store_with_runs() as store:
        ids = store.live_run_ids() if every else [store.resolve(prefix) for prefix in runs]
        live = store.request_cancel(ids)
        passes = [one for one in store.live_passes() if every or one.run in ids]
        store.request_pass_cancel([one.id for one in passes])
        for run_id in ids:
            if run_id not in live and not any(one.run == run_id for one in passes):
                click.echo(f"{run_id[:6]} is not running: {store.summary(run_id).status}", err=True)
        if every and not ids and not passes:
            click.echo("nothing is queued or running", err=True)
        until = time.monotonic() + WAIT_S
        waiting = list(live)
        under_way = passes
        while (waiting or under_way) and time.monotonic() < until:
            waiting = [run_id for run_id in waiting if store.summary(run_id).status in LIVE_STATUSES]
            under_way = [one for one in under_way if store.get_pass(one.id).live]
            time.sleep(POLL_S)
        for run_id in live:
            state = store.summary(run_id).status
            click.echo(f"{run_id[:6]} {'is being cancelled' if run_id in waiting else state}", err=True)
        for one in passes:
            now = store.get_pass(one.id)
            words = "is being cancelled" if now.live else now.status
            click.echo(f"{one.kind} of {one.run[:6]} {words}", err=True)
