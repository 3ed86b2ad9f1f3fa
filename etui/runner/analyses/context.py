"""The context of an analysis in progress: its run, outbox, workers and program cache."""

from __future__ import annotations

from collections.abc import Collection

from etui.analysis_kinds.registry import KINDS
from etui.errors import EtuiError, StoreUnavailable
from etui.events import Event, EventKind, Level, utc_now
from etui.host.cpus import measuring_cpus, usable_cores
from etui.jobs import JobFor, R
from etui.results import AnalysisStatus, RunDocument
from etui.runner.fork_servers import WorkerPool
from etui.runner.outbox import Outbox
from etui.runner.program_cache import ProgramCache
from etui.runner.rebuild_program import RebuiltProgram, Trust, rebuild_program
from etui.runner.requesters import GONE, DesertionWatch
from etui.runner.worker import WorkerFailed
from etui.store import QueuedAnalysis, Store


class Analysis:
    """An analysis in progress.

    ``document`` is the run's document at the start, without the operators of its profile. All writes go through
    ``outbox``; ``store`` is only read.
    """

    def __init__(self, store: Store, workers: WorkerPool, cache: ProgramCache, queued: QueuedAnalysis) -> None:
        self.store = store
        self.outbox = Outbox(store, queued.session, queued.run)
        self.ended = False
        self.workers = workers
        self.cache = cache
        self.queued = queued
        self.kind = KINDS[queued.kind]
        self._requesters = DesertionWatch(store.path, queued.id)
        self.document: RunDocument = store.document(queued.run, operators=False)
        self.cores = usable_cores()

    @property
    def threads(self) -> int:
        """The number of threads the run was measured with, limited to the cores of this process."""
        return min(self.document.threads or self.cores, self.cores)

    @property
    def cpus(self) -> list[int]:
        """The CPUs of its measuring workers, the same as in a session with this number of threads."""
        return measuring_cpus(self.threads)

    def report(self, event: Event) -> None:
        """Store an event of the run; events of workers that name no run are attributed to it."""
        if event.run_id is None:
            event.run_id = self.queued.run
        self.outbox.add_event(event)

    def say(
        self, kind: EventKind, message: str, *, level: Level = "info", done: float | None = None,
        total: float | None = None,
    ) -> None:  # fmt: skip
        """Store an event with the present time."""
        self.report(
            Event(kind=kind, message=message, at=utc_now(), stage=self.queued.kind, level=level, done=done, total=total)
        )

    def report_waiting(self, message: str) -> None:
        """Report that another process holds the machine."""
        self.say("stage", message)

    def cancel_requests(self) -> Collection[str]:
        """Return the id of this analysis if it is to be cancelled. Raises StoreError."""
        return {self.queued.id} if self.store.analysis_cancel_requested(self.queued.id) else ()

    def apply_cancels(self, requested: Collection[str]) -> bool:
        """Return whether this analysis is cancelled, or the commands that requested it are gone."""
        return self.queued.id in requested or self._requesters.check()

    def end_all(self, status: AnalysisStatus, error: str | None) -> None:
        """End the analysis if it has not ended yet, and report that in the run's log."""
        if self.ended:
            return
        self.ended = True
        if status == "cancelled" and self._requesters.deserted:
            error = error or GONE
        if not self._exists():
            return
        level: Level = "info" if status == "done" else "error" if status == "failed" else "warning"
        self.say("finished", f"{self.queued.kind}: {status}" + (f": {error}" if error else ""), level=level)
        self.outbox.set_analysis_status(self.queued.id, status, error)

    def fail_all(self, error: EtuiError) -> None:
        """End the analysis as failed, with the worker's traceback in the run's log."""
        if isinstance(error, WorkerFailed) and error.traceback:
            self.say("log", error.traceback.rstrip(), level="debug")
        self.end_all("failed", error.without_commands)

    async def close(self, patience_s: float) -> None:
        """Wait until everything is stored. Raises as ``Outbox.delivered`` does."""
        await self.outbox.delivered(patience_s)

    def _exists(self) -> bool:
        """Whether the analysis and its run are still in the database; True if that cannot be read now."""
        try:
            return self.store.is_in_place() and any(
                live.id == self.queued.id for live in self.store.live_analyses(self.queued.run)
            )
        except StoreUnavailable:
            return True

    async def do(self, job: JobFor[R]) -> R:
        """Return the result of a job done in a worker; cancelling kills it.

        Raises:
            WorkerFailed: the worker failed.
        """
        return await self.workers.do(job, self.report)

    async def program(self, *, to_lower_again: bool = False) -> RebuiltProgram:
        """Return the run's program and bundle, from the cache or rebuilt; ``to_lower_again`` also returns what it is
        lowered with.

        Raises:
            EtuiError: they are no longer available.
        """
        self.say("stage", f"{self.kind.title}: preparing the program")
        trust = Trust(imported=self.store.is_imported(self.queued.run), files=self.queued.options.trusted_files)
        return await rebuild_program(
            self.document,
            trust,
            cache=self.cache,
            workers=self.workers,
            say=self.report,
            threads=self.cores,
            to_lower_again=to_lower_again,
        )
