"""The last change that the user can undo, for a limited time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from textual.app import App
from textual.timer import Timer

from etui.errors import EtuiError
from etui.tui.database import Database, Operation

UNDO_S = 10.0


class Change(NamedTuple):
    """A change that can be undone.

    ``finish`` is what remains to be done to the database when it cannot be undone any more; None if nothing. Until then
    nothing is lost if the process is killed. ``finished`` is called afterwards, ``failed`` if that raises.
    """

    undo: Callable[[], Awaitable[None]]
    finish: Operation[object] | None = None
    finished: Callable[[], None] | None = None
    failed: Callable[[EtuiError], None] | None = None


class UndoBuffer:
    """Holds one change. The next change, the end of its time and the end of the app finish it."""

    def __init__(self, app: App[object], database: Database, changed: Callable[[], None]) -> None:
        """``changed`` is called when a change can be undone, and when it cannot be any more."""
        self._app = app
        self._database = database
        self._changed = changed
        self._change: Change | None = None
        self._timer: Timer | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is something to undo."""
        return self._change is not None

    async def offer(self, change: Change) -> None:
        """Finish the previous change and keep this one."""
        await self.finish()
        self._change = change
        self._timer = self._app.set_timer(UNDO_S, self.finish)
        self._changed()

    async def undo(self) -> None:
        """Undo the change, if there is one."""
        change = self._take()
        if change is not None:
            await change.undo()

    async def finish(self) -> None:
        """Do what remains of the change, which cannot be undone any more."""
        change = self._take()
        if change is None or change.finish is None:
            return
        try:
            await self._database.write(change.finish)
        except EtuiError as error:
            if change.failed is not None:
                change.failed(error)
        else:
            if change.finished is not None:
                change.finished()

    def finish_at_exit(self) -> str:
        """Do what remains of the change in this thread, and return why that failed; empty if it did not."""
        change, self._change = self._change, None
        if change is None or change.finish is None:
            return ""
        try:
            self._database.run(change.finish)
        except EtuiError as error:
            return str(error)
        return ""

    def _take(self) -> Change | None:
        change, self._change = self._change, None
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if change is not None:
            self._changed()
        return change
