"""Draws the rows of the runs table: the gutter with cursor, mark and state, then one cell per column."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from etui.facts import RunSummary
from etui.tui.glyphs import Glyphs
from etui.tui.runs_columns import GAP, Column, arrowed, fitted

GUTTER = 4

Shown = Sequence[tuple[Column, int]]
"""The columns that are shown, each with its width."""


def heading(shown: Shown, sorted_by: str, descending: bool, glyphs: Glyphs, style: Callable[[str], Style]) -> Strip:
    """Return the headings, with an arrow at the sorted column."""
    header, chosen = style("header"), style("sorted")
    segments = [Segment(" " * GUTTER, header)]
    for column, size in shown:
        title, own = column.title.replace("×", glyphs.times), header
        if column.name == sorted_by:
            title, own = arrowed(title, size, glyphs, descending=descending), chosen
        segments.append(Segment(fitted(title, size, glyphs, right=column.right), own))
        segments.append(Segment(" " * GAP, header))
    return Strip(segments)


def row(
    run: RunSummary,
    shown: Shown,
    glyphs: Glyphs,
    style: Callable[[str], Style],
    *,
    here: bool,
    marked: bool,
    pinned: bool,
) -> Strip:
    """Return the line of a run; ``here``: the cursor is on it, ``pinned``: it is the baseline."""
    ground = style("cursor") if here else style("marked") if marked else style("")
    segments = [
        Segment(glyphs.cursor if here else " ", ground + style("live") if here else ground),
        Segment(glyphs.baseline if pinned else glyphs.marked if marked else " ", ground + style("warn")),
        Segment(glyphs.of_status(run.status), ground + style(_tone_of(run))),
        Segment(" ", ground),
    ]
    for column, size in shown:
        text, tone = column.cell(run, glyphs)
        text = fitted(text, size, glyphs, right=column.right, clips=column.clips)
        segments.append(Segment(text, ground + style(tone) if tone else ground))
        segments.append(Segment(" " * GAP, ground))
    return Strip(segments)


def column_at(shown: Shown, x: int) -> Column | None:
    """Return the column at a horizontal position; None if there is none."""
    left = GUTTER
    for column, size in shown:
        if left <= x < left + size + GAP:
            return column
        left += size + GAP
    return None


def _tone_of(run: RunSummary) -> str:
    if run.status in ("queued", "preparing", "measuring"):
        return "live"
    if run.status == "done":
        return "good"
    return "faint" if run.status == "cancelled" else "bad"
