"""Follow a training in the database until it ends, printing its log and its progress."""

from __future__ import annotations

import time
from collections.abc import Callable

from etui.runner.start import RunnerFailed
from etui.services.follow import POLL_S, ProgressPrinter, RunnerWatch
from etui.services.stalled_runs import stall_of_training
from etui.store import Store
from etui.task_training import QueuedTraining

PATIENCE_S = 1.0


def follow_training(
    store: Store,
    training: QueuedTraining,
    printer: ProgressPrinter,
    *,
    since: str = "",
    stop: Callable[[], bool] = lambda: False,
) -> QueuedTraining:
    """Print the events of a training, those of the time ``since`` on, until it has ended or ``stop`` returns True, and
    return its state. A runner is started if none is alive while it is queued; a runner that dies leaves it interrupted.

    Raises:
        RunnerFailed: no runner can be started, runners exit right after starting, or the training waits for a runner
            with other settings and none is alive.
        UsageError: the training was deleted.
        StoreError: the database was unreadable for too long.
    """
    last, watch, begun = 0, RunnerWatch(store), time.monotonic()
    seen, reported, shown_stall = -1, False, ""
    while True:
        with watch.patience():
            version = store.version()
            if version != seen:
                training = store.training(training.id)
                for event in store.training_events_after(training.id, last):
                    last = event.id or last
                    if event.at >= since:
                        printer.advance(event)
                        printer.event(event)
                if not training.live:
                    return training
                seen = version
        if stop():
            return training
        if training.claimed_by is None and not reported and time.monotonic() - begun > PATIENCE_S:
            reported = True
            printer.line("waiting for the machine: other work is ahead in the queue")
        if watch.due() and not store.read_only:
            watch.check()
            with watch.patience():
                stall = stall_of_training(store, training)
                if stall is not None and training.claimed_by is None:
                    raise RunnerFailed(*stall)
                if stall is not None and stall.why != shown_stall:
                    shown_stall = stall.why
                    printer.line(str(stall))
        printer.tick()
        time.sleep(POLL_S)
