"""Follow a session in the database until it ends, printing progress to stderr: lines, and a bar on a terminal."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from etui.errors import (
    EXIT_CANCELLED,
    EXIT_CROSSED,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_TIMED_OUT,
    StoreError,
    StoreUnavailable,
)
from etui.events import Event
from etui.results import LIVE_STATUSES
from etui.runner.abandoned_work import end_abandoned
from etui.runner.start import RunnerFailed, ensure_runner, failed, work_waits
from etui.services.progress_state import SessionProgress, left_text, share_text
from etui.services.session_progress import ProgressTracker, analysis_progress, tracker_of
from etui.services.stage_lines import StageLines
from etui.services.stalled_runs import stall_of_session
from etui.store import QueuedSession, Store
from etui.text import LINE_CELLS, WHOLE_CELLS, plain, seconds, shortened

if TYPE_CHECKING:
    from etui.services.queue_estimate import Durations

POLL_S = 0.05
MEASURING_POLL_S = 0.3
"""Polling interval during timing: each poll takes CPU time from the cores that are being timed."""

RUNNER_CHECK_S = 2.0
MOST_FAILURES = 3
DATABASE_PATIENCE_S = 60.0
"""How long the database may be unavailable while a run is followed."""

BAR, _LEAST_BAR, _BESIDE_BAR = 24, 8, 36
"""Cells of the bar, and those left for the share, the time left and what is being done."""

_LEAST_CELLS = 20
SILENT_S = 3.0
"""A step without an estimate of the time left shows the elapsed time after this number of seconds."""


class ProgressPrinter:
    """Print one line per relevant event, and below them, on a terminal, a status line that is redrawn. A line of a
    message is cut after ``WHOLE_CELLS`` cells, its prefix after ``LINE_CELLS``.

    With ``by_stage``, a session that ``begin_session`` named has one line per stage for all its variants; ``verbose``
    prints every event all the same.
    """

    def __init__(self, out: TextIO, labels: dict[str, str], *, verbose: bool = False, by_stage: bool = False) -> None:
        self._out = out
        self._labels = labels
        self._verbose = verbose
        self._by_stage = by_stage and not verbose
        self._stages: StageLines | None = None
        self._live = out.isatty()
        self._status = ""
        self._tracker: ProgressTracker | None = None
        self._progress: SessionProgress | None = None

    def advance(self, event: Event) -> None:
        """Take an event of the session into account for the status line, whether or not it is printed."""
        if self._tracker is not None:
            self._progress = self._tracker.add(event)
        else:
            self._progress = analysis_progress((event,)) or self._progress
        if event.kind == "progress":
            self.tick()

    def event(self, event: Event) -> None:
        """Print one event."""
        if event.kind == "progress" or (event.level == "debug" and not self._verbose):
            return
        if self._stages is not None:
            for line in self._stages.add(event):
                self._print(line)
        elif event.kind != "block" or self._verbose or not self._live:
            self._print(event)

    def begin_session(self, labels: Mapping[str, str], tracker: ProgressTracker | None = None) -> None:
        """Begin a session with these names of variants by run; ``tracker`` computes its progress."""
        self.end_session()
        self._tracker, self._progress = tracker, None
        if self._by_stage:
            self._stages = StageLines(labels)

    def end_session(self) -> None:
        """Print what was collected of the present session."""
        if self._stages is not None:
            for line in self._stages.flush():
                self._print(line)
        self._stages = None
        self._tracker = self._progress = None

    def _print(self, event: Event) -> None:
        begin = shortened(f"{event.at[11:19]}  {event.stage or '':<8}  {self._label(event)}", LINE_CELLS)
        # A traceback has several lines.
        lines = [shortened(line, WHOLE_CELLS) for line in plain(event.message, keep_lines=True).split("\n")]
        if self._live and self._stages is not None:
            lines = [part for line in lines for part in self._wrapped(line)]
        self.line(begin + ("\n" + " " * len("00:00:00  ")).join(lines))

    def line(self, text: str) -> None:
        """Print a line above the status line."""
        self._clear()
        self._out.write(text + "\n")
        self._out.flush()

    def tick(self) -> None:
        """Redraw the status line, so that the time left counts down between two events."""
        if not self._live or self._progress is None:
            return
        status = self._status_line(self._progress)
        if status != self._status:
            self._clear()
            self._out.write(status)
            self._out.flush()
            self._status = status

    def close(self) -> None:
        """Print what was collected, and remove the status line."""
        self.end_session()
        self._clear()
        self._out.flush()

    def _status_line(self, progress: SessionProgress) -> str:
        """Return the bar, the share, the time left and what is being done, in one line of the terminal."""
        # A line that wraps could not be redrawn.
        room = self._columns() - 1
        if progress.has_share:
            bar = min(BAR, max(_LEAST_BAR, room - _BESIDE_BAR))
            share = progress.share_at(datetime.now(UTC))
            filled = int(share * bar)
            left = left_text(progress)
            line = f"  [{'#' * filled}{'.' * (bar - filled)}] {share_text(share)}"
            line += f", {left}  " if left is not None else "  "
            return line[:room] + shortened(progress.doing, max(1, room - len(line)), "..")[: max(0, room - len(line))]
        spent = f", {_whole(spent_s)} so far" if (spent_s := progress.elapsed_s(datetime.now(UTC))) >= SILENT_S else ""
        return f"  {shortened(progress.doing, max(1, room - 2 - len(spent)), '..')}{spent}"

    def _label(self, event: Event) -> str:
        label = self._labels.get(event.run_id or "")
        return f"{label}: " if label and not event.message.startswith(label) else ""

    def _wrapped(self, line: str) -> list[str]:
        """Return a line in parts of the width that the terminal has after the time and the stage."""
        room = max(_LEAST_CELLS, self._columns() - len("00:00:00  measure   "))
        parts = textwrap.wrap(line, room, break_on_hyphens=False) or [line]
        return [parts[0], *(" " * len("measure   ") + part for part in parts[1:])]

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._out.fileno()).columns or 80
        except OSError:
            return 80

    def _clear(self) -> None:
        if self._status:
            self._out.write("\r\x1b[K")
            self._status = ""


class RunnerWatch:
    """Check runners while a front end follows the database: end the work of a dead runner, start a runner if work is
    queued and none is alive, and give up on runners that exit right after starting."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._started: list[subprocess.Popen[bytes]] = []
        self._checked = 0.0
        self._failing_since: float | None = None

    def due(self) -> bool:
        """Whether it is time for the next check."""
        return time.monotonic() - self._checked > RUNNER_CHECK_S

    def check(self) -> list[str]:
        """Check now; return the runs that were ended because their runner is dead.

        Raises:
            RunnerFailed: no runner can be started, or runners exit right after starting.
            StoreError: the database was removed, replaced or damaged, or was unavailable for too long.
        """
        self._checked = time.monotonic()
        if not self._store.is_in_place():
            raise StoreError(f"the database {self._store.path} was removed or replaced", "run it again")
        with self.patience():
            ended = end_abandoned(self._store)
            if ended:
                return ended
            # A runner that finds another one alive exits with 0.
            statuses = [status for runner in self._started if (status := runner.poll())]
            if len(statuses) >= MOST_FAILURES:
                raise failed(self._store.path, statuses[-1])
            if work_waits(self._store) and (runner := ensure_runner(self._store.path)) is not None:
                self._started.append(runner)
        return []

    @contextlib.contextmanager
    def patience(self) -> Iterator[None]:
        """Within this context an unavailable database is tolerated for ``DATABASE_PATIENCE_S`` seconds."""
        try:
            yield
        except StoreUnavailable:
            now = time.monotonic()
            if self._failing_since is None:
                self._failing_since = now
            if now - self._failing_since > DATABASE_PATIENCE_S:
                raise
        else:
            self._failing_since = None


def follow(
    store: Store,
    session: QueuedSession,
    printer: ProgressPrinter,
    *,
    run_id: str | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Print a session's events (or one run's) until it has ended or ``stop`` returns True.

    The runs of a runner that dies meanwhile are ended as interrupted; a missing runner is started while the session
    waits. A runner whose state cannot be determined is reported.

    Raises:
        RunnerFailed: no runner can be started, runners exit right after starting, or the session waits for a runner
            with other settings and none is alive.
        StoreError: the database was unreadable for too long.
    """
    followed = [run_id] if run_id else [each for each, _ in session.runs]
    last, seen, shown_stall = 0, -1, ""
    watch, queue = RunnerWatch(store), _QueueMessages(store, session)
    measuring = False
    labels = {each: variant.label for each, variant in session.runs}
    tracker = ProgressTracker(session.spec, labels)
    with watch.patience():
        tracker = tracker_of(store, session)
    printer.begin_session({each: label for each, label in labels.items() if each in followed}, tracker)
    while True:
        with watch.patience():
            version = store.version()
            if version != seen:
                for event in store.events_after(session.id, last):
                    last = event.id or last
                    measuring = event.stage == "measure"
                    printer.advance(event)
                    if event.run_id is None or event.run_id in followed:
                        printer.event(event)
                if waiting := queue.next():
                    printer.line(waiting)
                if all(store.summary(each).status not in LIVE_STATUSES for each in followed):
                    for event in store.events_after(session.id, last, run_id):
                        printer.event(event)
                    printer.end_session()
                    return
                seen = version
        if stop():
            return
        # No runner can write to a read-only database.
        if watch.due() and not store.read_only:
            ended = watch.check()
            if set(ended) & set(followed):
                printer.line("the runner was killed; its run is interrupted, and what it measured is kept")
            with watch.patience():
                stall = stall_of_session(store, store.session(session.id))
                if stall is not None and stall.why != shown_stall:
                    if store.session(session.id).claimed_by is None:
                        raise RunnerFailed(*stall)
                    shown_stall = stall.why
                    printer.line(str(stall))
        printer.tick()
        time.sleep(MEASURING_POLL_S if measuring else POLL_S)


def _whole(value_s: float) -> str:
    return seconds(value_s) if value_s >= 60 else f"{value_s:.0f} s"


class _QueueMessages:
    """The message about the sessions ahead of one in the queue, each time that their number changes."""

    def __init__(self, store: Store, session: QueuedSession) -> None:
        self._store = store
        self._session = session
        self._ahead = 0
        self._durations: Durations | None = None

    def next(self) -> str:
        """Return the message if there is a new one, else an empty text."""
        if self._store.session(self._session.id).claimed_by is not None:
            return ""
        before = [earlier for earlier in self._store.sessions_waiting_before(self._session.id) if earlier.runs]
        if not before or len(before) == self._ahead:
            return ""
        self._ahead = len(before)
        # Imported late: most sessions do not wait.
        from etui.services.queue_estimate import Durations, ahead_of

        self._durations = self._durations or Durations()
        ahead = ahead_of(self._store, self._session.id, self._durations)
        return f"waiting for the machine: {ahead.text}; {plain(ahead.first_model)} is first" if ahead.sessions else ""


@contextlib.contextmanager
def printing_progress(
    labels: dict[str, str], *, verbose: bool = False, by_stage: bool = False
) -> Iterator[ProgressPrinter]:
    """A ``ProgressPrinter`` to stderr whose status line is removed at the end in any case."""
    printer = ProgressPrinter(sys.stderr, labels, verbose=verbose, by_stage=by_stage)
    try:
        yield printer
    finally:
        with contextlib.suppress(BrokenPipeError):
            printer.close()


def ended_with(store: Store, run_ids: list[str]) -> int:
    """Return the exit status for runs that were followed: the worst of them."""
    statuses = set()
    for run_id in run_ids:
        summary = store.summary(run_id)
        if summary.status == "done":
            statuses.add(EXIT_CROSSED if summary.verdict == "FAIL" else EXIT_DONE)
        elif summary.status in LIVE_STATUSES:
            statuses.add(EXIT_CANCELLED)  # a second Ctrl-C stopped waiting for its end
        else:
            statuses.add({"cancelled": EXIT_CANCELLED, "timed out": EXIT_TIMED_OUT}.get(summary.status, EXIT_FAILED))
    for status in (EXIT_CANCELLED, EXIT_FAILED, EXIT_TIMED_OUT, EXIT_CROSSED):
        if status in statuses:
            return status
    return EXIT_DONE
