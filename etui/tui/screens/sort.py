"""The dialog that picks the column to sort the runs by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.text import Text
from textual import events, on
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from etui.tui.screens.dialog import Dialog


class SortDialog(Dialog[str]):
    """Pick one of the ``columns``, pairs of name and title; the result is its name. ``current`` is highlighted."""

    title_text = "Sort by"
    confirm_label = "Sort"

    def __init__(self, columns: Sequence[tuple[str, str]], current: str) -> None:
        super().__init__()
        self._columns = columns
        self._current = current
        self._choices = OptionList(
            *(Option(Text(title), id=name) for name, title in columns), compact=True, classes="dialog--choices"
        )

    def body(self) -> Iterable[Widget]:
        """The list, and a line about its keys."""
        yield self._choices
        yield Static("\na letter goes to the next column that begins with it", classes="dialog--note")

    def on_mount(self) -> None:
        """Focus the list at the current column."""
        self._choices.focus()
        names = [name for name, _ in self._columns]
        self._choices.highlighted = names.index(self._current) if self._current in names else 0

    def confirm(self) -> None:
        """Return the highlighted column."""
        index = self._choices.highlighted
        self.dismiss(None if index is None else self._columns[index][0])

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.confirm()

    def on_key(self, event: events.Key) -> None:
        """Go to the next column that begins with the letter; elsewhere the keys of every dialog apply."""
        if self.focused is self._choices and event.character is not None and event.character.isalnum():
            event.stop()
            first, count = (self._choices.highlighted or 0) + 1, len(self._columns)
            places = [(first + step) % count for step in range(count)]
            letter = event.character.lower()
            found = (place for place in places if self._columns[place][1].lower().startswith(letter))
            self._choices.highlighted = next(found, self._choices.highlighted)
            return
        super().on_key(event)
