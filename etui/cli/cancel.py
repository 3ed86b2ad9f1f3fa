"""`etui cancel`: stop queued and running runs, analyses of finished ones, and trainings."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.run_selection import selected_runs, selected_training
from etui.errors import EXIT_DONE, EXIT_FAILED, UsageError
from etui.text import plain

if TYPE_CHECKING:
    from etui.store import Claim, QueuedAnalysis, Store

WAIT_S = 5.0
POLL_S = 0.05


@click.command(
    epilog=examples(
        "etui cancel 3f9a",
        "etui cancel --all",
        "etui cancel --force 3f9a    its runner was on a host or in a container that no longer exists",
    )
)
@click.argument("runs", nargs=-1, metavar="RUN..", shell_complete=complete_run)
@click.option("--all", "every", is_flag=True, help="All queued and running runs.")
@click.option(
    "--force",
    is_flag=True,
    help="End the session of a run whose runner no longer exists, on another host or in a removed container.",
)
@click.pass_obj
def cancel(settings: Settings, runs: tuple[str, ...], every: bool, force: bool) -> int:
    """Cancel runs and their profiles or numeric gaps, or trainings. Results measured so far are kept, and a training
    can be resumed.
    """
    if bool(runs) == every:
        raise UsageError("no RUN given", "name the runs to cancel, or use --all")
    with settings.store_with_runs() as store:
        named = {} if every else {name: selected_training(store, name) for name in runs}
        trainings = store.live_trainings() if every else [one for one in named.values() if one is not None]
        runs = tuple(name for name in runs if named[name] is None)
        ids = store.live_run_ids() if every else selected_runs(store, runs)
        live = store.request_cancel(ids)
        analyses = [one for one in store.live_analyses() if every or one.run in ids]
        store.request_analysis_cancel([one.id for one in analyses])
        live_trainings = store.request_training_cancel([one.id for one in trainings])
        for run_id in ids:
            if run_id not in live and not any(one.run == run_id for one in analyses):
                click.echo(f"{run_id[:6]} is not running: {store.summary(run_id).status}", err=True)
        for training in trainings:
            if training.id not in live_trainings:
                click.echo(f"{training.id[:6]} is not running: {training.status}", err=True)
        if every and not ids and not analyses and not trainings:
            click.echo("nothing is queued or running", err=True)
        # A runner that cannot be seen from here will probably not answer.
        _wait(store, live, analyses, live_trainings, WAIT_S if not force else WAIT_S / 5)
        refused = _force(store, live, analyses, live_trainings) if force else False
        for run_id in live:
            click.echo(f"{run_id[:6]} {_run_state(store, run_id)}", err=True)
        for one in analyses:
            now = store.get_analysis(one.id)
            state = "is being cancelled" if now.live else now.status
            click.echo(f"{one.kind} of {one.run[:6]} {state}", err=True)
            if now.live and (stall := _stall_of_analysis(store, now)):
                click.echo(f"etui: {stall}", err=True)
        for training_id in live_trainings:
            click.echo(f"{training_id[:6]} {_training_state(store, training_id)}", err=True)
        return EXIT_FAILED if refused else EXIT_DONE


def _wait(
    store: Store, live: list[str], analyses: list[QueuedAnalysis], trainings: list[str], longest_s: float
) -> None:
    from etui.results import LIVE_STATUSES

    until = time.monotonic() + longest_s
    while time.monotonic() < until:
        if not (
            any(store.summary(run_id).status in LIVE_STATUSES for run_id in live)
            or any(store.get_analysis(one.id).live for one in analyses)
            or any(store.training(one).live for one in trainings)
        ):
            return
        time.sleep(POLL_S)


def _run_state(store: Store, run_id: str) -> str:
    from etui.results import LIVE_STATUSES
    from etui.services.stalled_runs import stall_of_session

    summary = store.summary(run_id)
    if summary.status not in LIVE_STATUSES:
        return summary.status
    stall = stall_of_session(store, store.session(summary.session))
    return f"is being cancelled; {stall}" if stall else "is being cancelled"


def _training_state(store: Store, training_id: str) -> str:
    from etui.services.stalled_runs import stall_of_training
    from etui.services.train import can_resume

    training = store.training(training_id)
    if training.live:
        stall = stall_of_training(store, training)
        return f"is being cancelled; {stall}" if stall else "is being cancelled"
    more = f"; continue it with: etui train --resume {training_id[:6]}" if can_resume(training) else ""
    return training.status + more


def _stall_of_analysis(store: Store, queued: QueuedAnalysis) -> str:
    from etui.services.stalled_runs import stall_of_claim

    claim = next((claim for claim in store.analysis_claims() if claim.id == queued.id), None)
    return str((stall_of_claim(store, claim, queued.run) if claim else None) or "")


def _force(store: Store, live: list[str], analyses: list[QueuedAnalysis], trainings: list[str]) -> bool:
    """End those that are still live, unless their runner is alive. Returns whether any was refused."""
    from etui.runner.abandoned_work import end_session

    claims = {claim.id: claim for claim in (*store.claims(), *store.analysis_claims(), *store.training_claims())}
    refused = False
    for session in dict.fromkeys(store.summary(run_id).session for run_id in live):
        claim, still = claims.get(session), store.live_run_ids(session)
        if claim is None or not still:
            continue
        if _is_alive(store, claim, still[0]):
            refused = True
            continue
        for run_id in end_session(store, session, error=_lost_reason(claim)):
            if run_id not in live:
                click.echo(f"{run_id[:6]} of the same session: {store.summary(run_id).status}", err=True)
    for one in analyses:
        claim = claims.get(one.id)
        if claim is None or not store.get_analysis(one.id).live:
            continue
        if _is_alive(store, claim, one.run):
            refused = True
        else:
            store.interrupt_analyses([one.id], _lost_reason(claim))
    for training_id in trainings:
        claim = claims.get(training_id)
        if claim is None:
            continue
        if _is_alive(store, claim, training_id):
            refused = True
        else:
            store.interrupt_trainings([training_id], _lost_reason(claim))
    return refused


def _lost_reason(claim: Claim) -> str:
    return f"its runner (process {claim.pid} on {claim.host}) was declared lost with `etui cancel --force`"


def _is_alive(store: Store, claim: Claim, run_id: str) -> bool:
    from etui.runner.abandoned_work import owner_state

    if owner_state(store.path, claim) != "alive":
        return False
    click.echo(
        plain(
            f"etui: {run_id[:6]} was not ended: its runner, process {claim.pid} on {claim.host}, is alive; "
            f"end that process first: kill {claim.pid}"
        ),
        err=True,
    )
    return True
