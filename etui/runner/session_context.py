"""The state of a session in progress: its runs and results, logging, jobs, and how runs end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from etui.catalog.find import Model, describe, find_model
from etui.errors import EtuiError
from etui.events import TRACEBACK, Event, EventKind, Level, utc_now
from etui.host.cpus import measuring_cpus, usable_cores
from etui.jobs import DynamicDims, JobFor, R
from etui.results import Status
from etui.runner.build_document import RunResults, SessionResults, build_document, document_so_far
from etui.runner.fork_servers import WorkerPool
from etui.runner.outbox import Outbox
from etui.runner.program_cache import ProgramCache
from etui.runner.worker import WorkerFailed
from etui.spec import Variant
from etui.store import QueuedSession, Store


@asynccontextmanager
async def side_by_side() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that raises an expected failure (``EtuiError``) itself, not wrapped in an exception group."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as failures:
        expected, others = failures.split(EtuiError)
        if expected is None or others is not None:
            raise
        raise expected.exceptions[0] from failures


@dataclass
class Run(RunResults):
    """One run in progress: its results, the ``reference`` to its model in jobs, and its jobs in progress. It is
    ``live`` until it ends; in the database it is live until its document is stored. ``dynamic`` is
    the range of shapes that its program takes, if it takes several."""

    reference: str = ""
    live: bool = True
    cancelled: bool = False
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    key: str = ""
    dynamic: DynamicDims | None = None


def _eager_identity(run: Run) -> tuple[str, str | None, str]:
    assert run.bundle is not None
    return run.bundle.model.identity, run.bundle.weights.sha256, str(run.bundle.inputs.shapes)


class Session:
    """One session in progress. Only this object writes its events and results, all through ``outbox``; ``store`` is
    only read."""

    def __init__(
        self, store: Store, workers: WorkerPool, cache: ProgramCache, queued: QueuedSession, model: Model
    ) -> None:
        self.store = store
        self.outbox = Outbox(store, queued.id)
        self.workers = workers
        self.cache = cache
        self.queued = queued
        self.spec = queued.spec
        self.model = model
        self.results = SessionResults(queued=queued)
        self.is_duel = any(variant.repeats for variant in queued.spec.variants)
        self.runs = [self._run(run_id, variant) for run_id, variant in queued.runs]
        self.cores = usable_cores()
        self.cpus = measuring_cpus(self.threads)

    @property
    def threads(self) -> int:
        """The largest number of threads of any variant."""
        return max((self.threads_of(variant) for variant in self.spec.variants), default=self.cores)

    def threads_of(self, variant: Variant) -> int:
        """The number of threads that a variant gets."""
        return variant.threads or self.spec.threads or self.cores

    def cpus_of(self, variant: Variant) -> list[int]:
        """The CPUs that the measuring worker of a variant is pinned to."""
        return measuring_cpus(self.threads_of(variant))

    def live(self) -> list[Run]:
        """The runs that have not ended."""
        return [run for run in self.runs if run.live]

    def models(self) -> list[Model]:
        """The measured models: the session's, or those of a duel."""
        references = dict.fromkeys(run.reference for run in self.runs)
        return [self.model if name == self.spec.model else find_model(name) for name in references]

    def baselines(self) -> dict[str, Run]:
        """For each eager baseline, by its label, a live run that has it: with the same bundle and threads. None for a
        model without an eager model, and in a duel of programs that differ in model, weights or input shapes and so
        have no common baseline."""
        found: dict[str, list[Run]] = {}
        for run in self.live():
            if run.bundle is not None and run.bundle.has_eager:
                found.setdefault(run.variant.eager_label, []).append(run)
        return {label: runs[0] for label, runs in found.items() if len({_eager_identity(run) for run in runs}) == 1}

    def _run(self, run_id: str, variant: Variant) -> Run:
        reference = variant.repeats.model if variant.repeats else self.spec.model
        model = self.model if reference == self.spec.model else find_model(reference)
        return Run(id=run_id, variant=variant, model=describe(model), reference=reference)

    # Events

    def report(self, event: Event) -> None:
        """Store an event."""
        self.outbox.add_event(event)

    def say(
        self, kind: EventKind, message: str, *, run: Run | None = None, stage: str | None = None, level: Level = "info"
    ) -> None:
        """Store an event with the present time, for one run or for the whole session."""
        self.report(
            Event(kind=kind, message=message, at=utc_now(), run_id=run.id if run else None, stage=stage, level=level)
        )

    def report_waiting(self, message: str) -> None:
        """Report that another process holds the machine."""
        self.say("stage", message, stage="wait")

    # Jobs

    async def do(self, job: JobFor[R]) -> R:
        """Return the result of a job done for the whole session.

        Raises:
            WorkerFailed: the worker failed.
        """
        return await self.workers.do(job, self.report)

    async def do_for(self, run: Run, job: JobFor[R], *, keep_running: bool = False) -> R | None:
        """Return the result of a job done for one run; None if the run was cancelled or failed, and so has ended. With
        ``keep_running`` a failure of the job is only a warning."""
        if not run.live:
            return None
        task = asyncio.create_task(self.do(job))
        run.tasks.add(task)
        try:
            result = await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not run.cancelled or (current is not None and current.cancelling()):
                raise
            self.end(run, "cancelled", None)
        except WorkerFailed as error:
            if keep_running and not run.cancelled:
                self.say("warning", f"{job.doing} failed: {error.without_commands}", run=run, level="warning")
            else:
                self.fail(run, error)
        else:
            if not run.cancelled:
                return result
            # The request came after the job had finished.
            self.end(run, "cancelled", None)
        finally:
            run.tasks.discard(task)
        return None

    # Results

    def keep(self, run: Run) -> None:
        """Store the present state of a live run, in case this process is killed."""
        if run.live:
            self.outbox.save_partial(document_so_far(self.results, run))

    # Ending runs

    def cancel(self, run: Run) -> None:
        """Cancel the run's jobs in progress; without any, end the run here."""
        run.cancelled = True
        if not run.tasks:
            self.end(run, "cancelled", None)
        for task in run.tasks:
            task.cancel()

    def cancel_requests(self) -> Collection[str]:
        """Read the ids of the runs that are to be cancelled. Raises StoreError."""
        return self.store.cancel_requested(self.queued.id)

    def apply_cancels(self, requested: Collection[str]) -> bool:
        """Cancel the requested runs. Return whether all runs that have not ended are cancelled."""
        for run in self.live():
            # One side of a duel alone is useless.
            if not run.cancelled and (run.id in requested or (requested and self.is_duel)):
                self.cancel(run)
        cancelled = any(run.cancelled for run in self.runs)
        return cancelled and not any(run.live and not run.cancelled for run in self.runs)

    def fail(self, run: Run, error: EtuiError) -> None:
        """End a run as failed, with the worker's traceback in its log: the lines of the model, and the whole one."""
        if run.live and isinstance(error, WorkerFailed):
            if error.short_traceback:
                self.say("log", f"{TRACEBACK}\n{error.short_traceback.rstrip()}", run=run)
            if error.traceback:
                self.say("log", error.traceback.rstrip(), run=run, level="debug")
        self.end(run, "failed", error.without_commands)

    def end(self, run: Run, status: Status, error: str | None) -> None:
        """End a live run: store its document with everything measured so far."""
        if not run.live:
            return
        run.live = False
        self.outbox.save_document(build_document(self.results, run, status, error, utc_now()))
        level: Level = "info" if status == "done" else "error" if status == "failed" else "warning"
        self.say("finished", f"{run.variant.label}: {status}" + (f": {error}" if error else ""), run=run, level=level)

    def end_all(self, status: Status, error: str | None) -> None:
        """End every live run."""
        for run in self.live():
            self.end(run, status, error)

    def fail_all(self, error: EtuiError) -> None:
        """End every live run as failed."""
        for run in self.live():
            self.fail(run, error)

    async def close(self, patience_s: float) -> None:
        """Finish the session and wait until everything is stored. Call this when no run is live.

        Raises:
            StoreError: see ``Outbox.delivered``.
            asyncio.CancelledError: the wait was cancelled.
        """
        self.outbox.finish_session()
        await self.outbox.delivered(patience_s)
