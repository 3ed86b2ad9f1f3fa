"""Execute a training under the machine lock, and store its log, the figures of its epochs and its result."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection

from etui.catalog.find import find_model
from etui.errors import EtuiError
from etui.events import TRACEBACK, Event, EventKind, Level, utc_now
from etui.host.cpus import usable_cores
from etui.jobs import TrainJob
from etui.paths import cache_dir
from etui.runner.fork_servers import WorkerPool
from etui.runner.outbox import TrainingOutbox
from etui.runner.settings import patience_s
from etui.runner.supervise import supervise
from etui.runner.worker import WorkerFailed
from etui.store import Store
from etui.task_training import QueuedTraining, TrainingStatus


async def run_training(store: Store, workers: WorkerPool, queued: QueuedTraining) -> None:
    """Execute a training; afterwards it is not live.

    Raises:
        StoreError: the database is gone, or did not take the result for longer than ``settings.patience_s``.
        asyncio.CancelledError: the runner is being stopped; the training is interrupted.
    """
    outbox = TrainingOutbox(store, queued.id)
    request = queued.request
    try:
        name = find_model(request.settings.model).name
    except EtuiError as error:
        outbox.set_training_status("failed", error.without_commands)
        await outbox.delivered(patience_s())
        return
    training = _Training(store, outbox, queued.id)
    job = TrainJob(
        settings=request.settings, data=request.data, folder=request.folder, cache_dir=str(cache_dir()),
        resume=request.resume, checkpoint_batches=request.checkpoint_batches, threads=request.threads or usable_cores(),
    )  # fmt: skip

    async def execute(_limit: asyncio.Timeout) -> None:
        training.outbox.save_trained(await workers.do(job, training.report))
        training.end_all("done", None)

    outbox.set_training_status("running")
    await supervise(training, execute, purpose=f"training {name}", timeout_s=math.inf)


class _Training:
    """A training in progress. All writes go through ``outbox``; ``store`` is only read."""

    def __init__(self, store: Store, outbox: TrainingOutbox, training_id: str) -> None:
        self.store, self.outbox = store, outbox
        self._id = training_id
        self._ended = False

    def report(self, event: Event) -> None:
        """Store an event of the worker."""
        self.outbox.add_event(event)

    def report_waiting(self, message: str) -> None:
        """Report that another process holds the machine."""
        self._say("stage", message, stage="wait")

    def cancel_requests(self) -> Collection[str]:
        """Return the id of the training if it is to be cancelled. Raises StoreError."""
        return {self._id} if self.store.training_cancel_requested(self._id) else ()

    def apply_cancels(self, requested: Collection[str]) -> bool:
        """Return whether the training is cancelled."""
        return self._id in requested

    def end_all(self, status: TrainingStatus, error: str | None) -> None:
        """End the training if it has not ended yet, and report that in its log."""
        if self._ended:
            return
        self._ended = True
        level: Level = "info" if status == "done" else "error" if status == "failed" else "warning"
        self._say("finished", f"training: {status}" + (f": {error}" if error else ""), level=level)
        self.outbox.set_training_status(status, error)

    def fail_all(self, error: EtuiError) -> None:
        """End the training as failed, with the worker's traceback in its log."""
        if isinstance(error, WorkerFailed):
            if error.short_traceback:
                self._say("log", f"{TRACEBACK}\n{error.short_traceback.rstrip()}")
            if error.traceback:
                self._say("log", error.traceback.rstrip(), level="debug")
        self.end_all("failed", error.without_commands)

    async def close(self, patience_s: float) -> None:
        """Wait until everything is stored. Raises as ``Outbox.delivered`` does."""
        await self.outbox.delivered(patience_s)

    def _say(self, kind: EventKind, message: str, *, stage: str = "training", level: Level = "info") -> None:
        self.outbox.add_event(Event(kind=kind, message=message, at=utc_now(), stage=stage, level=level))
