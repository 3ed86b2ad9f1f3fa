"""A scrolling view of JSON text that draws only the visible lines."""

from __future__ import annotations

import re

from rich.text import Text

from etui.text import plain
from etui.tui.terminal import theme_colour
from etui.tui.widgets.line_view import LineView

_KEY = re.compile(r'"(?:[^"\\]|\\.)*"(?=\s*:)')
_LONGEST = 4_000


class JsonView(LineView):
    """Long lines are cut at the edge of the view; an exported file has the full text."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: list[str] = []
        self._key_style = ""

    def on_mount(self) -> None:
        """Use the theme's colour for keys, and follow the theme."""
        self._take_theme()
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._take_theme())

    def show(self, rows: list[str]) -> None:
        """Show these lines."""
        self._rows = rows
        self.rows_changed()

    def row_count(self) -> int:
        """Return the number of lines."""
        return len(self._rows)

    def row(self, index: int) -> Text:
        """Return a line with its keys coloured."""
        raw = self._rows[index]
        line = Text(plain(raw[:_LONGEST]), no_wrap=True, end="")
        for match in _KEY.finditer(line.plain):
            line.stylize(self._key_style or "bold", match.start(), match.end())
        line.truncate(max(1, self.scrollable_content_region.width), overflow="crop")
        return line

    def on_resize(self) -> None:
        """Fit the lines to the width."""
        self.rows_changed()

    def _take_theme(self) -> None:
        self._key_style = theme_colour(self.app, "primary")
        self.refresh()
