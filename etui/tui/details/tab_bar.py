"""The row of tabs: the one that is open is shown in reverse and is always in sight, the others can be clicked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

    def __init__(self, names: Sequence[str], short: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._names = tuple(names)
        self._short = tuple((short or {}).get(name, name) for name in names)
        self._open = 0

    def show(self, number: int) -> None:
        """Mark this tab as open."""
        self._open = number
        self.refresh()

    def render(self) -> RenderResult:
        """The names; where there is little room with fewer blanks and shorter, and those that come before may go."""
        places, closed = self._places(), theme_colour(self.app, "faint")
        line = Text(" " * places[-1][1], no_wrap=True, overflow="crop", end="")
        cells = list(line.plain)
        for start, end, words in places:
            cells[start:end] = words
        line.plain = "".join(cells)
        line.stylize(closed or "none")
        start, end, _ = places[self._open]
        line.stylize("bold reverse", start, end)
        return line[self._hidden() :]

    def on_click(self, event: Click) -> None:
        """Choose the tab under the pointer."""
        for number, (start, end, _) in enumerate(self._places()):
            if start <= event.x + self._hidden() < end:
                self.post_message(self.Chosen(number))

    def _hidden(self) -> int:
        """How many columns are left out at the start, so that the open tab is seen."""
        return max(0, self._places()[self._open][1] - self.size.width)

    def _places(self) -> list[tuple[int, int, str]]:
        width = self.size.width
        names, pad, shared = self._names, "  ", 0
        if sum(len(name) + 4 for name in names) > width:
            pad = " "
        if sum(len(name) + 2 for name in names) > width:
            # The blank after a name is that before the next.
            shared = 1
        if sum(len(name) + 1 for name in names) + 1 > width:
            names = self._short
        places, start = [], 0
        for name in names:
            words = f"{pad}{name}{pad}"
            places.append((start, start + len(words), words))
            start += len(words) - shared
        return places
