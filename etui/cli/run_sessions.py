"""Queue the sessions of a measuring command, follow them to their end, and print their results."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import click

from etui.errors import EXIT_DONE, StoreError
from etui.events import TRACEBACK
from etui.formats.json_text import printable_json
from etui.runner.start import RunnerFailed
from etui.services.follow import ProgressPrinter, ended_with, follow, printing_progress
from etui.store import QueuedSession, Store


def followed(store: Store, queue: Callable[[], Iterable[QueuedSession]], options: Mapping[str, Any]) -> list[str]:
    """Queue sessions and, unless ``options["detach"]``, follow each to its end. Returns the run ids in order.

    Raises:
        RunnerFailed: no runner can be started; what was queued is cancelled.
        EtuiError: whatever ``queue`` raises.
    """
    ids: list[str] = []
    # Ctrl-C while sessions are being queued cancels those too.
    with interrupts_counted() as interrupted:
        try:
            sessions = []
            for session in queue():
                sessions.append(session)
                ids += [run_id for run_id, _ in session.runs]
            if options["detach"]:
                return ids
            labels = {run_id: variant.label for session in sessions for run_id, variant in session.runs}
            with printing_progress(labels, verbose=options["verbose"], by_stage=True) as printer:
                stop = _CancelOnInterrupt(store, ids, printer, interrupted)
                for session in sessions:
                    follow(store, session, printer, stop=stop)
        except RunnerFailed as error:
            # A later runner must not measure them.
            with suppress(StoreError):
                store.request_cancel(ids, str(error))
            raise
    return ids


class _CancelOnInterrupt:
    """Polled while runs are followed: the first Ctrl-C cancels them, the second one leaves."""

    def __init__(self, store: Store, ids: list[str], printer: ProgressPrinter, interrupted: list[int]) -> None:
        self._store, self._ids, self._printer, self._interrupted = store, ids, printer, interrupted
        self._asked = False

    def __call__(self) -> bool:
        if self._interrupted and not self._asked:
            self._asked = True
            self._printer.line("cancelling (press Ctrl-C again to leave immediately)")
            self._store.request_cancel(self._ids)
        return len(self._interrupted) > 1


@contextmanager
def interrupts_counted() -> Iterator[list[int]]:
    """Record Ctrl-C instead of raising: a signal may arrive during a transaction."""
    interrupted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        interrupted.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def finish(store: Store, ids: list[str], options: Mapping[str, Any]) -> int:
    """Print the results and return the exit status."""
    if options["as_json"]:
        summaries = [store.summary(run_id).as_json() for run_id in ids]
        click.echo(printable_json(summaries))
    if options["detach"]:
        if not options["as_json"]:
            click.echo("\n".join(ids))
        from etui.services.queue_estimate import ahead_of

        ahead = ahead_of(store, store.summary(ids[0]).session)
        place = f", {ahead.text}" if ahead.sessions else ""
        click.echo(
            f"queued{place}; follow with `etui log {ids[0][:6]} -f`, stop with `etui cancel {ids[0][:6]}`", err=True
        )
        return EXIT_DONE
    if not options["as_json"]:
        from etui.cli.session_table import session_table

        documents = [store.document(run_id) for run_id in ids]
        for document in documents:
            if document.status == "failed" and any(line.message.startswith(TRACEBACK) for line in document.log):
                click.echo(f"etui: `etui log {document.id[:6]}` has the traceback", err=True)
        for session in dict.fromkeys(document.session.id for document in documents):
            click.echo(session_table([document for document in documents if document.session.id == session]))
    return ended_with(store, ids)
