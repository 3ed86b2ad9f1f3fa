"""The dialog that chooses the columns of the runs table and their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from etui.actions import bindings
from etui.tui.screens.dialog import Dialog
from etui.tui.widgets.multi_select import Item, MultiSelect


class _Columns(MultiSelect):
    """A list whose items can be reordered."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("columns")]

    def action_lower(self) -> None:
        """Move the item under the cursor one line down."""
        self._shift(1)

    def action_raise_up(self) -> None:
        """Move the item under the cursor one line up."""
        self._shift(-1)

    def _shift(self, step: int) -> None:
        pointed = self.pointed
        if pointed is None:
            return
        items = list(self.items)
        at = items.index(pointed)
        if 0 <= at + step < len(items):
            items.insert(at + step, items.pop(at))
            self.set_items(items)


class ColumnsDialog(Dialog[list[str]]):
    """Choose columns. ``columns`` are pairs of name and title, ``shown`` the names shown now, in order; the result is
    the names to show, in order."""

    title_text = "Columns"
    confirm_label = "Show"

    def __init__(self, columns: Sequence[tuple[str, str]], shown: Sequence[str]) -> None:
        super().__init__()
        titles = dict(columns)
        ordered = [name for name in shown if name in titles] + [name for name, _ in columns if name not in shown]
        # The list shows titles; the result is names.
        self._names = {titles[name]: name for name in ordered}
        self._list = _Columns(
            [Item(name=titles[name], about=name) for name in ordered],
            [titles[name] for name in shown if name in titles],
            rows=14,
            one_a_line=True,
        )

    def body(self) -> Iterable[Widget]:
        """The list, and a line about its keys."""
        yield self._list
        yield Static(
            "\nspace shows or hides, J and K move the column, tab goes to the buttons\n"
            "(no room): chosen, but the table is too narrow for it",
            classes="dialog--note",
        )

    def on_mount(self) -> None:
        """Focus the list."""
        self._list.focus()

    def confirm(self) -> None:
        """Return the selected columns; refuse an empty selection."""
        chosen = [self._names[title] for title in self._list.chosen]
        if not chosen:
            self.say("no column is selected; select at least one", problem=True)
            self._list.focus()
            return
        self.dismiss(chosen)

    @on(MultiSelect.Changed)
    def _changed(self, event: MultiSelect.Changed) -> None:
        event.stop()
        self.say("")
