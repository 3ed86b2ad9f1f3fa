"""Follow a pass on a finished run from the database until it ends, telling on stderr what happens."""

from __future__ import annotations

import subprocess
import time

from etui.cli.follow import MOST_FAILURES, POLL_S, RUNNER_CHECK_S, Talk
from etui.errors import EtuiError
from etui.runner.client import ensure_runner, log_of, settle
from etui.store import QueuedPass, Store

PATIENCE_S = 1.0


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
            if sum(bool(runner.poll()) for runner in started) >= MOST_FAILURES:
                raise EtuiError("the runner ends as soon as it is started", f"see {log_of(store.path)}")
            if (runner := ensure_runner(store.path)) is not None:
                started.append(runner)
        talk.tick()
        time.sleep(POLL_S)
