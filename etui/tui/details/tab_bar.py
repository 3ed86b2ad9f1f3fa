"""The row of tabs: the one that is open stands between brackets of its own colour, the others can be clicked."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import RenderResult
from textual.events import Click
from textual.message import Message
from textual.widget import Widget

from etui.tui.terminal import theme_colour


class TabBar(Widget):
    """Names in a row. It never has the focus: the screen's keys change tabs."""

    DEFAULT_CSS = "TabBar { height: 1; }"

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = tuple(names)
        self._open = 0

    def show(self, number: int) -> None:
        """Mark this tab as open."""
        self._open = number
        self.refresh()

    def render(self) -> RenderResult:
        """The names; where there is little room, without the blanks around them."""
        line = Text(no_wrap=True, overflow="crop")
        closed = theme_colour(self.app, "faint")
        for number, (_, _, words) in enumerate(self._places()):
            line.append(words, "bold reverse" if number == self._open else closed or None)
        return line

    def on_click(self, event: Click) -> None:
        """Choose the tab under the pointer."""
        for number, (start, end, _) in enumerate(self._places()):
            if start <= event.x < end:
                self.post_message(self.Chosen(number))

    def _places(self) -> list[tuple[int, int, str]]:
        pad = "  " if sum(len(name) + 4 for name in self._names) <= self.size.width else " "
        places, start = [], 0
        for name in self._names:
            words = f"{pad}{name}{pad}"
            places.append((start, start + len(words), words))
            start += len(words)
        return places
