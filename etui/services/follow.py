"""Follow a session from the database until it ends, telling on stderr what happens: lines, and a bar on a terminal."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

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
from etui.runner.abandoned_work import settle_left
from etui.runner.start import RunnerFailed, ensure_runner, failed, work_waits
from etui.services.stalled_runs import of_session
from etui.store import QueuedSession, Store
from etui.text import LINE_CELLS, WHOLE_CELLS, plain, seconds, shortened

POLL_S = 0.05
MEASURING_POLL_S = 0.3
"""How often to look while something is timed: each look is taken from the cores that are being timed."""

RUNNER_CHECK_S = 2.0
MOST_FAILURES = 3
DATABASE_PATIENCE_S = 60.0
"""How long a database that is locked or on a full disk may be without an answer, while somebody follows a run."""

BAR = 24
SILENT_S = 3.0
"""A step whose end cannot be foretold says from here on how long it has taken."""


class ProgressPrinter:
    """Writes what happens: one line per event that matters, and under them, on a terminal, a line that is redrawn. A
    line of a message is cut after ``WHOLE_CELLS``, what is before it after ``LINE_CELLS``."""

    def __init__(self, out: TextIO, labels: dict[str, str], *, verbose: bool = False) -> None:
        self._out = out
        self._labels = labels
        self._verbose = verbose
        self._live = out.isatty()
        self._status = ""
        self._deadline: float | None = None
        self._step = ""
        self._since = time.monotonic()

    def event(self, event: Event) -> None:
        """Tell one event."""
        if event.kind == "progress":
            self._progress(event)
            return
        if event.level == "debug" and not self._verbose:
            return
        if event.kind == "stage":
            self._begin(plain(f"{self._label(event)}{event.message}"), None)
        if event.kind == "block" and self._live and not self._verbose:
            return
        begin = shortened(f"{event.at[11:19]}  {event.stage or '':<8}  {self._label(event)}", LINE_CELLS)
        # A traceback has lines of its own.
        lines = [shortened(line, WHOLE_CELLS) for line in plain(event.message, keep_lines=True).split("\n")]
        self.line(begin + ("\n" + " " * len("00:00:00  ")).join(lines))

    def line(self, text: str) -> None:
        """Write a line above the one that is redrawn."""
        self._clear()
        self._out.write(text + "\n")
        self._out.flush()

    def tick(self) -> None:
        """Redraw the last line, so that the time left runs down between two events."""
        if not self._live or not self._step:
            return
        left = ""
        if self._deadline is not None:
            left_s = max(0.0, self._deadline - time.monotonic())
            left = f", about {_whole(left_s)} left"
        elif (spent_s := time.monotonic() - self._since) >= SILENT_S:
            left = f", {_whole(spent_s)} so far"
        # A line that wraps could not be redrawn.
        status = f"  {self._step[: max(0, self._columns() - 3 - len(left))]}{left}"
        if status != self._status:
            self._clear()
            self._out.write(status)
            self._out.flush()
            self._status = status

    def close(self) -> None:
        """Take the last line away."""
        self._clear()
        self._out.flush()

    def _progress(self, event: Event) -> None:
        share = (event.done or 0.0) / event.total if event.total else 0.0
        filled = round(share * BAR)
        self._begin(f"[{'#' * filled}{'.' * (BAR - filled)}] {plain(event.message)}", event.left_s)
        self.tick()

    def _begin(self, step: str, left_s: float | None) -> None:
        now = time.monotonic()
        self._step, self._since = step, now
        self._deadline = None if left_s is None else now + left_s

    def _label(self, event: Event) -> str:
        label = self._labels.get(event.run_id or "")
        return f"{label}: " if label and not event.message.startswith(label) else ""

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
    """What who follows the database does about runners: ends what one that is gone left behind, starts one that is
    missing while something waits, and gives up on runners that end as soon as they are started."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._started: list[subprocess.Popen[bytes]] = []
        self._checked = 0.0
        self._failing_since: float | None = None

    def due(self) -> bool:
        """Whether it is time to look."""
        return time.monotonic() - self._checked > RUNNER_CHECK_S

    def look(self) -> list[str]:
        """Look now; returns the runs that were ended because their runner is gone.

        Raises:
            RunnerFailed: none can be started, or they end as soon as they are.
            StoreError: the database was removed, replaced or damaged, or cannot be used any more.
        """
        self._checked = time.monotonic()
        if not self._store.is_in_place():
            raise StoreError(f"the database {self._store.path} was removed or replaced", "run it again")
        with self.patience():
            ended = settle_left(self._store)
            if ended:
                return ended
            # One that finds another alive ends with 0.
            statuses = [status for runner in self._started if (status := runner.poll())]
            if len(statuses) >= MOST_FAILURES:
                raise failed(self._store.path, statuses[-1])
            if work_waits(self._store) and (runner := ensure_runner(self._store.path)) is not None:
                self._started.append(runner)
        return []

    @contextlib.contextmanager
    def patience(self) -> Iterator[None]:
        """Within it a database that cannot be used just now is no failure, as long as that does not last."""
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
    talk: ProgressPrinter,
    *,
    run_id: str | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Tell a session's events (or one run's) until it has ended, or until ``stop`` says so.

    A runner that dies meanwhile leaves its runs interrupted; one that is missing while the session still waits is
    started again. One that cannot be seen from here is told of.

    Raises:
        RunnerFailed: no runner can be started, runners end as soon as they are started, or the session waits for one
            with other settings and none is alive.
        StoreError: the database cannot be read any more.
    """
    wanted = [run_id] if run_id else [one for one, _ in session.runs]
    last, seen, said_queue, said_standing = 0, -1, "", ""
    watch = RunnerWatch(store)
    measuring = False
    while True:
        with watch.patience():
            version = store.version()
            if version != seen:
                for event in store.events_after(session.id, last, run_id):
                    last = event.id or last
                    measuring = event.stage == "measure"
                    talk.event(event)
                waiting = _queue_words(store, session)
                if waiting and waiting != said_queue:
                    talk.line(waiting)
                said_queue = waiting or said_queue
                if all(store.summary(one).status not in LIVE_STATUSES for one in wanted):
                    for event in store.events_after(session.id, last, run_id):
                        talk.event(event)
                    return
                seen = version
        if stop():
            return
        # Into a read-only database no runner could write.
        if watch.due() and not store.read_only:
            ended = watch.look()
            if set(ended) & set(wanted):
                talk.line("the runner was killed; what it measured is kept, and its run is interrupted")
            with watch.patience():
                standing = of_session(store, store.session(session.id))
                if standing is not None and standing.why != said_standing:
                    if store.session(session.id).claimed_by is None:
                        raise RunnerFailed(*standing)
                    said_standing = standing.why
                    talk.line(str(standing))
        talk.tick()
        time.sleep(MEASURING_POLL_S if measuring else POLL_S)


def _whole(value_s: float) -> str:
    return seconds(value_s) if value_s >= 60 else f"{value_s:.0f} s"


def _queue_words(store: Store, session: QueuedSession) -> str:
    """What this session waits for, or nothing."""
    if store.session(session.id).claimed_by is not None:
        return ""
    before = [one for one in store.sessions_waiting_before(session.id) if one.runs]
    if not before:
        return ""
    first = before[0].spec.model.rsplit("/", 1)[-1]
    more = f" and {len(before) - 1} more" if len(before) > 1 else ""
    return f"waiting for the box: {plain(first)}{more} {'is' if not more else 'are'} ahead in the queue"


@contextlib.contextmanager
def printing_progress(labels: dict[str, str], *, verbose: bool = False) -> Iterator[ProgressPrinter]:
    """A ``Talk`` to stderr that takes its last line away at the end, however that comes."""
    talk = ProgressPrinter(sys.stderr, labels, verbose=verbose)
    try:
        yield talk
    finally:
        with contextlib.suppress(BrokenPipeError):
            talk.close()


def ended_with(store: Store, run_ids: list[str]) -> int:
    """The exit status of runs that were followed: the worst of them wins."""
    found = set()
    for run_id in run_ids:
        summary = store.summary(run_id)
        if summary.status == "done":
            found.add(EXIT_CROSSED if summary.accuracy.verdict == "FAIL" else EXIT_DONE)
        elif summary.status in LIVE_STATUSES:
            found.add(EXIT_CANCELLED)  # a second Ctrl-C did not wait for its end
        else:
            found.add({"cancelled": EXIT_CANCELLED, "timed out": EXIT_TIMED_OUT}.get(summary.status, EXIT_FAILED))
    for status in (EXIT_CANCELLED, EXIT_FAILED, EXIT_TIMED_OUT, EXIT_CROSSED):
        if status in found:
            return status
    return EXIT_DONE
