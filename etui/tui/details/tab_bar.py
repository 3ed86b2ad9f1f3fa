"""The row of tab names: the open tab is shown in reverse and always visible, the others can be clicked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text
from textual.app import RenderResult
from textual.events import Click
from textual.message import Message
from textual.widget import Widget

from etui.tui.terminal import theme_colour


class TabBar(Widget):
    """Tab names in a row. It never has the focus: the screen's keys change tabs.

    ``short`` are names for a narrow terminal, ``keys`` the keys of tabs that no digit opens.
    """

    DEFAULT_CSS = "TabBar { height: 1; }"

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(
        self, names: Sequence[str], short: Mapping[str, str] | None = None, keys: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self._numbered = tuple(
            f"{(keys or {}).get(name, str(number % 10))} {name}" for number, name in enumerate(names, 1)
        )
        self._names = tuple(names)
        self._short = tuple((short or {}).get(name, name) for name in names)
        self._open = 0

    def show(self, number: int) -> None:
        """Mark this tab as open."""
        self._open = number
        self.refresh()

    def render(self) -> RenderResult:
        """Return the names with their keys; in a narrow terminal without, then with less padding, then shortened,
        then cut off at the left."""
        places, closed = self._places(), theme_colour(self.app, "faint")
        line = Text(" " * places[-1][1], no_wrap=True, overflow="crop", end="")
        cells = list(line.plain)
        for start, end, title in places:
            cells[start:end] = title
        line.plain = "".join(cells)
        line.stylize(closed or "none")
        start, end, _ = places[self._open]
        line.stylize("bold reverse", start, end)
        return line[self._hidden() :]

    def on_click(self, event: Click) -> None:
        """Open the tab under the pointer."""
        for number, (start, end, _) in enumerate(self._places()):
            if start <= event.x + self._hidden() < end:
                self.post_message(self.Chosen(number))

    def _hidden(self) -> int:
        """Return how many cells to cut off at the left so that the open tab is visible."""
        return max(0, self._places()[self._open][1] - self.size.width)

    def _places(self) -> list[tuple[int, int, str]]:
        width = self.size.width
        names, pad, shared = self._names, "  ", 0
        if sum(len(name) + 2 for name in self._numbered) <= width:
            names = self._numbered
        if sum(len(name) + 4 for name in names) > width:
            pad = " "
        if sum(len(name) + 2 for name in names) > width:
            # Neighbouring names share one blank.
            shared = 1
        if sum(len(name) + 1 for name in names) + 1 > width:
            names = self._short
        places, start = [], 0
        for name in names:
            title = f"{pad}{name}{pad}"
            places.append((start, start + len(title), title))
            start += len(title) - shared
        return places
