"""Make an analysis of a finished run for a command, and follow it until it ends, with its progress on stderr."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import NoReturn

import click

from etui.analysis_kinds.kind import AnalysisKind, O, R
from etui.analysis_kinds.registry import KINDS
from etui.errors import EXIT_CANCELLED, EXIT_DONE, EXIT_FAILED, EXIT_TIMED_OUT, EtuiError, StoreError, UsageError
from etui.results import RunDocument
from etui.runner.start import RunnerFailed
from etui.services.follow import POLL_S, ProgressPrinter, RunnerWatch, printing_progress
from etui.services.stalled_runs import stall_of_claim
from etui.services.submit import awaited_analysis, submit_analysis
from etui.spec import AnalysisOptions
from etui.store import QueuedAnalysis, Store
from etui.text import plain

PATIENCE_S = 1.0

_ENDS = {"cancelled": EXIT_CANCELLED, "timed out": EXIT_TIMED_OUT}
_OUTCOMES = {"cancelled": "was cancelled", "interrupted": "was interrupted"}


def analysed(
    store: Store,
    run_id: str,
    kind: AnalysisKind[O, R],
    options: Callable[[RunDocument], O],
    outdated: Callable[[R], bool],
    *,
    detach: bool = False,
) -> tuple[RunDocument, R]:
    """Return the document of a run and its result of a kind of analysis. If it has none, or one that is ``outdated``,
    the analysis is made first with the options that ``options`` returns for the document; with ``detach`` it is only
    queued.

    Raises:
        click.exceptions.Exit: the analysis ended without a result, or ``detach`` was given; see ``make_analysis``.
        EtuiError: see ``make_analysis``.
    """
    document = store.document(run_id, operators=False)
    result = kind.result_in(document)
    if result is None or outdated(result):
        make_analysis(store, run_id, options(document), detach=detach)
    elif detach:
        detached(run_id)
    document = store.document(run_id)
    result = kind.result_in(document)
    if result is None:
        raise EtuiError(f"run {run_id[:6]} has no result of the {kind.title}", "make it with --again")
    return document, result


def make_analysis(store: Store, run_id: str, options: AnalysisOptions, *, detach: bool = False) -> None:
    """Queue an analysis of a finished run and follow it to its end; Ctrl-C cancels it, and so does the runner if this
    process ends otherwise. With ``detach`` it is not followed, and goes on without this process.

    Raises:
        click.exceptions.Exit: the analysis failed, was cancelled or timed out, which is reported on stderr, or
            ``detach`` was given; it has the exit status of the command.
        EtuiError: see ``awaited_analysis`` and ``follow_analysis``.
    """
    if detach:
        submit_analysis(store, run_id, options)
        detached(run_id)
    with awaited_analysis(store, run_id, options) as queued:
        try:
            status = _followed(store, queued)
        except RunnerFailed as error:
            with contextlib.suppress(StoreError):
                store.request_analysis_cancel([queued.id], str(error))
            raise
    if status != EXIT_DONE:
        raise click.exceptions.Exit(status)


def detached(run_id: str) -> NoReturn:
    """Print the id of a run whose analysis is queued or made, and end the command."""
    click.echo(run_id)
    raise click.exceptions.Exit(EXIT_DONE)


def check_detach(detach: bool, **others: object) -> None:
    """Raise UsageError if ``detach`` is combined with one of the options that need the result, given by name."""
    if detach and (given := [name for name, value in others.items() if value]):
        raise UsageError(f"--detach waits for no result, which --{given[0]} needs", "use one of them")


def _followed(store: Store, queued: QueuedAnalysis) -> int:
    with printing_progress({}) as talk:
        try:
            ended = follow_analysis(store, queued, talk)
        except KeyboardInterrupt:
            store.request_analysis_cancel([queued.id])
            talk.line("cancelling")
            follow_analysis(store, queued, talk)
            return EXIT_CANCELLED
    if ended.status == "done":
        return EXIT_DONE
    why = f": {plain(ended.error)}" if ended.error else ""
    click.echo(f"etui: the {KINDS[ended.kind].title} {_OUTCOMES.get(ended.status, ended.status)}{why}", err=True)
    return _ENDS.get(ended.status, EXIT_FAILED)


def follow_analysis(store: Store, queued: QueuedAnalysis, talk: ProgressPrinter) -> QueuedAnalysis:
    """Print the events of the analysis until it has ended, and return it. If no runner is alive while it is queued, one
    is started; a runner that dies leaves it interrupted.

    Raises:
        RunnerFailed: no runner can be started, or runners end as soon as they are started.
        StoreError: the database cannot be read any more.
    """
    newest = store.events_after(queued.session, 0, queued.run, newest=1)
    last = newest[-1].id or 0 if newest else 0
    begun = time.monotonic()
    watch = RunnerWatch(store)
    seen, reported, shown_stall = -1, False, ""
    while True:
        with watch.patience():
            version = store.version()
            if version != seen:
                queued = store.get_analysis(queued.id)
                for event in store.events_after(queued.session, last, queued.run):
                    last = event.id or last
                    talk.advance(event)
                    talk.event(event)
                if not queued.live:
                    return queued
                seen = version
        if queued.claimed_by is None and not reported and time.monotonic() - begun > PATIENCE_S:
            reported = True
            talk.line("waiting for the machine: other work is ahead in the queue")
        if watch.due():
            watch.check()
            with watch.patience():
                claim = next((claim for claim in store.analysis_claims() if claim.id == queued.id), None)
                stall = None if claim is None else stall_of_claim(store, claim, queued.run)
                if stall is not None and stall.why != shown_stall:
                    shown_stall = stall.why
                    talk.line(str(stall))
        talk.tick()
        time.sleep(POLL_S)
