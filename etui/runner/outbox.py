"""Write the runner's results to the database in order, queuing and retrying while the database is unavailable.

A measurement must be neither lost nor delayed because another program has locked the database or the disk is full. All
results of a session or an analysis go through an outbox, whose methods return at once and never fail; ``delivered``
waits at the end until everything is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from etui.errors import StoreError, StoreUnavailable
from etui.events import Event, utc_now
from etui.results import LIVE_ANALYSIS_STATUSES, AnalysisStatus, Block, LogLine, RunDocument, Status
from etui.runner import unsaved_results
from etui.runner.runner_log import say
from etui.runner.unsaved_results import UnsavedAnalysis
from etui.store import Store
from etui.task_training import TrainedModel, TrainingStatus
from etui.text import counted, seconds

LOCK_WAIT_S = 0.1
"""How long one attempt waits for another process's lock; it blocks the runner."""

FIRST_RETRY_S, LONGEST_RETRY_S = 0.1, 2.0
MOST_EVENT_BYTES = 8_000_000
"""At most this number of bytes of the log is queued; beyond it the oldest lines are dropped."""

Kind = Literal["event", "block", "partial", "document", "state"]


@dataclass(eq=False)
class _Item:
    """One write, and what is needed to keep its result in a file if the database does not accept it."""

    kind: Kind
    write: Callable[[], object]
    event: Event | None = None
    document: RunDocument | None = None
    result: msgspec.Struct | None = None
    ended: tuple[str, AnalysisStatus, str | None] | None = None
    """Id, final status and error of an analysis."""

    @property
    def bytes(self) -> int:
        return 200 + len(self.event.message) if self.event is not None else 0


class Outbox:
    """The pending writes of one session (or of one run of it, for an analysis). Needs a running event loop.

    Methods return at once. A write that the database does not accept now is queued, in order, and retried
    automatically. A write that it will never accept (because the run was deleted, for example) is dropped with a
    message in the runner's log; a document is first kept in a file.
    """

    def __init__(self, store: Store, session_id: str, run_id: str | None = None) -> None:
        self._store = store
        self._session = session_id
        self._run = run_id
        self._waiting: deque[_Item] = deque()
        self._retry: asyncio.TimerHandle | None = None
        self._retry_s = FIRST_RETRY_S
        self._failing_since: float | None = None
        self._why = ""
        self._event_bytes = 0
        self._dropped = 0
        self._files: dict[str, Path] = {}

    # Queuing writes

    def add_event(self, event: Event) -> None:
        """Append to the log. Progress is dropped while the database is unavailable: it is useless later."""
        if event.kind == "progress" and self._waiting:
            return
        if not event.at:
            event.at = utc_now()
        self._put(_Item("event", self._write_of(event), event=event))

    def add_block(self, block: Block) -> None:
        """Store a measured block."""
        self._put(_Item("block", partial(self._store.add_block, self._session, block)))

    def save_partial(self, document: RunDocument) -> None:
        """Store the present state of a live run."""
        self._forget_partial(document.id)
        self._put(_Item("partial", partial(self._store.save_partial, document), document=document))

    def save_document(self, document: RunDocument) -> None:
        """Store a run that has ended. Until this is written the run is live in the database."""
        self._forget_partial(document.id)
        self._put(_Item("document", partial(self._store.save_document, document), document=document))

    def set_status(self, run_id: str, status: Status, error: str | None = None) -> None:
        """Set the status of a live run."""
        self._put(_Item("state", partial(self._store.set_status, run_id, status, error)))

    def finish_session(self) -> None:
        """Mark the session as finished: the last write, after all its documents."""
        self._put(_Item("state", partial(self._store.finish_session, self._session)))

    def set_analysis_status(self, analysis_id: str, status: AnalysisStatus, error: str | None = None) -> None:
        """Set the status of a live analysis."""
        write = partial(self._store.set_analysis_status, analysis_id, status, error)
        self._put(
            _Item("state", write, ended=None if status in LIVE_ANALYSIS_STATUSES else (analysis_id, status, error))
        )

    def save_result(self, run_id: str, result: msgspec.Struct) -> None:
        """Store the result of an analysis as part of its run."""
        self._put(_Item("state", partial(self._store.save_result, run_id, result), result=result))

    def _write_of(self, event: Event) -> Callable[[], object]:
        return partial(self._store.add_event, self._session, event)

    # Writing

    async def delivered(self, patience_s: float) -> None:
        """Wait until everything is stored.

        Meanwhile the queued documents, and the analysis if it has ended, are also kept in files in case this process
        is killed. If the wait takes longer than ``patience_s``, or is cancelled because the runner is being stopped,
        the files stay and all other writes are dropped.

        Raises:
            StoreError: the database was removed or replaced, or ``patience_s`` was exceeded.
            asyncio.CancelledError: the wait was cancelled.
        """
        end = time.monotonic() + patience_s
        try:
            while not self._flush():
                self._check_place()
                self._safeguard()
                left_s = end - time.monotonic()
                if left_s <= 0:
                    self._give_up()
                    raise StoreUnavailable(
                        f"results could not be stored within {seconds(patience_s)}: {self._why}", "see the runner's log"
                    )
                await asyncio.sleep(min(self._retry_s, left_s))
        except asyncio.CancelledError:
            self._give_up()
            raise
        finally:
            self._stop_retrying()
        self._check_place()

    def _put(self, item: _Item) -> None:
        self._waiting.append(item)
        self._event_bytes += item.bytes
        if len(self._waiting) == 1:
            self._flush()
        elif self._event_bytes > MOST_EVENT_BYTES:
            self._drop_oldest_lines()

    def _flush(self) -> bool:
        """Write the queue in order until the database refuses. Return whether everything was written."""
        while self._waiting:
            item = self._waiting[0]
            try:
                item.write()
            except StoreUnavailable as error:
                self._put_off(error)
                return False
            except StoreError as error:
                self._refused(item, error)
            self._waiting.popleft()
            self._event_bytes -= item.bytes
        self._recovered()
        return True

    def _put_off(self, error: StoreError) -> None:
        self._why = error.message
        if self._failing_since is None:
            self._failing_since = time.monotonic()
            say(f"{error.message}; results are kept and storing them is retried")
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(self._retry_s, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)
        self._flush()

    def _recovered(self) -> None:
        self._stop_retrying()
        self._retry_s = FIRST_RETRY_S
        for file in self._files.values():
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
        self._files.clear()
        if self._failing_since is None:
            return
        waited_s, dropped = time.monotonic() - self._failing_since, self._dropped
        self._failing_since, self._dropped = None, 0
        lost = f"; {counted(dropped, 'line')} of the log were dropped meanwhile" if dropped else ""
        message = f"the database was unavailable for {seconds(waited_s)}: {self._why}; all results are stored now{lost}"
        say(message)
        self.add_event(Event(kind="warning", message=message, run_id=self._run, level="warning"))

    def _refused(self, item: _Item, error: StoreError) -> None:
        """Drop a write that the database will never accept; a result is first kept in a file."""
        if not self._store.is_in_place():
            return
        if item.kind == "document" and item.document is not None:
            say(f"the result of run {item.document.id} cannot be stored: {error}")
            self._keep(self._with_lines(item.document))
        else:
            say(f"{item.kind} dropped because it cannot be stored: {error}")

    def _safeguard(self) -> None:
        """Also keep each queued result in a file, if one can be written."""
        for unsaved in self._unsaved():
            if _id_of(unsaved) not in self._files:
                with contextlib.suppress(OSError):
                    self._files[_id_of(unsaved)] = unsaved_results.keep(self._store.path, unsaved)

    def _give_up(self) -> None:
        """Keep the queued results in files and drop all other writes."""
        if self._store.is_in_place():
            for unsaved in self._unsaved():
                self._keep(unsaved)
        say(f"gave up: {counted(len(self._waiting), 'write')} could not be stored: {self._why}")
        self._waiting.clear()

    def _unsaved(self) -> list[RunDocument | UnsavedAnalysis]:
        """The queued results, with the queued lines of the log."""
        pending: list[RunDocument | UnsavedAnalysis] = [
            self._with_lines(item.document)
            for item in self._waiting
            if item.kind == "document" and item.document is not None
        ]
        result = next((item.result for item in self._waiting if item.result is not None), None)
        for item in self._waiting:
            if item.ended is not None and self._run is not None:
                analysis_id, status, error = item.ended
                unsaved = UnsavedAnalysis(
                    analysis_id=analysis_id, run=self._run, session=self._session, status=status, error=error,
                    result=result, events=[other.event for other in self._waiting if other.event is not None],
                )  # fmt: skip
                pending.append(unsaved)
        return pending

    def _keep(self, unsaved: RunDocument | UnsavedAnalysis) -> None:
        """Keep a result in a file, and log its path."""
        what = "run" if isinstance(unsaved, RunDocument) else "analysis"
        try:
            file = self._files.pop(_id_of(unsaved), None) or unsaved_results.keep(self._store.path, unsaved)
        except OSError as error:
            reason = error.strerror or error
            say(f"the result of {what} {_id_of(unsaved)} is lost: it cannot be written to a file either ({reason})")
            return
        say(f"the result of {what} {_id_of(unsaved)} is kept in {file}; the next etui command stores it")

    def _with_lines(self, document: RunDocument) -> RunDocument:
        """A document with the queued lines of its log."""
        lines = [
            LogLine(
                at=event.at, level=event.level, message=event.message, kind=event.kind, stage=event.stage,
                of_session=event.run_id is None,
            )
            for event in (item.event for item in self._waiting)
            if event is not None and event.run_id in (None, document.id)
        ]  # fmt: skip
        return msgspec.structs.replace(document, log=[*document.log, *lines])

    def _forget_partial(self, run_id: str) -> None:
        """Drop queued partial states of a run: the next write supersedes them."""
        if self._waiting:
            self._waiting = deque(
                item
                for item in self._waiting
                if item.kind != "partial" or item.document is None or item.document.id != run_id
            )

    def _drop_oldest_lines(self) -> None:
        """Halve the queued log, so that this is rarely repeated; results are never dropped."""
        kept: deque[_Item] = deque()
        for item in self._waiting:
            if item.event is not None and self._event_bytes > MOST_EVENT_BYTES // 2:
                self._event_bytes -= item.bytes
                self._dropped += 1
            else:
                kept.append(item)
        self._waiting = kept

    def _stop_retrying(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _check_place(self) -> None:
        if not self._store.is_in_place():
            self._waiting.clear()
            raise StoreError(f"the database {self._store.path} was removed or replaced", "try again")


class TrainingOutbox(Outbox):
    """The pending writes of a training. A result that the database does not accept is not kept in a file, since the
    folder of the training has it."""

    def __init__(self, store: Store, training_id: str) -> None:
        super().__init__(store, "")
        self._training = training_id

    def set_training_status(self, status: TrainingStatus, error: str | None = None) -> None:
        """Set the status of the training, if it is live."""
        self._put(_Item("state", partial(self._store.set_training_status, self._training, status, error)))

    def save_trained(self, result: TrainedModel) -> None:
        """Store the result of the training."""
        self._put(_Item("state", partial(self._store.save_trained, self._training, result)))

    def _write_of(self, event: Event) -> Callable[[], object]:
        return partial(self._store.add_training_event, self._training, event)


def _id_of(unsaved: RunDocument | UnsavedAnalysis) -> str:
    return unsaved.id if isinstance(unsaved, RunDocument) else unsaved.analysis_id
