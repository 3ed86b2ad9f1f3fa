"""What an analysis under way works with: its run, its outbox, its workers and the program cache."""

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
    """A pass under way: what its kind needs to do its work and to speak of it in the run's log.

    ``document`` is the run's as it was when the pass began, without its profile's operators. What is to be stored goes
    through ``outbox``; ``store`` is for reading.
    """

    def __init__(self, store: Store, children: WorkerPool, cache: ProgramCache, queued: QueuedAnalysis) -> None:
        self.store = store
        self.outbox = Outbox(store, queued.session, queued.run)
        self.ended = False
        self.children = children
        self.cache = cache
        self.queued = queued
        self.document: RunDocument = store.document(queued.run, operators=False)
        self.cores = usable_cores()

    @property
    def threads(self) -> int:
        """The number of threads the run was measured with, as far as this process has them."""
        return min(self.document.threads or self.cores, self.cores)

    @property
    def cpus(self) -> list[int]:
        """The CPUs its measuring children are held to, the same as in a session with as many threads."""
        return measuring_cpus(self.threads)

    def report(self, event: Event) -> None:
        """Store an event of the run; what a child says without naming the run is said of this one."""
        if event.run_id is None:
            event.run_id = self.queued.run
        self.outbox.add_event(event)

    def say(
        self, kind: EventKind, message: str, *, level: Level = "info", done: float | None = None,
        total: float | None = None,
    ) -> None:  # fmt: skip
        """Store an event of this moment."""
        self.report(
            Event(kind=kind, message=message, at=utc_now(), stage=self.queued.kind, level=level, done=done, total=total)
        )

    async def do(self, job: Job) -> Done:
        """Have a child do something; cancelling kills it.

        Raises:
            ChildFailed: the child failed.
        """
        return await self.children.do(job, self.report)

    async def program(self) -> RebuiltProgram:
        """The run's program and bundle, from the cache or made again.

        Raises:
            EtuiError: they cannot be had any more.
        """
        trust = Trust(imported=self.store.is_imported(self.queued.run), files=self.queued.options.trusted_files)
        return await rebuild_program(
            self.document, trust, cache=self.cache, children=self.children, say=self.report, threads=self.cores
        )
