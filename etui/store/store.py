"""The store: one object over the database file, for the runner, the command line and the terminal UI alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from etui.events import Event
from etui.history import History
from etui.insight import NumericGap, Profile
from etui.results import LIVE_STATUSES, AnalysisStatus, Block, Environment, ModelInfo, RunDocument, Status
from etui.spec import AnalysisOptions, SessionSpec, Variant
from etui.store import analysis_queue as passes
from etui.store import blocks, documents, operators, queries, queue
from etui.store import index_search as sources
from etui.store import past_runs as histories
from etui.store import run_pages as pages
from etui.store.analysis_queue import QueuedAnalysis
from etui.store.batches import in_batches
from etui.store.conditions import Condition
from etui.store.database import Database
from etui.store.opening import open_database
from etui.store.operators import OperatorPage, Side
from etui.store.queue import Claim, QueuedSession, RunnerIdentity
from etui.store.run_pages import Glimpse, Page, Sorting, Window
from etui.summary import RunSummary

if TYPE_CHECKING:
    from etui.analysis.session_variance import Level

RUNNER_GONE = "the runner that measured it is gone"
ANALYSIS_RUNNER_GONE = "its runner is gone"

_PART = 1_000
"""So many runs are held in memory of a list of all."""


class Store:
    """The database of one file. Every method is one short transaction and raises StoreError where that fails.

    Several processes may use the file at once, and several threads one Store. A context manager; ``close`` it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.path = database.path

    @classmethod
    def open(cls, path: Path, *, create: bool = True, cache_bytes: int | None = None) -> Self:
        """Open the file, bringing its schema up to date; without ``create`` a missing file is a StoreError.
        ``cache_bytes`` is the most that is kept of the file in memory, for who scans it again and again."""
        return cls(open_database(path, create=create, cache_bytes=cache_bytes))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def read_only(self) -> str:
        """Why the database cannot be written; empty if it can. What would write then raises StoreError."""
        return self._database.read_only

    def data_version(self) -> int:
        """A number that changes when somebody else (another Store, another process) has written; cheap to ask."""
        return self._database.data_version()

    def version(self) -> int:
        """Return a number that changes when anybody has written, this Store included; cheap to ask."""
        return self._database.version()

    def wait_for_locks(self, longest_s: float) -> None:
        """Wait this long at most for another process's lock before a method fails."""
        self._database.wait_for_locks(longest_s)

    def is_in_place(self) -> bool:
        """Whether the file is still the one that was opened, neither removed nor replaced; cheap to ask."""
        return self._database.is_in_place()

    # The queue, as front ends write it

    def add_session(
        self,
        spec: SessionSpec,
        *,
        model: ModelInfo,
        box: str,
        installation: str = "",
        models: Mapping[Variant, ModelInfo] | None = None,
    ) -> QueuedSession:
        """Queue a session with one run a variant. ``box`` is the host that may claim it, ``installation`` the Python
        environment; empty means any. ``models`` has those of variants that are of another model."""
        with self._database.write() as connection:
            return queue.add_session(connection, spec, model, box, installation, models)

    def request_cancel(self, run_ids: Sequence[str], error: str | None = None) -> list[str]:
        """Ask for live runs to be cancelled and return which were live; what nobody has claimed ends at once, with
        ``error`` as the reason if that is not the user's wish."""
        with self._database.write() as connection:
            return queue.request_cancel(connection, run_ids, error)

    # The queue, as a runner works it off

    def claim_next_session(self, owner: RunnerIdentity) -> QueuedSession | None:
        """Take the oldest waiting session of ``owner.host``; its ``runs`` are those still to be done."""
        with self._database.write() as connection:
            return queue.claim_next_session(connection, owner)

    def has_waiting_work(self, host: str, installation: str) -> bool:
        """Whether a session or a pass waits that a runner of this host and installation could claim."""
        with self._database.read() as connection:
            return queue.has_waiting_sessions(connection, host, installation) or passes.has_waiting_analyses(
                connection, host, installation
            )

    def claims(self) -> list[Claim]:
        """The unfinished sessions that runners have claimed, oldest first."""
        with self._database.read() as connection:
            return queue.claims(connection)

    def finished_with_live_runs(self) -> list[str]:
        """The finished sessions that have live runs all the same, as earlier versions could leave them."""
        with self._database.read() as connection:
            return queue.finished_with_live_runs(connection)

    def waiting_sessions(self) -> list[tuple[str, str, str]]:
        """The sessions that no runner has claimed, oldest first: id, the host and the installation they are for."""
        with self._database.read() as connection:
            return queue.waiting_sessions(connection)

    def waiting_hosts(self, installation: str) -> set[str]:
        """The hosts for whose runner of this installation a session or a pass waits."""
        with self._database.read() as connection:
            return queue.waiting_hosts(connection, installation)

    def take_over(self, old: str, new: str, installation: str) -> None:
        """Have what waits for this installation's runner on host ``old`` wait for that on host ``new``."""
        with self._database.write() as connection:
            queue.take_over(connection, old, new, installation)

    def end_left(self, session_id: str, left: Iterable[RunDocument], error: str = RUNNER_GONE) -> list[str]:
        """End what a runner that is gone left of a session, and finish the session: each of these documents is stored
        if its run is still live, and what else is live is interrupted. Returns the runs that were live."""
        with self._database.write() as connection:
            live = queue.live_runs(connection, session_id)
            for document in left:
                if document.id in live:
                    documents.save_document(connection, document)
            queue.interrupt(connection, session_id, error)
            for run_id in live:
                # In its log the last stage would seem to go on.
                said = Event(kind="finished", message=f"interrupted: {error}", run_id=run_id, level="warning")
                queue.add_event(connection, session_id, said)
            return live

    def cancel_requested(self, session_id: str) -> set[str]:
        """The session's live runs that somebody wants cancelled; one indexed query."""
        with self._database.read() as connection:
            return queue.cancel_requested(connection, session_id)

    def set_status(self, run_id: str, status: Status, error: str | None = None) -> None:
        """Move a live run on, noting when it started or finished; a run that has ended stays as it is."""
        with self._database.write() as connection:
            queue.set_status(connection, run_id, status, error)

    def finish_session(self, session_id: str) -> None:
        """Say that the runner is done with the session; a run of it that is still live has failed."""
        with self._database.write() as connection:
            queue.finish_session(connection, session_id)

    def add_event(self, session_id: str, event: Event) -> int:
        """Append an event and return its id; an event without a time gets the time now."""
        return self.add_events(session_id, [event])[0]

    def add_events(self, session_id: str, events: Iterable[Event]) -> list[int]:
        """Append several events in one transaction and return their ids. Unlike everything else that is written they
        may be lost at a power cut, until something else is written: there are too many to wait for the disk each time.
        """
        with self._database.write(durable=False) as connection:
            return [queue.add_event(connection, session_id, event) for event in events]

    def add_block(self, session_id: str, block: Block) -> None:
        """Store a block as soon as it is measured; the same block again is stored once."""
        with self._database.write() as connection:
            blocks.add_block(connection, session_id, block)

    def save_document(self, document: RunDocument) -> None:
        """Store a run's result over its queued row, with the blocks and log lines that are not there yet.

        A note and tags that the row was given meanwhile stay. What was said of the run stays its log, whether or not
        the document repeats it.
        """
        with self._database.write() as connection:
            documents.save_document(connection, document)

    def save_partial(self, document: RunDocument) -> None:
        """Store what is known so far of a run that is live. Its state, times, blocks and log stay what they are; a run
        that has ended is left alone."""
        with self._database.write() as connection:
            documents.save_partial(connection, document)

    # Passes: work on runs that have ended, in the queue beside the sessions

    def add_analysis(
        self, run_id: str, options: AnalysisOptions, *, box: str, installation: str = ""
    ) -> QueuedAnalysis:
        """Queue a pass on a run that has ended; one that waits already with the same options is given back instead.
        Raises UsageError where the run is live or has no program."""
        with self._database.write() as connection:
            return passes.add_analysis(connection, run_id, options, box, installation)

    def get_analysis(self, pass_id: str) -> QueuedAnalysis:
        """One pass. Raises UsageError where there is none (any more)."""
        with self._database.read() as connection:
            return passes.get_analysis(connection, pass_id)

    def live_analyses(self, run_id: str | None = None) -> list[QueuedAnalysis]:
        """The passes that wait or are under way, oldest first; of one run or of all."""
        with self._database.read() as connection:
            return passes.live_analyses(connection, run_id)

    def last_analysis(self, run_id: str, kind: str) -> QueuedAnalysis | None:
        """The newest pass of a kind on a run, whatever its state; None where there never was one."""
        with self._database.read() as connection:
            return passes.last_analysis(connection, run_id, kind)

    def request_analysis_cancel(self, pass_ids: Sequence[str], error: str | None = None) -> list[str]:
        """Ask for live passes to be cancelled and return which were live; what nobody has claimed ends at once, with
        ``error`` as the reason if that is not the user's wish."""
        with self._database.write() as connection:
            return passes.request_analysis_cancel(connection, pass_ids, error)

    def claim_next(self, owner: RunnerIdentity) -> QueuedSession | QueuedAnalysis | None:
        """Take the oldest session or pass that waits for ``owner``; of a session only its runs still to be done."""
        with self._database.write() as connection:
            first = passes.oldest_waiting(connection, owner)
            session = queue.oldest_waiting(connection, owner)
            if first is not None and (session is None or first < session):
                claimed = passes.claim_next_analysis(connection, owner)
                if claimed is not None:
                    return claimed
            return queue.claim_next_session(connection, owner)

    def analysis_cancel_requested(self, pass_id: str) -> bool:
        """Whether somebody wants this pass cancelled, or has deleted its run."""
        with self._database.read() as connection:
            return passes.analysis_cancel_requested(connection, pass_id)

    def set_analysis_status(self, pass_id: str, status: AnalysisStatus, error: str | None = None) -> None:
        """Move a live pass on, noting when it started or finished; one that has ended stays as it is."""
        with self._database.write() as connection:
            passes.set_analysis_status(connection, pass_id, status, error)

    def analysis_claims(self) -> list[Claim]:
        """The live passes that runners have claimed, oldest first."""
        with self._database.read() as connection:
            return passes.claims(connection)

    def interrupt_analyses(self, pass_ids: Iterable[str], error: str = ANALYSIS_RUNNER_GONE) -> None:
        """End these passes, where live, as interrupted, and say so in their runs' logs."""
        with self._database.write() as connection:
            for pass_id in pass_ids:
                passes.interrupt(connection, pass_id, error)

    def save_profile(self, run_id: str, profile: Profile) -> None:
        """Store a profile as its run's, over one that was there; a run deleted meanwhile is no error."""
        with self._database.write() as connection:
            documents.save_profile(connection, run_id, profile)

    def save_gap(self, run_id: str, gap: NumericGap) -> None:
        """Store a numeric gap as its run's, over one that was there; a run deleted meanwhile is no error."""
        with self._database.write() as connection:
            documents.save_gap(connection, run_id, gap)

    # Reading

    def session(self, session_id: str) -> QueuedSession:
        """A session with all its runs. Raises UsageError where there is none."""
        with self._database.read() as connection:
            return queue.session(connection, session_id)

    def sessions_waiting_before(self, session_id: str) -> list[QueuedSession]:
        """The unfinished sessions, waiting or being measured, that come before this one."""
        with self._database.read() as connection:
            return queue.sessions_waiting_before(connection, session_id)

    def events_after(
        self, session_id: str, last_id: int = 0, run_id: str | None = None, *, newest: int | None = None
    ) -> list[Event]:
        """The events after ``last_id``, or the ``newest`` of them; with ``run_id`` only that run's and those of the
        whole session."""
        with self._database.read() as connection:
            return queue.events_after(connection, session_id, last_id, run_id, newest)

    def resolve(self, prefix: str) -> str:
        """The one run whose id is or begins with ``prefix``. Raises UsageError where there is none or several."""
        with self._database.read() as connection:
            return queries.resolve(connection, prefix)

    def summary(self, run_id: str) -> RunSummary:
        """One run's summary. Raises UsageError where there is none."""
        with self._database.read() as connection:
            return queries.summary(connection, run_id)

    def summaries(
        self,
        where: Sequence[Condition] = (),
        *,
        order_by: str = "created_at",
        descending: bool = True,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[RunSummary]:
        """A page of runs, sorted by a column; those without a value come last. UsageError for an unknown column."""
        with self._database.read() as connection:
            return queries.summaries(
                connection, where, order_by=order_by, descending=descending, limit=limit, offset=offset
            )

    def count(self, where: Sequence[Condition] = ()) -> int:
        """How many runs meet the conditions."""
        with self._database.read() as connection:
            return pages.count(connection, where)

    def newest(self, where: Sequence[Condition] = ()) -> Iterator[RunSummary]:
        """All runs that meet the conditions, newest first, read in parts: what is stored or deleted meanwhile may or
        may not be among them, and nothing comes twice. UsageError for an unknown column."""
        place: pages.Place | None = None
        while True:
            with self._database.read() as connection:
                part, place = pages.newest_after(connection, where, place, _PART)
            yield from part
            if place is None:
                return

    def page(
        self,
        where: Sequence[Condition],
        sorting: Sorting,
        window: Window,
        overtaken: Callable[[], bool] | None = None,
    ) -> Page:
        """A page for a table, all of one state of the database. UsageError for a column that does not exist; Overtaken
        as soon as ``overtaken``, which is asked again and again, says that the page is not wanted any more."""
        with self._database.read(overtaken) as connection:
            return pages.page(connection, where, sorting, window)

    def glimpse(
        self,
        where: Sequence[Condition],
        sorting: Sorting,
        window: Window,
        overtaken: Callable[[], bool] | None = None,
    ) -> Page | Glimpse:
        """The page; or only its runs, where it would take a while to count how many there are. Raises as ``page``."""
        with self._database.read(overtaken) as connection:
            return pages.glimpse(connection, where, sorting, window)

    def run_ids(self, where: Sequence[Condition] = ()) -> list[str]:
        """The ids of all runs that meet the conditions."""
        with self._database.read() as connection:
            return queries.run_ids(connection, where)

    def distinct(self, column: str, limit: int = 200) -> list[str]:
        """The texts that stand in a column of the runs, in order. UsageError for an unknown column."""
        with self._database.read() as connection:
            return sources.distinct(connection, column, limit)

    def live_run_ids(self, session_id: str | None = None) -> list[str]:
        """The runs that are queued or being worked on, oldest first; of one session or of all."""
        conditions = [Condition("status", "in", sorted(LIVE_STATUSES))]
        if session_id is not None:
            conditions.append(Condition("session", "=", session_id))
        return [summary.id for summary in self.summaries(conditions, descending=False)]

    def document(self, run_id: str, *, operators: bool = True) -> RunDocument:
        """The whole of a run; of a live one, what there is so far. Raises StoreError where there is none.

        Without ``operators`` the sides of its profile have none: they are read page by page with ``operators``.
        """
        with self._database.read() as connection:
            return documents.load_document(connection, run_id, with_operators=operators)

    def operators(
        self,
        run_id: str,
        side: Side = "program",
        *,
        module: str | None = None,
        words: str = "",
        delegated: bool | None = None,
        order_by: str = "position",
        descending: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> OperatorPage:
        """A page of the operators of a side of a run's profile, filtered and sorted by the database.

        ``module`` keeps those of this module and of the modules in it, ``words`` those that have each of these in their
        name, module or delegate, ``delegated`` those in or out of a delegate. Empty where there is no profile.
        UsageError for an unknown column.
        """
        with self._database.read() as connection:
            return operators.page(
                connection,
                run_id,
                side,
                module=module,
                words=words,
                delegated=delegated,
                order_by=order_by,
                descending=descending,
                limit=limit,
                offset=offset,
            )

    def history(self, run_id: str, limit: int = 200) -> History:
        """The ended runs that are of the same choice as this one, the newest ``limit`` of them, oldest first. Raises
        UsageError where there is no such run."""
        with self._database.read() as connection:
            return histories.history(connection, run_id, limit)

    def session_levels(self, environment: Environment | None) -> list[Level]:
        """At which level the newest sessions on this machine ran, for ``etui.analysis.comparison.compare``; none if
        the machine is not known."""
        # It brings NumPy and SciPy, and the terminal UI opens the store for its first paint.
        from etui.store.session_levels import session_levels

        with self._database.read() as connection:
            return session_levels(connection, environment)

    def blocks(self, session_id: str) -> list[Block]:
        """The session's blocks that count, in the order they were measured, eager ones among them."""
        with self._database.read() as connection:
            return [block for block in blocks.session_blocks(connection, session_id) if not block.superseded]

    def is_imported(self, run_id: str) -> bool:
        """Whether what a run says of its origin comes from an imported file. Raises StoreError where there is no such
        run."""
        with self._database.read() as connection:
            return documents.is_imported(connection, run_id)

    # The user's own changes

    def annotate(self, run_id: str, *, note: str | None = None, tags: Sequence[str] | None = None) -> None:
        """Set a run's note or tags; None leaves them. Raises UsageError where there is no such run."""
        with self._database.write() as connection:
            queries.annotate(connection, run_id, note, tags)

    def delete_runs(self, run_ids: Sequence[str]) -> int:
        """Delete runs and what is theirs alone, as ``delete_in_batches`` does, and return how many were there."""
        return sum(self.delete_in_batches(run_ids))

    def delete_in_batches(self, run_ids: Sequence[str]) -> Iterator[int]:
        """Delete runs and what is theirs alone in short transactions, so that other writers need not wait for the last
        of them, and yield how many each of these deleted; that is final, wherever it stops.

        Raises UsageError where one is live: before anything is deleted, unless it became so meanwhile.
        """
        wanted = list(dict.fromkeys(run_ids))
        with self._database.read() as connection:
            for run_id in wanted:
                queries.check_deletable(connection, run_id)
        for deleted in in_batches(self._database, wanted, queries.delete_run):
            yield sum(deleted)

    def import_document(self, document: RunDocument) -> Literal["new", "known"]:
        """Store a run from elsewhere; one whose id is known changes nothing."""
        return self.import_documents([document])[0]

    def import_documents(self, imported: Sequence[RunDocument]) -> list[Literal["new", "known"]]:
        """Store several runs from elsewhere as ``import_in_batches`` does, and say of each whether it is new."""
        return [one for outcomes in self.import_in_batches(imported) for one in outcomes]

    def import_in_batches(self, imported: Sequence[RunDocument]) -> Iterator[list[Literal["new", "known"]]]:
        """Store several runs from elsewhere in short transactions, so that other writers need not wait for the last of
        them, and yield what came of the runs of each. A run is stored whole or not at all; those that were yielded are
        stored, wherever it stops, and are known if all are imported again."""
        yield from in_batches(self._database, imported, documents.import_document)
