"""A scrolling view of JSON text that draws only the visible lines."""

from __future__ import annotations

import re

from rich.text import Text

from etui.text import in_ascii, plain
from etui.tui.terminal import draws_unicode, theme_colour
from etui.tui.widgets.line_view import LineView

_KEY = re.compile(r'"(?:[^"\\]|\\.)*"(?=\s*:)')
_LONGEST = 4_000


class JsonView(LineView):
    """Long lines are cut at the edge of the view; an exported file has the full text."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: list[str] = []
        self._key_style: str | None = None

    def notify_style_update(self) -> None:
        """Use the theme's colour for keys."""
        super().notify_style_update()
        self._key_style = None

    def show(self, rows: list[str]) -> None:
        """Show these lines."""
        self._rows = rows
        self.rows_changed()

    def line_count(self) -> int:
        """Return the number of lines."""
        return len(self._rows)

    def line(self, index: int) -> Text:
        """Return a line with its keys coloured."""
        raw = self._rows[index]
        if self._key_style is None:
            self._key_style = theme_colour(self.app, "primary") or "bold"
        shown = plain(raw[:_LONGEST])
        line = Text(shown if draws_unicode(self.app) else in_ascii(shown), no_wrap=True, end="")
        for match in _KEY.finditer(line.plain):
            line.stylize(self._key_style, match.start(), match.end())
        line.truncate(max(1, self.scrollable_content_region.width), overflow="crop")
        return line
