"""A one-line field with a few options, which the keys cycle through."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widget import Widget

from etui.actions import bindings
from etui.tui.glyphs import glyphs_of


class Cycle(Widget, can_focus=True):
    """One of several options; space, down and right select the next, up and left the previous."""

    BINDINGS = [*bindings("picker")]

    COMPONENT_CLASSES = {"cycle--about"}

    DEFAULT_CSS = """
    Cycle { height: 1; width: 1fr; }
    Cycle:focus { text-style: reverse; }
    Cycle > .cycle--about { text-style: dim; }
    """

    class Changed(Message):
        """Another option was selected."""

        def __init__(self, cycle: Cycle, value: str) -> None:
            super().__init__()
            self.cycle = cycle
            self.value = value

        @property
        def control(self) -> Cycle:
            """The field."""
            return self.cycle

    def __init__(self, options: Sequence[tuple[str, str]], value: str, *, id: str | None = None) -> None:
        """``options`` are pairs of a value and a description, which is shown after it if there is room."""
        super().__init__(id=id)
        self._options = list(options)
        self._value = value

    @property
    def value(self) -> str:
        """The selected value."""
        return self._value

    @value.setter
    def value(self, value: str) -> None:
        self._value = value
        self.refresh()

    def action_choose(self) -> None:
        """Select the next option."""
        self._go(1)

    def action_down(self) -> None:
        """Select the next option."""
        self._go(1)

    def action_right(self) -> None:
        """Select the next option."""
        self._go(1)

    def action_up(self) -> None:
        """Select the previous option."""
        self._go(-1)

    def action_left(self) -> None:
        """Select the previous option."""
        self._go(-1)

    def on_click(self, event: events.Click) -> None:
        """Select the next option."""
        self._go(1)

    def render(self) -> Text:
        """Return the value, its description, and the mark of a selection field."""
        values = [value for value, _ in self._options]
        about = dict(self._options).get(self._value, "")
        text = Text(f"{self._value:<{max(map(len, values))}} ", no_wrap=True, overflow="crop")
        text.append(about, self.get_component_rich_style("cycle--about", partial=True) if not self.has_focus else "")
        text.truncate(self.content_size.width - 2, pad=True)
        text.append(f" {glyphs_of(self).cycle}")
        return text

    def _go(self, step: int) -> None:
        values = [value for value, _ in self._options]
        at = values.index(self._value) if self._value in values else -step
        self.value = values[(at + step) % len(values)]
        self.post_message(self.Changed(self, self._value))
