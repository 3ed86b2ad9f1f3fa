"""`etui log`: print the log of a run and of its session, or of a training, and with -f follow it until its end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.run_selection import selected_run, selected_training
from etui.errors import EXIT_CANCELLED, EXIT_DONE, UsageError
from etui.results import LIVE_STATUSES, LogLine

if TYPE_CHECKING:
    from etui.store import Store
    from etui.task_training import QueuedTraining


@click.command(
    epilog=examples(
        "etui log 3f9a",
        "etui log 3f9a -f          follow it until it ends; Ctrl-C stops following, not the run",
        "etui log 3f9a --verbose   include worker output",
        "etui log 3f9a --json      every line, uncut",
    )
)
@click.argument("run", shell_complete=complete_run)
@click.option("-f", "--follow", "following", is_flag=True, help="Follow the log until the run has ended.")
@click.option("-v", "--verbose", is_flag=True, help="Include worker output, such as tracebacks.")
@click.option("--json", "as_json", is_flag=True, help="Print all lines so far, uncut, as JSON; not with -f.")
@click.pass_obj
def log(settings: Settings, run: str, following: bool, verbose: bool, as_json: bool) -> int:
    """Print the log of RUN and of its session. RUN can also be the id of a training.

    Lines are cut after 1,000 characters; --json prints them in full.
    """
    from etui.services.follow import ProgressPrinter, follow
    from etui.services.stalled_runs import stall_of_session

    if as_json and following:
        raise UsageError("--json and -f cannot be combined", "use one of them")
    with settings.store_with_runs() as store:
        if (training := selected_training(store, run)) is not None:
            return _log_of_training(store, training, following=following, verbose=verbose, as_json=as_json)
        run_id = selected_run(store, run)
        if as_json:
            _print_json(store.document(run_id, operators=False).log)
            return EXIT_DONE
        summary = store.summary(run_id)
        printer = ProgressPrinter(sys.stdout, {run_id: summary.configuration}, verbose=verbose)
        is_live = summary.status in LIVE_STATUSES
        if not (following and is_live):
            events = store.events_after(summary.session, 0, run_id)
            if not events and not is_live:
                raise UsageError(
                    f"run {run_id[:6]} has no log", "the log of an imported run is available if it was exported"
                )
            for event in events:
                if event.kind != "progress":
                    printer.event(event)
            if following:
                click.echo(f"run {run_id[:6]}: {summary.status}", err=True)
            elif is_live and (stall := stall_of_session(store, store.session(summary.session))) is not None:
                click.echo(f"etui: {stall}", err=True)
            return EXIT_DONE
        try:
            follow(store, store.session(summary.session), printer, run_id=run_id)
        except KeyboardInterrupt:
            printer.close()
            click.echo("stopped following; the run continues", err=True)
            return EXIT_CANCELLED
        printer.close()
        click.echo(f"run {run_id[:6]}: {store.summary(run_id).status}", err=True)
        return EXIT_DONE


def _log_of_training(store: Store, training: QueuedTraining, *, following: bool, verbose: bool, as_json: bool) -> int:
    from etui.services.follow import ProgressPrinter
    from etui.services.follow_training import follow_training
    from etui.services.stalled_runs import stall_of_training

    name = f"training {training.id[:6]}"
    if as_json:
        _print_json(
            [
                LogLine(at=event.at, level=event.level, message=event.message, kind=event.kind, stage=event.stage)
                for event in store.training_events_after(training.id)
                if event.kind != "progress"
            ]
        )
        return EXIT_DONE
    printer = ProgressPrinter(sys.stdout, {}, verbose=verbose)
    if not (following and training.live):
        for event in store.training_events_after(training.id):
            printer.event(event)
        if following:
            click.echo(f"{name}: {training.status}", err=True)
        elif (stall := stall_of_training(store, training)) is not None:
            click.echo(f"etui: {stall}", err=True)
        return EXIT_DONE
    try:
        training = follow_training(store, training, printer)
    except KeyboardInterrupt:
        printer.close()
        click.echo("stopped following; the training continues", err=True)
        return EXIT_CANCELLED
    printer.close()
    click.echo(f"{name}: {training.status}", err=True)
    return EXIT_DONE


def _print_json(lines: list[LogLine]) -> None:
    from etui.formats.json_text import printable_json

    click.echo(printable_json(lines))
