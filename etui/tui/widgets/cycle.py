"""One of a few words, on one line: the keys go through them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widget import Widget

from etui.actions import bindings
from etui.tui.glyphs import glyphs_of


class Cycle(Widget, can_focus=True):
    """A word out of several; space, down and right go to the next, up and left to the one before."""

    BINDINGS = [*bindings("picker")]

    COMPONENT_CLASSES = {"cycle--about"}

    DEFAULT_CSS = """
    Cycle { height: 1; width: 1fr; }
    Cycle:focus { text-style: reverse; }
    Cycle > .cycle--about { text-style: dim; }
    """

    class Changed(Message):
        """Another word was chosen."""

        def __init__(self, cycle: Cycle, value: str) -> None:
            super().__init__()
            self.cycle = cycle
            self.value = value

        @property
        def control(self) -> Cycle:
            """The field."""
            return self.cycle

    def __init__(self, options: Sequence[tuple[str, str]], value: str, *, id: str | None = None) -> None:
        """``options`` are words, each with a few more about it that stand behind it where there is room."""
        super().__init__(id=id)
        self._options = list(options)
        self._value = value

    @property
    def value(self) -> str:
        """The word that is chosen."""
        return self._value

    @value.setter
    def value(self, value: str) -> None:
        self._value = value
        self.refresh()

    def action_choose(self) -> None:
        """Go to the next word."""
        self._go(1)

    def action_down(self) -> None:
        """Go to the next word."""
        self._go(1)

    def action_right(self) -> None:
        """Go to the next word."""
        self._go(1)

    def action_up(self) -> None:
        """Go to the word before."""
        self._go(-1)

    def action_left(self) -> None:
        """Go to the word before."""
        self._go(-1)

    def on_click(self, event: events.Click) -> None:
        """Go to the next word."""
        self._go(1)

    def render(self) -> Text:
        """The word, what is about it, and the mark of a choice."""
        words = [word for word, _ in self._options]
        about = dict(self._options).get(self._value, "")
        text = Text(f"{self._value:<{max(map(len, words))}} ", no_wrap=True, overflow="crop")
        text.append(about, self.get_component_rich_style("cycle--about", partial=True) if not self.has_focus else "")
        text.truncate(self.content_size.width - 2, pad=True)
        text.append(f" {glyphs_of(self).cycle}")
        return text

    def _go(self, step: int) -> None:
        words = [word for word, _ in self._options]
        at = words.index(self._value) if self._value in words else -step
        self.value = words[(at + step) % len(words)]
        self.post_message(self.Changed(self, self._value))
