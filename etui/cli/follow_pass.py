"""Follow a pass on a finished run from the database until it ends, telling on stderr what happens."""

from __future__ import annotations

import subprocess
import time

import click

from etui.cli.follow import MOST_FAILURES, POLL_S, RUNNER_CHECK_S, Talk, talking
from etui.errors import EXIT_CANCELLED, EXIT_DONE, EXIT_FAILED, EXIT_TIMED_OUT, EtuiError
from etui.runner.client import ensure_runner, log_of, settle, submit_pass
from etui.spec import PassOptions
from etui.store import QueuedPass, Store
from etui.text import plain

PATIENCE_S = 1.0

_ENDS = {"cancelled": EXIT_CANCELLED, "timed out": EXIT_TIMED_OUT}
_WORDS = {"cancelled": "was cancelled", "interrupted": "was interrupted"}


def have_made(store: Store, run_id: str, options: PassOptions, what: str) -> int:
    """Queue a pass on a finished run and tell on stderr what happens until it has ended; Ctrl-C cancels it. Returns the
    exit status that says how it ended, which is told too where that is not well.

    Raises:
        EtuiError: see ``submit_pass`` and ``follow_pass``.
    """
    queued = submit_pass(store, run_id, options)
    with talking({}) as talk:
        try:
            ended = follow_pass(store, queued, talk)
        except KeyboardInterrupt:
            store.request_pass_cancel([queued.id])
            talk.line("cancelling")
            follow_pass(store, queued, talk)
            return EXIT_CANCELLED
    if ended.status == "done":
        return EXIT_DONE
    why = f": {plain(ended.error)}" if ended.error else ""
    click.echo(f"etui: the {what} {_WORDS.get(ended.status, ended.status)}{why}", err=True)
    return _ENDS.get(ended.status, EXIT_FAILED)


def follow_pass(store: Store, queued: QueuedPass, talk: Talk) -> QueuedPass:
    """Tell what is said of the pass until it has ended, and return it as it ended. A runner that is missing while the
    pass still waits is started again; one that dies leaves it interrupted.

    Raises:
        EtuiError: the database cannot be read any more, or runners end as soon as they are started.
    """
    newest = store.events_after(queued.session, 0, queued.run, newest=1)
    last = newest[-1].id or 0 if newest else 0
    begun = checked = time.monotonic()
    started: list[subprocess.Popen[bytes]] = []
    seen, said = -1, False
    while True:
        version = store.data_version()
        if version != seen:
            seen = version
            queued = store.get_pass(queued.id)
            for event in store.events_after(queued.session, last, queued.run):
                last = event.id or last
                talk.event(event)
            if not queued.live:
                return queued
        now = time.monotonic()
        if queued.claimed_by is None and not said and now - begun > PATIENCE_S:
            said = True
            talk.line("waiting for the box: other work is ahead in the queue")
        if now - checked > RUNNER_CHECK_S:
            checked = now
            settle(store)
            # What this process wrote itself does not count as a change of the database.
            if not (queued := store.get_pass(queued.id)).live:
                seen = -1
                continue
            if sum(bool(runner.poll()) for runner in started) >= MOST_FAILURES:
                raise EtuiError("the runner ends as soon as it is started", f"see {log_of(store.path)}")
            if (runner := ensure_runner(store.path)) is not None:
                started.append(runner)
        talk.tick()
        time.sleep(POLL_S)
