"""Follow a pass on a finished run from the database until it ends, telling on stderr what happens."""

from __future__ import annotations

import contextlib
import time

import click

from etui.errors import EXIT_CANCELLED, EXIT_DONE, EXIT_FAILED, EXIT_TIMED_OUT, StoreError
from etui.runner.start import RunnerFailed
from etui.services.follow import POLL_S, ProgressPrinter, RunnerWatch, printing_progress
from etui.services.stalled_runs import stall_of_claim
from etui.services.submit import submit_analysis
from etui.spec import AnalysisOptions
from etui.store import QueuedAnalysis, Store
from etui.text import plain

PATIENCE_S = 1.0

_ENDS = {"cancelled": EXIT_CANCELLED, "timed out": EXIT_TIMED_OUT}
_WORDS = {"cancelled": "was cancelled", "interrupted": "was interrupted"}


def have_made(store: Store, run_id: str, options: AnalysisOptions, what: str) -> int:
    """Queue a pass on a finished run and tell on stderr what happens until it has ended; Ctrl-C cancels it. Returns the
    exit status that says how it ended, which is told too where that is not well.

    Raises:
        EtuiError: see ``submit_pass`` and ``follow_pass``.
    """
    queued = submit_analysis(store, run_id, options)
    try:
        return _followed(store, queued, what)
    except RunnerFailed as error:
        with contextlib.suppress(StoreError):
            store.request_analysis_cancel([queued.id], str(error))
        raise


def _followed(store: Store, queued: QueuedAnalysis, what: str) -> int:
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
    click.echo(f"etui: the {what} {_WORDS.get(ended.status, ended.status)}{why}", err=True)
    return _ENDS.get(ended.status, EXIT_FAILED)


def follow_analysis(store: Store, queued: QueuedAnalysis, talk: ProgressPrinter) -> QueuedAnalysis:
    """Tell what is said of the pass until it has ended, and return it as it ended. A runner that is missing while the
    pass still waits is started again; one that dies leaves it interrupted.

    Raises:
        RunnerFailed: no runner can be started, or runners end as soon as they are started.
        StoreError: the database cannot be read any more.
    """
    newest = store.events_after(queued.session, 0, queued.run, newest=1)
    last = newest[-1].id or 0 if newest else 0
    begun = time.monotonic()
    watch = RunnerWatch(store)
    seen, said, said_standing = -1, False, ""
    while True:
        with watch.patience():
            version = store.version()
            if version != seen:
                queued = store.get_analysis(queued.id)
                for event in store.events_after(queued.session, last, queued.run):
                    last = event.id or last
                    talk.event(event)
                if not queued.live:
                    return queued
                seen = version
        if queued.claimed_by is None and not said and time.monotonic() - begun > PATIENCE_S:
            said = True
            talk.line("waiting for the box: other work is ahead in the queue")
        if watch.due():
            watch.check()
            with watch.patience():
                claim = next((claim for claim in store.analysis_claims() if claim.id == queued.id), None)
                standing = None if claim is None else stall_of_claim(store, claim, queued.run)
                if standing is not None and standing.why != said_standing:
                    said_standing = standing.why
                    talk.line(str(standing))
        talk.tick()
        time.sleep(POLL_S)
