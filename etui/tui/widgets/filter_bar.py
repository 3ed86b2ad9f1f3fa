"""The filter line above the runs: applied as it is typed, with completion, and errors shown below it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from etui.actions import bindings
from etui.errors import EtuiError
from etui.facts import BY_KEY
from etui.store import Condition
from etui.store.filter_language import FilterMistake, completions, read, word_before
from etui.store.saved_filters import load_filters
from etui.text import counted, plain
from etui.tui.defect_guard import Guarded
from etui.tui.type_ahead import TypeAhead
from etui.tui.widgets.key_bar import Footer, Hint
from etui.tui.workers import start

_MOST_COMPLETIONS = 8


class FilterInput(Input):
    """The input field; tab accepts the first completion instead of moving the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("filter")]

    def __init__(self) -> None:
        super().__init__(placeholder="model:resnet18 p50<10 -status:failed", compact=True, select_on_focus=False)
        self._is_left = False
        self._type_ahead = TypeAhead()

    def on_focus(self) -> None:
        """Take keys again."""
        self._is_left = False

    def on_blur(self) -> None:
        """Hand the keys that were typed after the filter was left to what has the focus now."""
        self._type_ahead.replay(self.app)

    async def _on_key(self, event: events.Key) -> None:
        """Leave at once: a binding would run after the keys that are already waiting for this field."""
        if self._is_left:
            self._type_ahead.keep(event)
        elif not event.is_printable:
            active = self.screen.active_bindings.get(event.key)
            if active is not None and active.node is self and active.binding.action in ("submit", "leave"):
                event.stop()
                event.prevent_default()
                bar = self.parent
                assert isinstance(bar, FilterBar)
                self._is_left = bar.enter(self.value) if active.binding.action == "submit" else bar.leave()

    def action_complete(self) -> None:
        """Accept the first completion of the word before the cursor."""
        bar = self.parent
        assert isinstance(bar, FilterBar)
        bar.complete()

    def action_leave(self) -> None:
        """Close the filter and undo the edit."""
        bar = self.parent
        assert isinstance(bar, FilterBar)
        bar.leave()


class FilterBar(Guarded, Vertical):
    """Visible only while it is edited. ``text`` and ``conditions`` are the current filter."""

    class Changed(Message):
        """The filter changed."""

        def __init__(self, text: str, conditions: tuple[Condition, ...]) -> None:
            super().__init__()
            self.text = text
            self.conditions = conditions

    class Closed(Message):
        """The filter was closed; the focus returns to the table."""

    def __init__(self, values: Callable[[str], list[str]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._values = values
        self._known: dict[str, list[str]] = {}
        self._saved: dict[str, str] = {}
        self._before = ""
        self.text = ""
        self.conditions: tuple[Condition, ...] = ()

    def compose(self) -> ComposeResult:
        """The field, and the message about what is typed."""
        yield FilterInput()
        yield Static(id="filter-word")

    def on_mount(self) -> None:
        """Stay hidden until the filter is opened."""
        self.display = False

    def open(self) -> None:
        """Show and focus the line."""
        start(self, self._read_values, group="values", exclusive=True)
        self._before = self.text
        self.display = True
        line = self.query_one(FilterInput)
        line.value = self.text
        line.cursor_position = len(self.text)
        # At once: ``focus`` waits for the keys that have come already.
        self.screen.set_focus(line)
        self._show_completions()

    async def _read_values(self) -> None:
        """Read the saved filters, and the values of the columns for completion; until then only keys are completed."""
        await self._read_saved()
        for column in _COLUMNS:
            self._known[column] = await asyncio.to_thread(self._values, column)
        line = self.query_one(FilterInput)
        if line.has_focus and not self.query_one("#filter-word").has_class("-mistake"):
            self._show_completions()

    async def apply(self, text: str) -> None:
        """Filter by a text, in which ``@name`` is a saved filter."""
        await self._read_saved()
        conditions, mistakes = read(text, saved=self._saved)
        self._apply(_without(text, mistakes), tuple(conditions))

    async def _read_saved(self) -> None:
        """Read the saved filters; none if their folder is not valid."""
        with contextlib.suppress(EtuiError):
            self._saved = await asyncio.to_thread(load_filters)

    def footer(self) -> Footer:
        """Return the keys of the field."""
        return Footer([Hint("enter", "apply"), "filter.complete", "filter.leave"])

    def clear(self) -> None:
        """Show all runs."""
        self._apply("", ())
        self.query_one(FilterInput).value = ""

    def complete(self) -> None:
        """Accept the first completion."""
        line = self.query_one(FilterInput)
        completed = self._completions()
        if completed:
            word = word_before(line.value, line.cursor_position)
            start = line.cursor_position - len(word)
            line.value = line.value[:start] + completed[0] + line.value[line.cursor_position :]
            line.cursor_position = start + len(completed[0])

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        """Apply the terms that can be parsed, and report those that are ignored."""
        event.stop()
        if not self.display:
            # The filter was left meanwhile.
            return
        conditions, mistakes = read(event.value, saved=self._saved)
        # An unfinished word at the cursor is not a mistake yet.
        unfinished = bool(mistakes) and mistakes[-1].end >= len(event.value) and bool(self._completions())
        ignored = mistakes[:-1] if unfinished else mistakes
        if ignored:
            self._show_message(_ignored(event.value, ignored), mistake=True)
        else:
            self._show_completions()
        self._apply(_without(event.value, mistakes), tuple(conditions))

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.enter(event.value)

    def enter(self, text: str) -> bool:
        """Apply a filter and close; return False, with a message, if it has a mistake."""
        conditions, mistakes = read(text, saved=self._saved)
        if mistakes:
            self._show_message(_ignored(text, mistakes), mistake=True)
            return False
        self._apply(text, tuple(conditions))
        self._close()
        return True

    def leave(self) -> bool:
        """Apply the filter from before the edit, and close."""
        self._apply(self._before, tuple(read(self._before, saved=self._saved)[0]))
        self._close()
        return True

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
        return [
            word for word in completions(line.value, line.cursor_position, self._known, self._saved) if word != before
        ]

    def _show_completions(self) -> None:
        shown = self._completions()[:_MOST_COMPLETIONS]
        self._show_message("tab: " + "  ".join(map(plain, shown)) if shown else "", mistake=False)

    def _show_message(self, message: str, *, mistake: bool) -> None:
        line = self.query_one("#filter-word", Static)
        line.set_class(mistake, "-mistake")
        line.update(Text(plain(message), no_wrap=True, overflow="ellipsis"), layout=False)


def _ignored(text: str, mistakes: Sequence[FilterMistake]) -> str:
    """Return a line about what is ignored in a filter and why."""
    first, more = mistakes[0], len(mistakes) - 1
    others = f" (and {counted(more, 'other mistake')})" if more else ""
    return f"ignored {text[first.start : first.end]}{others}: {first.message}; {first.hint}"


def _without(text: str, mistakes: Sequence[FilterMistake]) -> str:
    """Return a filter without the terms that are ignored."""
    for mistake in reversed(mistakes):
        text = text[: mistake.start] + text[mistake.end :]
    return text


_COLUMNS = tuple(fact.columns[0] for fact in BY_KEY.values() if fact.filter is not None and fact.filter.suggested)
"""The database columns whose values are read for completion."""
