"""A text field with a drop-down list of suggestions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from etui.actions import bindings
from etui.tui.glyphs import glyphs_of
from etui.tui.suggestions import Suggest, Suggestion, is_path
from etui.tui.workers import start


class Combo(Widget):
    """A field for any text, with suggestions.

    Down or Enter opens the list, up and down move in it, Enter accepts the highlighted suggestion, right at the end of
    the text completes it, Escape closes the list. With ``pick`` the text should be one of the suggestions: the first
    match is highlighted, and leaving the field accepts it.
    """

    DEFAULT_CSS = """
    Combo { height: 1; width: 1fr; }
    Combo Horizontal { height: 1; }
    Combo Input { width: 1fr; background: transparent; }
    Combo Input:focus { background: $panel; }
    Combo .combo--mark { width: 2; content-align: right middle; color: $text-muted; }
    Combo OptionList {
        display: none; overlay: screen; constrain: inside inside; width: 58; max-width: 100vw; height: auto;
        max-height: 14; border: round $border; padding: 0; background: $surface; scrollbar-size-vertical: 1;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    Combo.-open OptionList { display: block; }
    Combo OptionList > .option-list--option { padding: 0 1; }
    Combo OptionList > .option-list--option-highlighted {
        background: $block-cursor-background; color: $block-cursor-foreground; text-style: $block-cursor-text-style;
    }
    """

    class FieldMessage(Message):
        """A message of a field, with its text."""

        def __init__(self, combo: Combo, value: str) -> None:
            super().__init__()
            self.combo = combo
            self.value = value

        @property
        def control(self) -> Combo:
            """The field."""
            return self.combo

    class Changed(FieldMessage):
        """The field has a new value: chosen from the list, or typed and confirmed by leaving the field."""

    class Typed(FieldMessage):
        """The text was edited; the value is not committed yet."""

    class Submitted(FieldMessage):
        """Enter was pressed with the list closed."""

    def __init__(
        self,
        value: str = "",
        *,
        suggest: Suggest,
        pick: bool = False,
        placeholder: str = "",
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._suggest = suggest
        self._pick = pick
        self._committed = value
        self._untouched: str | None = value
        self._input = _Line(value, placeholder=placeholder, compact=True)
        self._list = OptionList(markup=False)
        self._list.can_focus = False
        self._shown: list[Suggestion] = []

    def compose(self) -> ComposeResult:
        """Compose the field, its mark, and the list."""
        with Horizontal():
            yield self._input
            yield Static(glyphs_of(self).drop, classes="combo--mark", markup=False)
        yield self._list

    @property
    def value(self) -> str:
        """The text in the field."""
        return self._input.value

    @value.setter
    def value(self, value: str) -> None:
        self._committed = value
        with self.prevent(Input.Changed):
            self._input.value = value
        self._input.cursor_position = len(value)

    @property
    def is_changed(self) -> bool:
        """Whether the text was edited and is not committed yet."""
        return self.value != self._committed

    @property
    def is_open(self) -> bool:
        """Whether the list is shown."""
        return self.has_class("-open")

    def focus(self, scroll_visible: bool = True) -> Combo:
        """Focus the field."""
        self._input.focus(scroll_visible)
        return self

    # The list

    def open(self) -> None:
        """Show the suggestions for the text; all of them if the text is the committed value."""
        text = self.value
        self._update_list(text if self.is_changed or is_path(text) else "")

    def close(self) -> None:
        """Hide the list."""
        self.remove_class("-open")

    def move(self, step: int) -> None:
        """Highlight the next or previous suggestion, or open the list."""
        if not self.is_open:
            self.open()
            return
        if step > 0:
            self._list.action_cursor_down()
        else:
            self._list.action_cursor_up()

    def take(self, *, or_first: bool = False) -> bool:
        """Accept the highlighted suggestion (with ``or_first`` else the first); returns False if there is none."""
        index = self._list.highlighted
        if index is None and or_first:
            index = next((number for number, shown in enumerate(self._shown) if not shown.heading), None)
        if not self.is_open or index is None or self._shown[index].heading:
            return False
        taken = self._shown[index]
        with self.prevent(Input.Changed):
            self._input.value = taken.value
        self._input.cursor_position = len(taken.value)
        if taken.whole:
            self.close()
            self.commit()
        else:
            self._update_list(taken.value)
        return True

    def commit(self) -> None:
        """Report the text as the field's value, if it changed."""
        if self.is_changed:
            self._committed = self.value
            self.post_message(self.Changed(self, self.value))

    def revert(self) -> None:
        """Close the list and restore the committed value if ``pick`` is set."""
        self.close()
        if self._pick and self.is_changed:
            self.value = self._committed
            self.post_message(self.Typed(self, self.value))

    def leave(self) -> None:
        """Commit the text, since the focus leaves the field."""
        if self.is_open and self._pick and self.is_changed and not is_path(self.value):
            self.take()
        self.close()
        self.commit()

    def submit(self) -> None:
        """Accept the highlighted suggestion, or confirm the field."""
        if self.take():
            return
        self.close()
        self.commit()
        self.post_message(self.Submitted(self, self.value))

    def _update_list(self, text: str) -> None:
        # Only reading a folder, which can be slow (network file systems), needs a thread.
        if not text or (self._pick and not is_path(text)):
            self._show(text, self._suggest(text))
        else:
            start(self, partial(self._read_suggestions, text), group="suggest", exclusive=True)

    async def _read_suggestions(self, text: str) -> None:
        self._show(text, await asyncio.to_thread(self._suggest, text))

    def _show(self, text: str, suggestions: Sequence[Suggestion]) -> None:
        if text not in ("", self.value) or not self._input.has_focus:
            return
        self._shown = list(suggestions)
        self._list.clear_options()
        self._list.add_options(Option(_line(item), disabled=item.heading) for item in self._shown)
        self._list.highlighted = self._first(text)
        self.set_class(bool(self._shown), "-open")

    def _first(self, text: str) -> int | None:
        names = [number for number, item in enumerate(self._shown) if not item.heading]
        same = [number for number in names if self._shown[number].value == self._committed]
        if same and not text:
            return same[0]
        return names[0] if self._pick and names and not is_path(text) else None

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        initial, self._untouched = self._untouched, None
        # The input reports its initial value too, which nobody typed.
        if event.value != initial:
            self._update_list(event.value)
        self.post_message(self.Typed(self, event.value))

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._list.highlighted = event.option_index
        self.take()

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()

    def on_click(self, event: events.Click) -> None:
        """Open the list."""
        if not self.is_open:
            self.focus()
            self.open()


class _Line(Input):
    """The text field of a combo, which shares its keys with the list."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list")]

    @property
    def _combo(self) -> Combo:
        return next(node for node in self.ancestors if isinstance(node, Combo))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Handle Escape only while the list is open; otherwise it is the screen's."""
        if action == "revert":
            return self._combo.is_open
        return super().check_action(action, parameters)

    def action_next(self) -> None:
        """Open the list, or go to the next suggestion."""
        self._combo.move(1)

    def action_previous(self) -> None:
        """Go to the previous suggestion."""
        self._combo.move(-1)

    def action_take(self) -> None:
        """Complete the text if the cursor is at its end; otherwise move the cursor."""
        if self.cursor_position >= len(self.value) and self._combo.is_open:
            self._combo.take(or_first=True)
        else:
            self.action_cursor_right()

    def action_choose(self) -> None:
        """Accept the highlighted suggestion, or confirm the field."""
        self._combo.submit()

    def action_revert(self) -> None:
        """Close the list."""
        self._combo.revert()

    def _on_blur(self, event: events.Blur) -> None:
        super()._on_blur(event)
        self._combo.leave()


def _line(item: Suggestion) -> Text:
    if item.heading:
        return Text(item.value, style="italic", no_wrap=True, overflow="ellipsis")
    line = Text(f"{item.name:<16}" if item.about else item.name, no_wrap=True, overflow="ellipsis")
    if item.about:
        line.append(f"  {item.about}", style="dim")
    return line
