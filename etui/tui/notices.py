"""The notices of the app: which of them is shown already, and the history that the screen of notices lists."""

from __future__ import annotations

import time
from collections import deque

from etui.events import Event, Level, utc_now

KEPT = 500

Notice = tuple[str, str, str]
"""The message, title and severity."""


class Notices:
    """Notices that are on the screen, and the newest ``KEPT`` of the history, oldest first."""

    def __init__(self) -> None:
        self.history: deque[Event] = deque(maxlen=KEPT)
        self._until: dict[Notice, float] = {}

    def is_shown(self, notice: Notice, seconds: float) -> bool:
        """Whether an equal notice is on the screen; if not, it counts as shown for this number of seconds."""
        now = time.monotonic()
        self._until = {each: end for each, end in self._until.items() if end > now}
        if notice in self._until:
            return True
        self._until[notice] = now + seconds
        return False

    def removed(self, notice: Notice) -> None:
        """Note that a notice has left the screen before its time."""
        self._until.pop(notice, None)

    def remember(self, message: str, level: Level) -> None:
        """Add a message to the history, unless it repeats the last one."""
        last = self.history[-1] if self.history else None
        if last is None or (last.message, last.level) != (message, level):
            self.history.append(Event(kind="log", message=message, at=utc_now(), level=level))
