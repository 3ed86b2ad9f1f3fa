"""Draws the rows of a tree table: the headings, and one cell per column, with a fold mark before the label."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from etui.text import plain
from etui.tui.details.bars import bar
from etui.tui.details.tree_rows import GAP, Column, Node, Rows
from etui.tui.glyphs import Glyphs
from etui.tui.runs_columns import arrowed, fitted
from etui.tui.terminal import colours, draws_unicode, glyphs, theme_colour

GUTTER = 2

_TONES = {"faint": "faint", "good": "success", "bad": "error", "warn": "warning", "live": "primary"}


class RowsPainter:
    """Draws rows in the colours of a widget's theme, which it caches."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._styles: dict[str, Style] = {}

    def forget(self) -> None:
        """Drop the cached colours, since the theme changed."""
        self._styles = {}

    def heading(self, rows: Rows, columns: Sequence[tuple[Column, int]], width: int) -> Strip:
        """Return the line of column headings, with an arrow at the sorted column."""
        signs, header = glyphs(self._widget.app), self._style("header")
        segments = [Segment(" " * GUTTER, header)]
        for column, size in columns:
            title, style = column.title, header
            if column.name == rows.sort:
                title, style = arrowed(title, size, signs, descending=rows.descending), self._style("sorted")
            segments.append(Segment(fitted(title, size, signs, right=column.right), style))
            segments.append(Segment(" " * GAP, header))
        return Strip(segments).adjust_cell_length(width, self._widget.rich_style)

    def row(self, rows: Rows, node: Node, columns: Sequence[tuple[Column, int]], width: int, *, here: bool) -> Strip:
        """Return the line of a row; ``here`` means the cursor is on it."""
        signs = glyphs(self._widget.app)
        ground = self._widget.rich_style
        if here:
            ground = self._style("cursor" if self._widget.has_focus else "cursor-blurred")
        segments = [
            Segment(signs.cursor if here else " ", ground + self._style("live") if here else ground),
            Segment(" ", ground),
        ]
        for column, size in columns:
            tone = column.tone(node) if column.tone else ""
            if column.share is not None:
                cell = bar(column.share(node), size, unicode=draws_unicode(self._widget.app))
                tone = tone or "live"
            else:
                cell = (_fold_mark(rows, node, signs) if column.tree else "") + plain(column.cell(node))
            style = ground + self._style(tone) if tone else ground
            segments.append(Segment(fitted(cell, size, signs, right=column.right), style))
            segments.append(Segment(" " * GAP, ground))
        return Strip(segments).adjust_cell_length(width, ground)

    def _style(self, name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            style = self._styles[name] = self._build(name)
        return style

    def _build(self, name: str) -> Style:
        app, own = self._widget.app, self._widget.rich_style
        if name in ("header", "sorted"):
            colour = theme_colour(app, "faint" if name == "header" else "accent")
            return own + Style(color=colour or None, bold=True)
        if name in ("cursor", "cursor-blurred"):
            if colours(app) == "none":
                return own + Style(bold=True)
            ground = theme_colour(app, "cursor" if name == "cursor" else "panel")
            return own + Style(bgcolor=ground or None, bold=name == "cursor")
        colour = theme_colour(app, _TONES[name])
        return Style(color=colour or None, bold=True if name == "bad" else None)


def _fold_mark(rows: Rows, node: Node, signs: Glyphs) -> str:
    if not rows.is_tree:
        return ""
    sign = " " if not node.children else signs.unfolded if rows.is_open(node) else signs.folded
    return f"{'  ' * node.depth}{sign} "
