"""The dialog that picks a saved filter, saves the current one under a name, or removes one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from etui.actions import bindings
from etui.errors import EtuiError
from etui.store.saved_filters import remove_filter, save_filter
from etui.text import plain
from etui.tui.error_text import to_text
from etui.tui.screens.dialog import Dialog
from etui.tui.widgets.form_row import FormRow
from etui.tui.workers import start


class FiltersDialog(Dialog[str]):
    """Pick one of the ``saved`` filters, or save the ``current`` filter; the result is the filter to apply."""

    title_text = "Saved filters"
    confirm_label = "Apply"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("filters")]

    DEFAULT_CSS = """
    FiltersDialog .dialog--choices { max-height: 12; margin-bottom: 1; }
    """

    def __init__(self, saved: Mapping[str, str], current: str) -> None:
        super().__init__()
        self._filters = dict(saved)
        self._filter = current
        self._choices = OptionList(*self._options(), compact=True, markup=False, classes="dialog--choices")
        self._name_field = Input(placeholder="name for the current filter", compact=True)

    def _options(self) -> list[Option]:
        return [Option(Text(f"@{name}  {plain(text)}"), id=name) for name, text in self._filters.items()]

    def body(self) -> Iterable[Widget]:
        """The list, and a field for the name of the current filter."""
        self._choices.display = bool(self._filters)
        yield self._choices
        if self._filter:
            yield Static(Text(f"Current filter: {plain(self._filter)}"), classes="dialog--note")
            yield FormRow("Save as", self._name_field)
        if self._filters:
            yield Static("enter applies, delete removes the highlighted filter", classes="dialog--note")
        elif not self._filter:
            yield Static("No filter is saved yet. Filter the runs with /, then save the filter here.")

    def on_mount(self) -> None:
        """Focus the list, or the field if nothing is saved."""
        if self._filters:
            self._choices.focus()
            self._choices.highlighted = 0
        elif self._filter:
            self._name_field.focus()

    def confirm(self) -> None:
        """Save the current filter if it has a name, else return the highlighted filter."""
        name = self._name_field.value.strip()
        if name:
            start(self, partial(self._save, name), group="save", exclusive=True)
        elif (chosen := self._highlighted()) is not None:
            self.dismiss(f"@{chosen}")
        elif self._filter:
            self.say("the filter has no name; write one", problem=True)
            self._name_field.focus()
        else:
            self.dismiss(None)

    async def _save(self, name: str) -> None:
        try:
            await asyncio.to_thread(save_filter, name, self._filter)
        except EtuiError as error:
            self.say(to_text(error), problem=True)
            self._name_field.focus()
            return
        self.dismiss(f"@{name}")

    def action_remove(self) -> None:
        """Remove the highlighted filter."""
        if (chosen := self._highlighted()) is not None:
            start(self, partial(self._remove, chosen), group="save", exclusive=True)

    async def _remove(self, name: str) -> None:
        try:
            await asyncio.to_thread(remove_filter, name)
        except EtuiError as error:
            self.say(to_text(error), problem=True)
            return
        del self._filters[name]
        self._choices.remove_option(name)
        self._choices.display = bool(self._filters)
        self.say(f"@{name} was removed")

    def _highlighted(self) -> str | None:
        index = self._choices.highlighted
        return None if index is None or not self._filters else self._choices.get_option_at_index(index).id

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(f"@{event.option.id}")

    @on(Input.Submitted)
    def _named(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()
