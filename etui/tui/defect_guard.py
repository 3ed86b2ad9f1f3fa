"""Keep the app running after a defect: an exception in a handler or in drawing becomes a notice and a traceback in a
file."""

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
    # Textual takes styles and keys from the first base that is a widget, so this must not be one.
    _Base = object

MOST_A_MINUTE = 20
"""With more defects than this the app is unusable: it exits and reports why."""
FILE_NAME = "screen-errors.log"
MOST_BYTES = 1_000_000
_MOST_SHOWN = 120
TOO_MANY = f"more than {MOST_A_MINUTE} defects within a minute; their tracebacks are in {FILE_NAME} of the state folder"
CANNOT_DRAW = "Cannot draw this because of a defect in etui; the notice names the file with the traceback."


class Defects:
    """The defects of this process: writes their tracebacks to a file, and counts those of the last minute."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._times_s: list[float] = []

    def note(self, error: BaseException) -> str | None:
        """Write the traceback to the file and return a message for the user; None if it was reported before."""
        now = time.monotonic()
        self._times_s = [*(at for at in self._times_s if now - at < 60), now]
        summary = f"{type(error).__name__}: {' '.join(str(error).split())}"[:_MOST_SHOWN]
        place = traceback.extract_tb(error.__traceback__)[-1:]
        key = f"{type(error).__name__} {place}"
        if key in self._known:
            return None
        self._known.add(key)
        path = _write_traceback(error)
        where = f"the traceback is in {path}" if path is not None else "the traceback could not be written"
        return plain(f"a defect in etui ({summary}); {where}: please report it")

    @property
    def too_many(self) -> bool:
        """Whether more than ``MOST_A_MINUTE`` defects occurred within the last minute."""
        return len(self._times_s) > MOST_A_MINUTE


class Guarded(_Base):
    """First base class of widgets and screens that keep working after an exception in a handler or in drawing.

    ``app._handle_exception`` reports the exception. Without this class it would end the widget's message pump.
    """

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if isinstance(message, (events.Compose, events.Mount)):
                raise  # a widget that is only partly composed is unusable
            self.app._handle_exception(error)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines of the widget, or a message if they cannot be drawn."""
        try:
            return super().render_lines(crop)
        except Exception as error:  # noqa: BLE001 - as above
            self.app._handle_exception(error)
            first = Strip([Segment(CANNOT_DRAW)]).adjust_cell_length(crop.width)
            return [first, *(Strip.blank(crop.width) for _ in range(crop.height - 1))][: crop.height]


def _write_traceback(error: BaseException) -> Path | None:
    """Append the traceback to a file in the state folder; return its path, None if it cannot be written."""
    with contextlib.suppress(OSError, EtuiError):
        path = state_dir() / FILE_NAME
        with private_files.open_to_append(path) as file:
            if file.tell() > MOST_BYTES:
                file.truncate(0)
            file.write("".join(traceback.format_exception(error)).encode("utf-8", "replace"))
        return path
    return None
