"""The trainings as a table, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from typing import ClassVar

from textual.message import Message

from etui import text
from etui.task_training import QueuedTraining
from etui.tui.widgets.row_painter import Cell, Placed
from etui.tui.widgets.virtual_table import RowList, VirtualTable
from etui.wording import trainings as wording

_WIDTHS = {"id": 6, "queued": 16, "model": 16, "status": 11, "epochs": 8, "best": 12, "folder": 30, "error": 40}
_LEAST = 8
_ORDER = ("model", "status", "epochs", "best", "queued", "id", "folder", "error")
_TONES = {"done": "good", "failed": "bad", "running": "live", "interrupted": "warn", "timed out": "warn"}


class TrainingTable(VirtualTable[QueuedTraining]):
    """One row per training."""

    DEFAULT_CSS = """
    TrainingTable { border: none; padding: 0 1; }
    """
    gap: ClassVar[int] = 2

    class Moved(Message):
        """The cursor moved to another training."""

    @property
    def training(self) -> QueuedTraining | None:
        """The training under the cursor."""
        return self.source.at(self.cursor) if self.source is not None and self.count else None

    def show(self, trainings: Sequence[QueuedTraining], cursor: str | None = None) -> None:
        """Show these trainings, with the cursor on the one of this id."""
        self.source = RowList(trainings, key=attrgetter("id"))
        if cursor is not None:
            self._cursor_key = cursor
        self.lay_out()
        self.rows_changed()
        self.scroll_to_cursor()

    def place_columns(self, width: int) -> Sequence[Placed[QueuedTraining]]:
        """Return the columns that fit, the last one possibly narrower."""
        placed: list[Placed[QueuedTraining]] = []
        for title in _ORDER:
            size = min(_WIDTHS[title], width)
            if size < min(_LEAST, _WIDTHS[title]):
                break
            number = wording.LIST_HEADINGS.index(title)
            placed.append(Placed(width=size, cell=partial(self._cell, number), title=title))
            width -= size + self.gap
        return placed

    def _cell(self, number: int, training: QueuedTraining) -> Cell:
        shown = text.plain(wording.list_cells(training)[number])
        heading = wording.LIST_HEADINGS[number]
        if heading == "id":
            shown = shown[: _WIDTHS["id"]]
        return shown, _TONES.get(training.status, "") if heading == "status" else ""

    def cursor_moved(self) -> None:
        """Report the training under the cursor."""
        self.post_message(self.Moved())
