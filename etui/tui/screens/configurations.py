"""The dialog that picks a saved configuration or one of the last five, saves the picker's under a name, or removes
one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from etui.actions import bindings
from etui.errors import EtuiError
from etui.services.session_config import SessionConfig, from_values, values_of, with_absolute_paths
from etui.services.session_file import is_saved, read_saved, remove_saved, save, saved_names
from etui.text import plain
from etui.tui.error_text import to_text
from etui.tui.picker_form import FormValues, as_config, from_config, recall_recent
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.dialog import CONFIRM, Dialog
from etui.tui.widgets.form_row import FormRow
from etui.tui.workers import start


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the dialog: a saved configuration by its name, or one of the last five without a name. ``problem`` is
    why it cannot be used."""

    name: str = ""
    values: FormValues | None = None
    models: int = 1
    problem: str = ""

    @property
    def text(self) -> str:
        """What it measures, in one line."""
        if self.values is None:
            return f"! {self.problem}"
        values = self.values
        more = f" and {self.models - 1} more" if self.models > 1 else ""
        model = values.model.rpartition("/")[2]
        named = {"sequence": "sequence ", "batch": "batch ", "threads": "threads "}
        shapes = [f"{name}{text}" for option, name in named.items() if (text := getattr(values, option))]
        parts = (
            f"{model}{more}", "+".join(values.methods), "+".join(values.precisions),
            "+".join([*values.delegates, *values.baseline]), values.input_size, *shapes,
            "dynamic" if values.dynamic else "", values.preset,
        )  # fmt: skip
        return plain(" ".join(filter(None, parts)))


def load_choices() -> list[Choice]:
    """Return the saved configurations in order of their names, and the last five, newest first. Reads files. Raises
    UsageError if ETUI_CONFIG or ETUI_STATE is not a valid path."""
    return [*map(_saved, saved_names()), *(Choice(values=values) for values in recall_recent())]


def _saved(name: str) -> Choice:
    try:
        config = read_saved(name)
    except EtuiError as error:
        return Choice(name=name, problem=to_text(error))
    return Choice(name=name, values=from_config(config), models=len(config.models))


class ConfigurationsDialog(Dialog[FormValues]):
    """Pick one of the ``choices``, or save the ``current`` values under a name; the result are the values to use."""

    title_text = "Saved configurations"
    confirm_label = "Use"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("configurations")]

    DEFAULT_CSS = """
    ConfigurationsDialog .dialog--choices { margin-bottom: 1; }
    """

    def __init__(self, choices: Iterable[Choice], current: FormValues) -> None:
        super().__init__()
        self._lines = list(choices)
        self._current = current
        self._list = OptionList(*self._options(), compact=True, markup=False, classes="dialog--choices")
        self._name_field = Input(placeholder="name for what the picker has now", compact=True)

    def _options(self) -> list[Option]:
        names = max((len(choice.name) for choice in self._lines), default=0)
        options, is_headed = [], False
        for number, choice in enumerate(self._lines):
            if not choice.name and not is_headed:
                is_headed = True
                options.append(Option(Text("last runs of the picker", "dim"), disabled=True))
            options.append(Option(Text(f"{choice.name:<{names}}  {choice.text}"), id=str(number)))
        return options

    def body(self) -> Iterable[Widget]:
        """The list, and a field for the name of the current values."""
        self._list.display = bool(self._lines)
        yield self._list
        yield FormRow("Save as", self._name_field)
        yield Static("enter uses the highlighted one, delete removes a saved one; etui run --config NAME runs it",
                     classes="dialog--note")  # fmt: skip

    def on_mount(self) -> None:
        """Focus the list, or the field if there is nothing to choose."""
        if self._lines:
            self._list.focus()
            self._list.action_first()
        else:
            self._name_field.focus()

    def confirm(self) -> None:
        """Save the current values if they have a name, else return the highlighted ones."""
        if self._name_field.value.strip():
            self._start(self._save)
        elif (choice := self._highlighted()) is not None:
            self._use(choice)
        else:
            self.say("the configuration has no name; write one", problem=True)
            self._name_field.focus()

    def action_remove(self) -> None:
        """Remove the highlighted configuration after a question."""
        choice = self._highlighted()
        if choice is None or not choice.name:
            self.app.bell()
            return
        question = ConfirmDialog("Remove a configuration", f"Remove the saved configuration {choice.name}?", "Remove")
        self.app.push_screen(question, lambda yes: self._start(partial(self._remove, choice)) if yes else None)

    async def _save(self) -> None:
        name = self._name_field.value.strip()
        try:
            # Relative paths are relative to the folder of the file.
            config = from_values(with_absolute_paths(values_of(as_config(self._current)), Path.cwd()))
            taken = await asyncio.to_thread(is_saved, name)
        except (EtuiError, OSError, msgspec.ValidationError) as error:
            self._complain(error)
            return
        if not taken:
            await self._write(name, config)
            return
        question = ConfirmDialog("Replace a configuration", f"{name} is saved already. Replace it?", "Replace")
        write = partial(self._write, name, config)
        self.app.push_screen(question, lambda yes: self._start(write) if yes else None)

    async def _write(self, name: str, config: SessionConfig) -> None:
        try:
            await asyncio.to_thread(save, name, config, force=True)
            self._lines = await asyncio.to_thread(load_choices)
        except EtuiError as error:
            self._complain(error)
            return
        self._name_field.value = ""
        self._redraw(f"{name} was saved")

    async def _remove(self, choice: Choice) -> None:
        try:
            await asyncio.to_thread(remove_saved, choice.name)
        except EtuiError as error:
            self._complain(error)
            return
        self._lines.remove(choice)
        self._redraw(f"{choice.name} was removed")

    def _redraw(self, message: str) -> None:
        self._list.clear_options()
        self._list.add_options(self._options())
        self._list.display = bool(self._lines)
        if self._lines:
            self._list.focus()
            self._list.action_first()
        self.say(message)

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        start(self, work, group="save", exclusive=True)

    def _complain(self, error: Exception) -> None:
        self.say(to_text(error) if isinstance(error, EtuiError) else str(error), problem=True)
        self._name_field.focus()

    def _highlighted(self) -> Choice | None:
        index = self._list.highlighted
        option = None if index is None or not self._lines else self._list.get_option_at_index(index)
        return None if option is None or option.id is None else self._lines[int(option.id)]

    def _use(self, choice: Choice) -> None:
        if choice.values is None:
            self.say(choice.problem, problem=True)
            return
        if choice.models > 1:
            self.app.notify(
                f"{choice.name} has {choice.models} models, and the picker takes the first;"
                f" `etui run --config {choice.name}` measures all.",
                severity="warning",
            )
        self.dismiss(choice.values)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if (choice := self._highlighted()) is not None:
            self._use(choice)

    @on(Input.Changed)
    def _name_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.relabel(CONFIRM, "Save" if event.value.strip() else self.confirm_label)

    @on(Input.Submitted)
    def _named(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()
