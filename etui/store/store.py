"""The store: all operations on the database file, for the runner and the front ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import msgspec

from etui import __version__
from etui.events import Event
from etui.facts import RunSummary
from etui.history import History
from etui.results import LIVE_STATUSES, AnalysisStatus, Block, Environment, ModelInfo, RunDocument, Status
from etui.spec import AnalysisOptions, SessionSpec, Variant
from etui.store import (
    analysis_queue,
    blocks,
    documents,
    index_search,
    past_runs,
    queries,
    queue,
    run_pages,
    training_checks,
    trainings,
)
from etui.store.analysis_queue import QueuedAnalysis
from etui.store.batches import in_batches
from etui.store.conditions import Condition
from etui.store.database import Database
from etui.store.opening import open_database
from etui.store.queue import Claim, QueuedSession, RunnerIdentity
from etui.store.run_pages import Glimpse, Page, Sorting, Window
from etui.task_training import QueuedTraining, TrainedModel, TrainingRequest, TrainingStatus
from etui.training_check import CheckSummary, StoredCheck

if TYPE_CHECKING:
    from etui.analysis.session_variance import SessionLatency

RUNNER_GONE = "the runner that measured it is gone"
ANALYSIS_RUNNER_GONE = "its runner is gone"

Claimed = QueuedSession | QueuedAnalysis | QueuedTraining
"""Work that a runner claims."""

_BATCH = 1_000
"""How many summaries ``Store.newest`` reads at a time."""


class Store:
    """The database of one file. Every method is one short transaction and raises StoreError if that fails.

    Several processes may use the file at the same time, and several threads one Store. Use it as a context manager or
    call ``close``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.path = database.path

    @classmethod
    def open(cls, path: Path, *, create: bool = True, cache_bytes: int | None = None) -> Self:
        """Open the file and upgrade its schema. Unless ``create``, a missing file is a StoreError. ``cache_bytes`` is
        the size of the page cache, for callers that scan the file repeatedly."""
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
        """Why the database cannot be written; empty if it can. Methods that write raise StoreError then."""
        return self._database.read_only

    def data_version(self) -> int:
        """Return a number that changes when another Store or process has written. Cheap."""
        return self._database.data_version()

    def version(self) -> int:
        """Return a number that changes when any Store, including this one, has written. Cheap."""
        return self._database.version()

    def wait_for_locks(self, longest_s: float) -> None:
        """Set the longest wait in seconds for a lock of another process before a method fails."""
        self._database.wait_for_locks(longest_s)

    def is_in_place(self) -> bool:
        """Whether the file was neither removed nor replaced since it was opened. Cheap."""
        return self._database.is_in_place()

    # The queue: methods for front ends

    def add_session(
        self,
        spec: SessionSpec,
        *,
        model: ModelInfo,
        box: str,
        installation: str = "",
        models: Mapping[Variant, ModelInfo] | None = None,
    ) -> QueuedSession:
        """Queue a session with one run per variant. ``box`` is the host and ``installation`` the Python environment
        whose runner may claim it; empty means any. ``models`` has the models of variants whose model is not ``model``.
        Raises UsageError if there is no variant."""
        with self._database.write() as connection:
            return queue.add_session(connection, spec, model, box, installation, models)

    def request_cancel(self, run_ids: Sequence[str], error: str | None = None) -> list[str]:
        """Request cancellation of runs and return which of them were live. One that no runner has claimed ends at once;
        ``error`` is the reason if the user did not request it."""
        with self._database.write() as connection:
            return queue.request_cancel(connection, run_ids, error)

    # The queue: methods for runners

    def has_waiting_work(self, host: str, installation: str) -> bool:
        """Whether a session, an analysis or a training is waiting that a runner of this host and installation could
        claim."""
        with self._database.read() as connection:
            return any(
                has_waiting(connection, host, installation)
                for has_waiting in (
                    queue.has_waiting_sessions,
                    analysis_queue.has_waiting_analyses,
                    trainings.has_waiting,
                )
            )

    def claims(self) -> list[Claim]:
        """Return the unfinished sessions that runners have claimed, oldest first."""
        with self._database.read() as connection:
            return queue.claims(connection)

    def finished_with_live_runs(self) -> list[str]:
        """Return the finished sessions that still have live runs, which earlier versions could leave."""
        with self._database.read() as connection:
            return queue.finished_with_live_runs(connection)

    def waiting_sessions(self) -> list[tuple[str, str, str]]:
        """Return the sessions that no runner has claimed, oldest first: id, host and installation."""
        with self._database.read() as connection:
            return queue.waiting_sessions(connection)

    def waiting_hosts(self, installation: str) -> set[str]:
        """Return the hosts for whose runner of this installation work is waiting."""
        with self._database.read() as connection:
            return queue.waiting_hosts(connection, installation) | trainings.waiting_hosts(connection, installation)

    def take_over(self, old: str, new: str, installation: str) -> None:
        """Reassign the waiting work of this installation from host ``old`` to host ``new``."""
        with self._database.write() as connection:
            queue.take_over(connection, old, new, installation)
            trainings.take_over(connection, old, new, installation)

    def end_left(self, session_id: str, left: Iterable[RunDocument], error: str = RUNNER_GONE) -> list[str]:
        """Finish the session of a dead runner and return the runs that were live. Each of the documents ``left`` is
        stored if its run is still live; the other live runs become interrupted with ``error``."""
        with self._database.write() as connection:
            live = queue.live_runs(connection, session_id)
            for document in left:
                if document.id in live:
                    documents.save_document(connection, document)
            queue.interrupt(connection, session_id, error)
            for run_id in live:
                # Without it the last stage in the log would appear to be running.
                event = Event(kind="finished", message=f"interrupted: {error}", run_id=run_id, level="warning")
                queue.add_event(connection, session_id, event)
            return live

    def move_session(self, session_id: str, *, earlier: bool) -> bool:
        """Exchange the places of a waiting session and of the one before or after it, and return whether both wait."""
        with self._database.write() as connection:
            return queue.move_session(connection, session_id, earlier=earlier)

    def cancel_requested(self, session_id: str) -> set[str]:
        """Return the live runs of the session for which cancellation was requested; one indexed query."""
        with self._database.read() as connection:
            return queue.cancel_requested(connection, session_id)

    def set_status(self, run_id: str, status: Status, error: str | None = None) -> None:
        """Set the status of a live run and when it started or finished; a run that has ended is not changed."""
        with self._database.write() as connection:
            queue.set_status(connection, run_id, status, error)

    def finish_session(self, session_id: str) -> None:
        """Mark a session as finished; a run of it that is still live is marked as failed."""
        with self._database.write() as connection:
            queue.finish_session(connection, session_id)

    def add_event(self, session_id: str, event: Event) -> int:
        """Append an event and return its id; an event without a time gets the current time."""
        return self.add_events(session_id, [event])[0]

    def add_events(self, session_id: str, events: Iterable[Event]) -> list[int]:
        """Append several events in one transaction and return their ids. Unlike all other data they can be lost in a
        power failure until something else is written: there are too many to wait for the disk each time."""
        with self._database.write(durable=False) as connection:
            return [queue.add_event(connection, session_id, event) for event in events]

    def add_block(self, session_id: str, block: Block) -> None:
        """Store a block; the same block is stored once."""
        with self._database.write() as connection:
            blocks.add_block(connection, session_id, block)

    def save_document(self, document: RunDocument) -> None:
        """Store the result of a run over its queued row, with the blocks and log lines that are not stored yet.

        A note and tags that were set on the row in the meantime are kept. All events of the run remain in its log,
        whether or not the document has them.
        """
        with self._database.write() as connection:
            documents.save_document(connection, document)

    def save_partial(self, document: RunDocument) -> None:
        """Store the known parts of a live run. Its status, times, blocks and log are not changed; a run that has ended
        is not changed."""
        with self._database.write() as connection:
            documents.save_partial(connection, document)

    # Analyses of runs that have ended, in the queue with the sessions

    def add_analysis(
        self, run_id: str, options: AnalysisOptions, *, box: str, installation: str = ""
    ) -> QueuedAnalysis:
        """Queue an analysis of a run that has ended; if one with the same options is live already, return it instead.
        Raises UsageError if the run is live or has no program."""
        with self._database.write() as connection:
            return analysis_queue.add_analysis(connection, run_id, options, box, installation)

    def get_analysis(self, analysis_id: str) -> QueuedAnalysis:
        """Return one analysis. Raises UsageError if it does not exist (any more)."""
        with self._database.read() as connection:
            return analysis_queue.get_analysis(connection, analysis_id)

    def live_analyses(self, run_id: str | None = None) -> list[QueuedAnalysis]:
        """Return the queued and running analyses, oldest first, of one run or of all."""
        with self._database.read() as connection:
            return analysis_queue.live_analyses(connection, run_id)

    def last_analysis(self, run_id: str, kind: str) -> QueuedAnalysis | None:
        """Return the newest analysis of a kind of a run, whatever its status; None if there never was one."""
        with self._database.read() as connection:
            return analysis_queue.last_analysis(connection, run_id, kind)

    def request_analysis_cancel(self, analysis_ids: Sequence[str], error: str | None = None) -> list[str]:
        """Request cancellation of analyses and return which of them were live. One that no runner has claimed ends at
        once; ``error`` is the reason if the user did not request it."""
        with self._database.write() as connection:
            return analysis_queue.request_analysis_cancel(connection, analysis_ids, error)

    def claim_next(self, owner: RunnerIdentity) -> QueuedSession | QueuedAnalysis | QueuedTraining | None:
        """Claim the oldest session, analysis or training that ``owner`` may claim; ``runs`` of a session are those
        still to be measured. None if nothing is waiting."""
        queues: tuple[tuple[Callable[..., str | None], Callable[..., Claimed | None]], ...] = (
            (queue.oldest_waiting, queue.claim_next_session),
            (analysis_queue.oldest_waiting, analysis_queue.claim_next_analysis),
            (trainings.oldest_waiting, trainings.claim_next),
        )
        with self._database.write() as connection:
            waiting = [(at, claim) for oldest, claim in queues if (at := oldest(connection, owner)) is not None]
            for _, claim in sorted(waiting, key=lambda one: one[0]):
                if (claimed := claim(connection, owner)) is not None:
                    return claimed
            return None

    def analysis_cancel_requested(self, analysis_id: str) -> bool:
        """Whether cancellation of this analysis was requested, or its run was deleted."""
        with self._database.read() as connection:
            return analysis_queue.analysis_cancel_requested(connection, analysis_id)

    def set_analysis_status(self, analysis_id: str, status: AnalysisStatus, error: str | None = None) -> None:
        """Set the status of a live analysis and when it started or finished; one that has ended is not changed."""
        with self._database.write() as connection:
            analysis_queue.set_analysis_status(connection, analysis_id, status, error)

    def analysis_claims(self) -> list[Claim]:
        """Return the live analyses that runners have claimed, oldest first."""
        with self._database.read() as connection:
            return analysis_queue.claims(connection)

    def interrupt_analyses(self, analysis_ids: Iterable[str], error: str = ANALYSIS_RUNNER_GONE) -> None:
        """End those of these analyses that are live as interrupted, with an event in the logs of their runs."""
        with self._database.write() as connection:
            for analysis_id in analysis_ids:
                analysis_queue.interrupt(connection, analysis_id, error)

    def save_result(self, run_id: str, result: msgspec.Struct) -> None:
        """Store the result of an analysis of a run, replacing an earlier one of its kind; a run deleted in the meantime
        is not an error."""
        with self._database.write() as connection:
            documents.save_result(connection, run_id, result)

    # Trainings, in the queue with the sessions

    def add_training(self, request: TrainingRequest, *, box: str, installation: str = "") -> QueuedTraining:
        """Queue a training. Raises UsageError if a live one writes into the same folder."""
        with self._database.write() as connection:
            return trainings.add(connection, request, box, installation)

    def queue_training_again(
        self, training_id: str, request: TrainingRequest, *, box: str, installation: str = ""
    ) -> QueuedTraining:
        """Queue a training that has ended again, to resume it. Raises UsageError if it is live."""
        with self._database.write() as connection:
            return trainings.queue_again(connection, training_id, request, box, installation)

    def training(self, prefix: str) -> QueuedTraining:
        """Return the training whose id begins with ``prefix``. Raises UsageError if there is none, or several are
        found."""
        with self._database.read() as connection:
            return trainings.get(connection, trainings.resolve(connection, prefix))

    def trainings(self) -> list[QueuedTraining]:
        """Return all trainings, newest first."""
        with self._database.read() as connection:
            return trainings.trainings(connection)

    def live_trainings(self) -> list[QueuedTraining]:
        """Return the queued and running trainings, in the order of the queue."""
        with self._database.read() as connection:
            return trainings.trainings(connection, live_only=True)

    def has_live_trainings(self) -> bool:
        """Whether a training is queued or running."""
        with self._database.read() as connection:
            return trainings.has_live(connection)

    def delete_training(self, training_id: str) -> None:
        """Delete a training with its log; its files stay. Raises UsageError if it does not exist or is live."""
        with self._database.write() as connection:
            trainings.delete(connection, training_id)

    def request_training_cancel(self, training_ids: Sequence[str], error: str | None = None) -> list[str]:
        """Request cancellation of trainings and return which of them were live. One that no runner has claimed ends at
        once; ``error`` is the reason if the user did not request it."""
        with self._database.write() as connection:
            return trainings.request_cancel(connection, training_ids, error)

    def training_cancel_requested(self, training_id: str) -> bool:
        """Whether cancellation of this training was requested."""
        with self._database.read() as connection:
            return trainings.cancel_requested(connection, training_id)

    def set_training_status(self, training_id: str, status: TrainingStatus, error: str | None = None) -> None:
        """Set the status of a live training and when it started or finished; one that has ended is not changed."""
        with self._database.write() as connection:
            trainings.set_status(connection, training_id, status, error)

    def save_trained(self, training_id: str, result: TrainedModel) -> None:
        """Store the result of a training."""
        with self._database.write() as connection:
            trainings.save_result(connection, training_id, result)

    def training_claims(self) -> list[Claim]:
        """Return the live trainings that runners have claimed, oldest first."""
        with self._database.read() as connection:
            return trainings.claims(connection)

    def interrupt_trainings(self, training_ids: Iterable[str], error: str = ANALYSIS_RUNNER_GONE) -> None:
        """End those of these trainings that are live as interrupted, with an event in their logs."""
        with self._database.write() as connection:
            for training_id in training_ids:
                trainings.interrupt(connection, training_id, error)

    def add_training_event(self, training_id: str, event: Event) -> int:
        """Append an event to the log of a training and return its id. It can be lost in a power failure."""
        with self._database.write(durable=False) as connection:
            return trainings.add_event(connection, training_id, event)

    def training_events_after(self, training_id: str, last_id: int = 0) -> list[Event]:
        """Return the events of a training after ``last_id``."""
        with self._database.read() as connection:
            return trainings.events_after(connection, training_id, last_id)

    def has_live_work(self) -> bool:
        """Whether a run, an analysis or a training is queued or running."""
        return bool(self.live_run_ids() or self.live_analyses() or self.has_live_trainings())

    # Reading

    def session(self, session_id: str) -> QueuedSession:
        """Return a session with all its runs. Raises UsageError if it does not exist."""
        with self._database.read() as connection:
            return queue.session(connection, session_id)

    def sessions_waiting_before(self, session_id: str) -> list[QueuedSession]:
        """Return the unfinished sessions, waiting or being measured, that come before this one."""
        with self._database.read() as connection:
            return queue.sessions_waiting_before(connection, session_id)

    def events_after(
        self, session_id: str, last_id: int = 0, run_id: str | None = None, *, newest: int | None = None
    ) -> list[Event]:
        """Return the events after ``last_id``, or the ``newest`` of them; with ``run_id`` only those of that run and of
        the whole session."""
        with self._database.read() as connection:
            return queue.events_after(connection, session_id, last_id, run_id, newest)

    def blocks_after(self, session_id: str, last: int = 0) -> list[tuple[int, Block]]:
        """Return the blocks of a session that were stored after block number ``last``, with their numbers."""
        with self._database.read() as connection:
            return blocks.blocks_after(connection, session_id, last)

    def resolve(self, prefix: str) -> str:
        """Return the id of the only run whose id is or begins with ``prefix``. Raises UsageError if there is no run or
        more than one."""
        with self._database.read() as connection:
            return queries.resolve(connection, prefix)

    def summary(self, run_id: str) -> RunSummary:
        """Return the summary of one run. Raises UsageError if it does not exist."""
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
        """Return a page of runs, sorted by a column; those without a value come last. Raises UsageError for an unknown
        column."""
        with self._database.read() as connection:
            return queries.summaries(
                connection, where, order_by=order_by, descending=descending, limit=limit, offset=offset
            )

    def count(self, where: Sequence[Condition] = ()) -> int:
        """Return the number of runs that match the conditions."""
        with self._database.read() as connection:
            return run_pages.count(connection, where)

    def newest(self, where: Sequence[Condition] = ()) -> Iterator[RunSummary]:
        """Yield all runs that match the conditions, newest first, read in batches. Runs that are stored or deleted in
        the meantime may or may not be included; no run is repeated. Raises UsageError for an unknown column."""
        place: run_pages.Place | None = None
        while True:
            with self._database.read() as connection:
                batch, place = run_pages.newest_after(connection, where, place, _BATCH)
            yield from batch
            if place is None:
                return

    def page(
        self,
        where: Sequence[Condition],
        sorting: Sorting,
        window: Window,
        overtaken: Callable[[], bool] | None = None,
    ) -> Page:
        """Return a page for a table, from one state of the database. Raises UsageError for an unknown column; Overtaken
        when ``overtaken``, which is called about every millisecond, returns True because the page is not needed any
        more.
        """
        with self._database.read(overtaken) as connection:
            return run_pages.page(connection, where, sorting, window)

    def glimpse(
        self,
        where: Sequence[Condition],
        sorting: Sorting,
        window: Window,
        overtaken: Callable[[], bool] | None = None,
    ) -> Page | Glimpse:
        """Return the page, or only its runs if counting all matches would take long. Raises like ``page``."""
        with self._database.read(overtaken) as connection:
            return run_pages.glimpse(connection, where, sorting, window)

    def run_ids(self, where: Sequence[Condition] = ()) -> list[str]:
        """Return the ids of all runs that match the conditions, in no particular order."""
        with self._database.read() as connection:
            return queries.run_ids(connection, where)

    def distinct(self, column: str, limit: int = 200) -> list[str]:
        """Return the different texts in a column of the runs, in order. Raises UsageError for an unknown column."""
        with self._database.read() as connection:
            return index_search.distinct(connection, column, limit)

    def live_run_ids(self, session_id: str | None = None) -> list[str]:
        """Return the ids of the live runs, oldest first, of one session or of all."""
        conditions = [Condition("status", "in", sorted(LIVE_STATUSES))]
        if session_id is not None:
            conditions.append(Condition("session", "=", session_id))
        return [summary.id for summary in self.summaries(conditions, descending=False)]

    def document(self, run_id: str, *, operators: bool = True) -> RunDocument:
        """Return the document of a run; of a live one, the parts known so far. Without ``operators`` those of its
        profile are empty lists, which is faster. Raises StoreError if the run does not exist."""
        with self._database.read() as connection:
            return documents.load_document(connection, run_id, with_operators=operators)

    def history(self, run_id: str, limit: int = 200) -> History:
        """Return the newest ``limit`` ended runs of the same configuration as this run, oldest first. Raises UsageError
        if the run does not exist."""
        with self._database.read() as connection:
            return past_runs.history(connection, run_id, limit)

    def past_runs(self, run_id: str, limit: int = 200) -> list[RunSummary]:
        """Return the runs of ``history`` as summaries, newest first, which is faster. Raises UsageError if the run does
        not exist."""
        with self._database.read() as connection:
            return past_runs.past_runs(connection, run_id, limit)

    def session_levels(self, environment: Environment | None) -> list[SessionLatency]:
        """Return the levels of the newest sessions on this machine, for ``etui.analysis.comparison.compare``; empty if
        the environment is not known."""
        # Imported here because it imports NumPy and SciPy, which would delay the first paint of the terminal UI.
        from etui.store.session_levels import session_levels

        with self._database.read() as connection:
            return session_levels(connection, environment)

    def is_imported(self, run_id: str) -> bool:
        """Whether the origin of a run is from an imported file. Raises StoreError if the run does not exist."""
        with self._database.read() as connection:
            return documents.is_imported(connection, run_id)

    # Changes by the user

    def annotate(self, run_id: str, *, note: str | None = None, tags: Sequence[str] | None = None) -> None:
        """Set the note or tags of a run; None leaves them unchanged. Raises UsageError if the run does not exist."""
        with self._database.write() as connection:
            queries.annotate(connection, run_id, note, tags)

    def check_deletable(self, run_ids: Sequence[str]) -> None:
        """Raise UsageError if one of the runs is live, or being measured or analysed."""
        with self._database.read() as connection:
            for run_id in run_ids:
                queries.check_deletable(connection, run_id)

    def add_training_check(self, stored: StoredCheck) -> None:
        """Store a training check."""
        with self._database.write() as connection:
            training_checks.add(connection, stored, __version__)

    def training_checks(self, reference: str | None = None) -> list[CheckSummary]:
        """Return the training checks of a model, or of all models, newest first."""
        with self._database.read() as connection:
            return training_checks.summaries(connection, reference)

    def training_check(self, prefix: str) -> StoredCheck:
        """Return the training check whose id begins with ``prefix``. Raises UsageError if there is none, or several are
        found."""
        with self._database.read() as connection:
            return training_checks.get(connection, training_checks.resolve(connection, prefix))

    def delete_training_checks(self, prefixes: Sequence[str]) -> int:
        """Delete training checks by id or prefix, and return how many. Raises UsageError if one does not exist; none is
        deleted then."""
        with self._database.write() as connection:
            return training_checks.delete(
                connection, list(dict.fromkeys(training_checks.resolve(connection, one) for one in prefixes))
            )

    def delete_runs(self, run_ids: Sequence[str]) -> int:
        """Delete runs like ``delete_in_batches``, and return how many of them existed."""
        return sum(self.delete_in_batches(run_ids))

    def delete_in_batches(self, run_ids: Sequence[str]) -> Iterator[int]:
        """Delete runs and the data that belongs to them alone, in short transactions, so that other writers do not have
        to wait for all of them. Yield the number of deleted runs after each transaction is committed.

        Raises UsageError if a run is live: before anything is deleted, unless it became live in the meantime.
        """
        unique_ids = list(dict.fromkeys(run_ids))
        self.check_deletable(unique_ids)
        for deleted in in_batches(self._database, unique_ids, queries.delete_run):
            yield sum(deleted)

    def import_documents(self, imported: Sequence[RunDocument]) -> list[Literal["new", "known"]]:
        """Store imported runs like ``import_in_batches``, and return for each whether it is new."""
        return [outcome for batch in self.import_in_batches(imported) for outcome in batch]

    def import_in_batches(self, imported: Sequence[RunDocument]) -> Iterator[list[Literal["new", "known"]]]:
        """Store imported runs in short transactions, so that other writers do not have to wait for all of them. Yield
        the outcomes of the runs of each transaction after it is committed. A run is stored whole or not at all. If the
        import stops, it can be repeated: the stored runs are known then."""
        yield from in_batches(self._database, imported, documents.import_document)
