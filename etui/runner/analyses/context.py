"""The context of an analysis in progress: its run, outbox, workers and program cache."""

from __future__ import annotations

from etui.events import Event, EventKind, Level, utc_now
from etui.host.cpus import measuring_cpus, usable_cores
from etui.jobs import Done, Job
from etui.results import RunDocument
from etui.runner.fork_servers import WorkerPool
from etui.runner.outbox import Outbox
from etui.runner.program_cache import ProgramCache
from etui.runner.rebuild_program import RebuiltProgram, Trust, rebuild_program
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

    async def do(self, job: Job) -> Done:
        """Have a job done in a worker; cancelling kills it.

        Raises:
            WorkerFailed: the worker failed.
        """
        return await self.workers.do(job, self.report)

    async def program(self) -> RebuiltProgram:
        """Return the run's program and bundle, from the cache or rebuilt.

        Raises:
            EtuiError: they are no longer available.
        """
        trust = Trust(imported=self.store.is_imported(self.queued.run), files=self.queued.options.trusted_files)
        return await rebuild_program(
            self.document, trust, cache=self.cache, workers=self.workers, say=self.report, threads=self.cores
        )
