"""Keep the screen up through a defect in etui: a handler or a picture that fails becomes a notice and a traceback in a
file, not the end of the app."""

from __future__ import annotations

import contextlib
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual import events
from textual.strip import Strip

from etui.errors import EtuiError
from etui.files import private as private_files
from etui.paths import state_dir
from etui.text import plain

if TYPE_CHECKING:
    from textual.geometry import Region
    from textual.message import Message
    from textual.widget import Widget

    _Base = Widget
else:
    # Textual takes styles and keys from the first base that is a widget, which this must not be.
    _Base = object

MOST_A_MINUTE = 20
"""With more than that nobody can work: the app then leaves, and says why."""
FILE_NAME = "screen-errors.log"
MOST_BYTES = 1_000_000
_MOST_SHOWN = 120
TOO_MANY = f"more than {MOST_A_MINUTE} defects within a minute; their tracebacks are in {FILE_NAME} of the state folder"
CANNOT_DRAW = "etui cannot draw this: a defect; the notice says where its traceback is"


class Defects:
    """The defects met so far: their tracebacks in a file, and how many there were lately."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._times_s: list[float] = []

    def note(self, error: BaseException) -> str | None:
        """Write the traceback down, and return a sentence for the user; None if the same was said already."""
        now = time.monotonic()
        self._times_s = [*(at for at in self._times_s if now - at < 60), now]
        words = f"{type(error).__name__}: {' '.join(str(error).split())}"[:_MOST_SHOWN]
        place = traceback.extract_tb(error.__traceback__)[-1:]
        key = f"{type(error).__name__} {place}"
        if key in self._known:
            return None
        self._known.add(key)
        path = _written(error)
        where = f"its traceback is in {path}" if path is not None else "its traceback could not be written"
        return plain(f"a defect in etui ({words}); {where}: please report it")

    @property
    def too_many(self) -> bool:
        """Whether there were so many within a minute that the app is of no use."""
        return len(self._times_s) > MOST_A_MINUTE


class Guarded(_Base):
    """The first base of widgets and screens that go on after a defect in a handler or in what they draw.

    ``app._handle_exception`` decides what comes of the defect. Without this the message pump of the widget would end.
    """

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if isinstance(message, (events.Compose, events.Mount)):
                raise  # half a widget is of no use
            self.app._handle_exception(error)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines of the widget; a sentence instead if they cannot be drawn."""
        try:
            return super().render_lines(crop)
        except Exception as error:  # noqa: BLE001 - as above
            self.app._handle_exception(error)
            first = Strip([Segment(CANNOT_DRAW)]).adjust_cell_length(crop.width)
            return [first, *(Strip.blank(crop.width) for _ in range(crop.height - 1))][: crop.height]


def _written(error: BaseException) -> Path | None:
    """The file in the state folder that the traceback was added to."""
    with contextlib.suppress(OSError, EtuiError):
        path = state_dir() / FILE_NAME
        with private_files.open_to_append(path) as file:
            if file.tell() > MOST_BYTES:
                file.truncate(0)
            file.write("".join(traceback.format_exception(error)).encode("utf-8", "replace"))
        return path
    return None
