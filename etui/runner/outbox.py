"""What the runner wants stored, in order: written at once, and kept and tried again while the database is unavailable.

A measurement must neither be lost nor be held up because another program has the database locked or its disk is full.
So everything that a session or a pass brings goes through one outbox, whose methods return at once and never fail;
``delivered`` waits at the end until all of it is stored.
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
from etui.insight import NumericGap, Profile
from etui.results import LIVE_ANALYSIS_STATUSES, AnalysisStatus, Block, LogLine, RunDocument, Status
from etui.runner import unsaved_results as leftover
from etui.runner.runner_log import say
from etui.runner.unsaved_results import UnsavedAnalysis
from etui.store import Store
from etui.text import counted, seconds

LOCK_WAIT_S = 0.1
"""How long one try waits for another process's lock: the runner does nothing else meanwhile."""

FIRST_RETRY_S, LONGEST_RETRY_S = 0.1, 2.0
MOST_EVENT_BYTES = 8_000_000
"""So many bytes of the log wait at most; of what is beyond that the oldest lines are dropped."""

Kind = Literal["event", "block", "partial", "document", "state"]


@dataclass(eq=False)
class _Item:
    """One thing to store, and what must be known of it where it cannot be."""

    kind: Kind
    write: Callable[[], object]
    event: Event | None = None
    document: RunDocument | None = None
    result: Profile | NumericGap | None = None
    ended: tuple[str, AnalysisStatus, str | None] | None = None
    """The id of a pass, and how it ended."""

    @property
    def bytes(self) -> int:
        return 200 + len(self.event.message) if self.event is not None else 0


class Outbox:
    """What is to be stored of one session (of one run of it, for a pass). Without a running event loop there is none.

    Its methods return at once. What the database does not take now waits, in order, and is tried again by itself. What
    it will never take (a run that was deleted meanwhile, say) is dropped with a word in the runner's log; a document is
    put into a file first.
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

    # What there is to store

    def add_event(self, event: Event) -> None:
        """Append to the log. Progress is only told while the database takes it: late it would say nothing."""
        if event.kind == "progress" and self._waiting:
            return
        if not event.at:
            event.at = utc_now()
        self._put(_Item("event", partial(self._store.add_event, self._session, event), event=event))

    def add_block(self, block: Block) -> None:
        """Store a block that was measured."""
        self._put(_Item("block", partial(self._store.add_block, self._session, block)))

    def save_partial(self, document: RunDocument) -> None:
        """Store what is known so far of a run that is live."""
        self._forget_partial(document.id)
        self._put(_Item("partial", partial(self._store.save_partial, document), document=document))

    def save_document(self, document: RunDocument) -> None:
        """Store a run as it ended. Until that is done the run is live in the database."""
        self._forget_partial(document.id)
        self._put(_Item("document", partial(self._store.save_document, document), document=document))

    def set_status(self, run_id: str, status: Status, error: str | None = None) -> None:
        """Move a live run on."""
        self._put(_Item("state", partial(self._store.set_status, run_id, status, error)))

    def finish_session(self) -> None:
        """Say that nobody works on the session any more: the last thing after all its documents."""
        self._put(_Item("state", partial(self._store.finish_session, self._session)))

    def set_analysis_status(self, pass_id: str, status: AnalysisStatus, error: str | None = None) -> None:
        """Move a live pass on."""
        write = partial(self._store.set_analysis_status, pass_id, status, error)
        self._put(_Item("state", write, ended=None if status in LIVE_ANALYSIS_STATUSES else (pass_id, status, error)))

    def save_profile(self, run_id: str, profile: Profile) -> None:
        """Store a profile as its run's."""
        self._put(_Item("state", partial(self._store.save_profile, run_id, profile), result=profile))

    def save_gap(self, run_id: str, gap: NumericGap) -> None:
        """Store a numeric gap as its run's."""
        self._put(_Item("state", partial(self._store.save_gap, run_id, gap), result=gap))

    # Storing it

    async def delivered(self, patience_s: float) -> None:
        """Wait until everything is stored.

        Meanwhile the documents that wait, and the pass if it has ended, are kept in files too, as nobody knows what
        becomes of this process. If the wait takes longer than ``patience_s``, or who stops the runner cancels it, the
        files stay, and the rest is dropped.

        Raises:
            StoreError: the database was removed or replaced, or the patience ended.
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
                    raise StoreUnavailable(f"gave up after {seconds(patience_s)}: {self._why}", "see the runner's log")
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
        """Write what waits, in order, as far as the database takes it. Returns whether that is all of it."""
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
            say(f"{error.message}; what is measured is kept and tried again")
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
        words = f"nothing could be stored for {seconds(waited_s)}: {self._why}; all results are stored now{lost}"
        say(words)
        self.add_event(Event(kind="warning", message=words, run_id=self._run, level="warning"))

    def _refused(self, item: _Item, error: StoreError) -> None:
        """Drop what the database will never take; of a result, after it was put into a file."""
        if not self._store.is_in_place():
            return
        if item.kind == "document" and item.document is not None:
            say(f"the result of run {item.document.id} cannot be stored: {error}")
            self._keep(self._with_lines(item.document))
        else:
            say(f"{item.kind} dropped, since it cannot be stored: {error}")

    def _safeguard(self) -> None:
        """Have each result that waits in a file too, as far as one can be written."""
        for unsaved in self._unsaved():
            if _id_of(unsaved) not in self._files:
                with contextlib.suppress(OSError):
                    self._files[_id_of(unsaved)] = leftover.keep(self._store.path, unsaved)

    def _give_up(self) -> None:
        """Leave the results that wait in files."""
        if self._store.is_in_place():
            for unsaved in self._unsaved():
                self._keep(unsaved)
        say(f"gave up: {counted(len(self._waiting), 'thing')} could not be stored: {self._why}")
        self._waiting.clear()

    def _unsaved(self) -> list[RunDocument | UnsavedAnalysis]:
        """The results that wait, with the lines of the log that do."""
        found: list[RunDocument | UnsavedAnalysis] = [
            self._with_lines(item.document)
            for item in self._waiting
            if item.kind == "document" and item.document is not None
        ]
        results = [item.result for item in self._waiting]
        for item in self._waiting:
            if item.ended is not None and self._run is not None:
                pass_id, status, error = item.ended
                unsaved = UnsavedAnalysis(
                    pass_id=pass_id, run=self._run, session=self._session, status=status, error=error,
                    profile=next((one for one in results if isinstance(one, Profile)), None),
                    gap=next((one for one in results if isinstance(one, NumericGap)), None),
                    events=[one.event for one in self._waiting if one.event is not None],
                )  # fmt: skip
                found.append(unsaved)
        return found

    def _keep(self, unsaved: RunDocument | UnsavedAnalysis) -> None:
        """Leave a result in a file, and say where."""
        what = "run" if isinstance(unsaved, RunDocument) else "pass"
        try:
            file = self._files.pop(_id_of(unsaved), None) or leftover.keep(self._store.path, unsaved)
        except OSError as error:
            reason = error.strerror or error
            say(f"the result of {what} {_id_of(unsaved)} is lost: it cannot be written to a file either ({reason})")
            return
        say(f"the result of {what} {_id_of(unsaved)} is kept in {file}, from where the next etui command stores it")

    def _with_lines(self, document: RunDocument) -> RunDocument:
        """A document with the lines of its log that wait."""
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
        """What comes now has all of what was to be stored of that run before."""
        if self._waiting:
            self._waiting = deque(
                item
                for item in self._waiting
                if item.kind != "partial" or item.document is None or item.document.id != run_id
            )

    def _drop_oldest_lines(self) -> None:
        """Halve what waits of the log, so that this is seldom done; results are never dropped."""
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
            raise StoreError(f"the database {self._store.path} was removed or replaced", "run it again")


def _id_of(unsaved: RunDocument | UnsavedAnalysis) -> str:
    return unsaved.id if isinstance(unsaved, RunDocument) else unsaved.pass_id
