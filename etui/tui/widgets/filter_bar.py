"""The filter above the runs: a line that is read as it is typed, completes, and names a mistake under itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from etui.actions import bindings
from etui.store import Condition
from etui.store.filter_language import FilterMistake, completions, parse, word_before
from etui.text import plain
from etui.tui.defect_guard import Guarded
from etui.tui.workers import start

_MOST_COMPLETIONS = 8


class FilterInput(Input):
    """The line itself; tab takes the first completion instead of leaving."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("filter")]

    class Left(Message):
        """Escape was pressed."""

    def action_complete(self) -> None:
        """Take the first completion of the word before the cursor."""
        bar = self.parent
        assert isinstance(bar, FilterBar)
        bar.complete()

    def action_leave(self) -> None:
        """Leave the line; what was typed since it was entered is undone."""
        self.post_message(self.Left())


class FilterBar(Guarded, Vertical):
    """Shows only while it is being typed in. What holds is in ``text`` and ``conditions``."""

    class Changed(Message):
        """Other runs are wanted."""

        def __init__(self, text: str, conditions: tuple[Condition, ...]) -> None:
            super().__init__()
            self.text = text
            self.conditions = conditions

    class Closed(Message):
        """The line was left; the table is wanted again."""

    def __init__(self, values: Callable[[str], list[str]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._values = values
        self._known: dict[str, list[str]] = {}
        self._before = ""
        self.text = ""
        self.conditions: tuple[Condition, ...] = ()

    def compose(self) -> ComposeResult:
        yield FilterInput(placeholder="model:resnet18 p50<10 -status:failed", compact=True, select_on_focus=False)
        yield Static(id="filter-word")

    def on_mount(self) -> None:
        self.display = False

    def open(self) -> None:
        """Show the line and put the cursor in it."""
        start(self, self._learn, group="values", exclusive=True)
        self._before = self.text
        self.display = True
        line = self.query_one(FilterInput)
        line.value = self.text
        line.cursor_position = len(self.text)
        line.focus()
        self._say_completions()

    async def _learn(self) -> None:
        """Read what stands in the columns, for completion; until it is there the keys alone are completed."""
        for column in _COLUMNS:
            self._known[column] = await asyncio.to_thread(self._values, column)
        line = self.query_one(FilterInput)
        if line.has_focus and not self.query_one("#filter-word").has_class("-mistake"):
            self._say_completions()

    def clear(self) -> None:
        """Show every run again."""
        self._apply("", ())
        self.query_one(FilterInput).value = ""

    def complete(self) -> None:
        """Take the first completion."""
        line = self.query_one(FilterInput)
        found = self._completions()
        if found:
            word = word_before(line.value, line.cursor_position)
            start = line.cursor_position - len(word)
            line.value = line.value[:start] + found[0] + line.value[line.cursor_position :]
            line.cursor_position = start + len(found[0])

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        try:
            conditions = tuple(parse(event.value))
        except FilterMistake as mistake:
            # Half a word is no mistake yet while the cursor is still in it.
            if mistake.end >= len(event.value) and self._completions():
                self._say_completions()
            else:
                self._say(f"{mistake.message}; {mistake.hint}", mistake=True)
            self._apply_rest(event.value, mistake)
            return
        self._say_completions()
        self._apply(event.value, conditions)

    def _apply_rest(self, text: str, mistake: FilterMistake) -> None:
        """Show what the words mean that can be read."""
        rest = text
        while True:
            rest = rest[: mistake.start] + rest[mistake.end :]
            try:
                self._apply(rest, tuple(parse(rest)))
            except FilterMistake as another:
                mistake = another
            else:
                return

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            conditions = tuple(parse(event.value))
        except FilterMistake as mistake:
            self._say(f"{mistake.message}; {mistake.hint}", mistake=True)
            return
        self._apply(event.value, conditions)
        self._close()

    @on(FilterInput.Left)
    def _left(self) -> None:
        self._apply(self._before, tuple(parse(self._before)))
        self._close()

    def _apply(self, text: str, conditions: tuple[Condition, ...]) -> None:
        text = text.strip()
        if conditions != self.conditions or text != self.text:
            self.text, self.conditions = text, conditions
            self.post_message(self.Changed(text, conditions))

    def _close(self) -> None:
        self.display = False
        self.post_message(self.Closed())

    def _completions(self) -> list[str]:
        line = self.query_one(FilterInput)
        before = word_before(line.value, line.cursor_position)
        return [one for one in completions(line.value, line.cursor_position, self._known) if one != before]

    def _say_completions(self) -> None:
        found = self._completions()[:_MOST_COMPLETIONS]
        self._say("tab: " + "  ".join(map(plain, found)) if found else "", mistake=False)

    def _say(self, words: str, *, mistake: bool) -> None:
        word = self.query_one("#filter-word", Static)
        word.set_class(mistake, "-mistake")
        word.update(Text(plain(words), no_wrap=True, overflow="ellipsis"), layout=False)


_COLUMNS = ("model", "precision", "delegate", "weights", "preset", "box")
"""The keys whose values are asked of the database, which calls their columns the same."""
