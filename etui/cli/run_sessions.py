"""What a command that measures does with its sessions: queue them, follow them to their end, say what came of them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import click

from etui.errors import EXIT_DONE, StoreError
from etui.formats.json_text import harmless
from etui.runner.start import RunnerFailed
from etui.services.follow import ProgressPrinter, ended_with, follow, printing_progress
from etui.store import QueuedSession, Store


def followed(store: Store, queue: Callable[[], Iterable[QueuedSession]], options: Mapping[str, Any]) -> list[str]:
    """Have sessions queued and, unless ``options["detach"]``, follow each to its end. Returns the run ids in order.

    Raises:
        RunnerFailed: no runner can be started; what was queued is cancelled.
        EtuiError: whatever ``queue`` raises.
    """
    ids: list[str] = []
    # From before the first is queued: what Ctrl-C meets halfway is cancelled too.
    with _interrupts_counted() as interrupted:
        try:
            sessions = []
            for session in queue():
                sessions.append(session)
                ids += [run_id for run_id, _ in session.runs]
            if options["detach"]:
                return ids
            labels = {run_id: variant.label for session in sessions for run_id, variant in session.runs}
            with printing_progress(labels, verbose=options["verbose"]) as talk:
                stop = _CancelOnInterrupt(store, ids, talk, interrupted)
                for session in sessions:
                    follow(store, session, talk, stop=stop)
        except RunnerFailed as error:
            # Nobody is there to take it now, and it must not be measured when somebody comes to run another.
            with suppress(StoreError):
                store.request_cancel(ids, str(error))
            raise
    return ids


class _CancelOnInterrupt:
    """Asked again and again while runs are followed: the first Ctrl-C cancels them, the second one leaves."""

    def __init__(self, store: Store, ids: list[str], talk: ProgressPrinter, interrupted: list[int]) -> None:
        self._store, self._ids, self._talk, self._interrupted = store, ids, talk, interrupted
        self._asked = False

    def __call__(self) -> bool:
        if self._interrupted and not self._asked:
            self._asked = True
            self._talk.line("cancelling (Ctrl-C again leaves at once)")
            self._store.request_cancel(self._ids)
        return len(self._interrupted) > 1


@contextmanager
def _interrupts_counted() -> Iterator[list[int]]:
    """While this lasts, Ctrl-C is only noted: a signal may come amid a transaction, where no other can begin."""
    interrupted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        interrupted.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def finish(store: Store, ids: list[str], options: Mapping[str, Any]) -> int:
    """Print what came out and return the exit status that says it."""
    if options["as_json"]:
        import msgspec

        summaries = [store.summary(run_id) for run_id in ids]
        click.echo(harmless(msgspec.json.format(msgspec.json.encode(summaries), indent=2)))
    if options["detach"]:
        if not options["as_json"]:
            click.echo("\n".join(ids))
        click.echo(f"queued; follow with `etui log {ids[0][:6]} -f`, stop with `etui cancel {ids[0][:6]}`", err=True)
        return EXIT_DONE
    if not options["as_json"]:
        from etui.cli.session_table import session_table

        documents = [store.document(run_id) for run_id in ids]
        for session in dict.fromkeys(document.session.id for document in documents):
            click.echo(session_table([document for document in documents if document.session.id == session]))
    return ended_with(store, ids)
