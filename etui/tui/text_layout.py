"""Text laid out for a given width: headings, wrapped paragraphs, labelled values, and tables that hide columns."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.style import Style
from rich.text import Text

from etui.table_columns import fitting_columns
from etui.text import in_ascii, plain, wrapped
from etui.text import width as cells

LABEL = 18
_FIXED = "\xa0"
"""A space at which a line does not end."""


class Styles(msgspec.Struct, frozen=True, kw_only=True):
    """Rich styles (empty: the terminal's default) and symbols. No style alone carries meaning. Without ``unicode`` the
    signs of texts are ASCII too."""

    heading: str = "bold"
    label: str = ""
    strong: str = "bold"
    good: str = ""
    bad: str = "bold"
    warn: str = "bold"
    muted: str = ""
    ok: str = "✓"
    failed: str = "✗"
    flagged: str = "!"
    rule: str = "─"
    cut: str = "…"
    unicode: bool = True


class Column(msgspec.Struct, frozen=True):
    """A table's column. ``optional`` columns are hidden if they are empty or do not fit, the last one first."""

    heading: str
    right: bool = True
    optional: bool = False


class Cell(msgspec.Struct, frozen=True):
    """A table's cell with a style."""

    text: str
    style: str = ""


class Link(msgspec.Struct, frozen=True):
    """A link to another place of the screen: its text, and the action that a click runs."""

    text: str
    action: str


class Sheet:
    """A text builder. All input is data: markup is not interpreted, control characters are removed."""

    def __init__(self, width: int, styles: Styles) -> None:
        self.width = max(20, width)
        self.styles = styles
        self._lines: list[Text] = []

    @property
    def text(self) -> Text:
        """The text written so far."""
        return Text("\n", no_wrap=True).join(self._lines)

    def _plain(self, text: str, *, keep_lines: bool = False) -> str:
        text = plain(text, keep_lines=keep_lines)
        return text if self.styles.unicode else in_ascii(text)

    def gap(self) -> None:
        """Add an empty line, unless at the start or after another one."""
        if self._lines and self._lines[-1].plain:
            self._lines.append(Text())

    def heading(self, text: str, aside: str = "") -> None:
        """Add a heading, with an optional remark in a muted style."""
        self.gap()
        room = self.width - cells(self._plain(text)) - 2
        line = Text(no_wrap=True).append(_cut(self._plain(text), self.width, self.styles.cut), self.styles.heading)
        if aside and room > 8:
            line.append(f"  {_cut(self._plain(aside), room, self.styles.cut)}", self.styles.muted or None)
        self._lines.append(line)

    def say(self, text: str, style: str = "", glyph: str = "", link: Link | None = None) -> None:
        """Add a wrapped paragraph after an optional glyph; ``link`` is appended in brackets in a muted style."""
        indent = cells(glyph) + 1 if glyph else 0
        text = self._plain(text, keep_lines=True)
        # A link is on one line.
        end = f"[{self._plain(link.text)}]".replace(" ", _FIXED) if link is not None else ""
        rows = wrapped(f"{text} {end}".rstrip(), self.width - indent)
        for number, row in enumerate(rows):
            line = Text(no_wrap=True)
            line.append(f"{glyph if number == 0 else '':<{indent}}", style or None)
            muted = number == len(rows) - 1 and end and row.endswith(end)
            line.append(row.removesuffix(end) if muted else row, style or None)
            if muted and link is not None:
                style_of_link = Style.parse(self.styles.muted) + Style(underline=True, meta={"@click": link.action})
                line.append("[", self.styles.muted or None).append(end[1:-1].replace(_FIXED, " "), style_of_link)
                line.append("]", self.styles.muted or None)
            self._lines.append(line)

    def line(self, text: str, style: str = "") -> None:
        """Add one line, truncated to the width."""
        self._lines.append(Text(_cut(self._plain(text), self.width, self.styles.cut), style or "", no_wrap=True))

    def fact(self, label: str, text: str, style: str = "", *, label_width: int = LABEL) -> None:
        """Add a label and its value, wrapped in a column after the label."""
        label_width = min(max(label_width, cells(self._plain(label)) + 1), self.width // 2)
        for number, row in enumerate(wrapped(self._plain(text, keep_lines=True), self.width - label_width)):
            line = Text(no_wrap=True)
            line.append(f"{self._plain(label) if number == 0 else '':<{label_width}}", self.styles.label or None)
            line.append(row, style or None)
            self._lines.append(line)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str | Cell]]) -> None:
        """Add a table with headings; the widest column is truncated to fit the width."""
        cleaned = [[self._cell(cell) for cell in row] for row in rows]
        shown = self._fitting(columns, cleaned)
        widths = {i: max([cells(columns[i].heading), *(cells(row[i].text) for row in cleaned)]) for i in shown}
        over = sum(widths.values()) + 2 * (len(shown) - 1) - self.width
        if over > 0:
            widest = max(shown, key=lambda i: widths[i])
            widths[widest] = max(4, widths[widest] - over)
        heading = [Cell(column.heading, self.styles.muted) for column in columns]
        for row in [heading, *cleaned]:
            line = Text(no_wrap=True)
            for place, i in enumerate(shown):
                text = _cut(row[i].text, widths[i], self.styles.cut)
                pad = " " * (widths[i] - cells(text))
                line.append("  " if place else "")
                line.append(pad + text if columns[i].right else text + pad, row[i].style or None)
            line.rstrip()
            self._lines.append(line)

    def _fitting(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[int]:
        shown = [
            i
            for i in range(len(columns))
            if not columns[i].optional or any(row[i].text not in ("", "-") for row in rows)
        ]
        widths = [
            max([cells(column.heading), *(cells(row[i].text) for row in rows)]) for i, column in enumerate(columns)
        ]
        drop_order = [i + 1 if columns[i].optional else 0 for i in shown]
        fitting = fitting_columns([widths[i] for i in shown], drop_order, self.width, gap=2)
        return [shown[place] for place in fitting]

    def _cell(self, cell: str | Cell) -> Cell:
        return Cell(self._plain(cell)) if isinstance(cell, str) else Cell(self._plain(cell.text), cell.style)


def _cut(text: str, width: int, cut: str) -> str:
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 1:
        text = text[:-1]
    return text + cut
