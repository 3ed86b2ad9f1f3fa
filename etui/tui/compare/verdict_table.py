"""The table of verdicts: one row per run, with its ratio and interval on an axis that all rows share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import ClassVar

from rich.style import Style

from etui import text
from etui.charts.forest import NARROWEST, Forest, forest
from etui.charts.palette import Palette
from etui.text import width as cells
from etui.tui.compare.run_messages import RunMoved, RunOpened
from etui.tui.glyphs import TRUST_TONES
from etui.tui.terminal import chart_palette
from etui.tui.widgets.row_painter import Cell, Part, Placed
from etui.tui.widgets.virtual_table import RowList, VirtualTable
from etui.wording.verdict_table import BASELINE, NOT_COMPARABLE, VerdictRow

_TONES = {"faster": "good", "slower": "bad", "unreliable": "warn", "inconclusive": "warn", BASELINE: "faint"}
_NAME, _LEAST_NAME, _PLOT, _LEAST_PLOT, _NOTE, _LEAST_NOTE = 40, 14, 48, 16, 60, 14


class VerdictTable(VirtualTable[VerdictRow]):
    """The cursor is a run, as in the table of metrics."""

    DEFAULT_CSS = "VerdictTable { height: 4; padding: 0 1; }"
    gutter_width: ClassVar[int] = 3
    gap: ClassVar[int] = 2

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: list[VerdictRow] = []
        self._slots: Mapping[str, int] = {}
        self._margin = 0.0
        self._plot: Forest | None = None
        self._palette: Palette | None = None
        self._shown_run: str | None = None

    @property
    def lines_needed(self) -> int:
        """The number of lines that show every row."""
        return self._headings + len(self._rows)

    def show(self, rows: Sequence[VerdictRow], slots: Mapping[str, int], margin: float, run: str) -> None:
        """Show these rows, with the cursor on ``run``; ``slots`` has the slot of each run, ``margin`` is a share."""
        self._rows, self._slots, self._margin = list(rows), slots, margin
        self.source = RowList(self._rows, key=attrgetter("run")) if rows else None
        self._cursor_key = self._shown_run = run
        self.lay_out()
        self.rows_changed()
        self.scroll_to_cursor()

    def put_cursor(self, run: str) -> None:
        """Move the cursor to a run, without a message about it."""
        place = self.source.index_of(run) if self.source is not None else None
        if place is not None and run != self._shown_run:
            self._shown_run = run
            self.move_to(place)

    def cursor_moved(self) -> None:
        """Report the run under the cursor, unless the screen has put it there."""
        row = self.row
        if row is not None and row.run != self._shown_run:
            self._shown_run = row.run
            self.post_message(RunMoved(row.run))

    def row_clicked(self, *, was_current: bool, double: bool) -> None:
        """Open the run on a double click."""
        if double and self.row is not None:
            self.post_message(RunOpened(self.row.run))

    def notify_style_update(self) -> None:
        """Use the colours of the current theme."""
        super().notify_style_update()
        self._palette = None

    # Columns

    def place_columns(self, width: int) -> Sequence[Placed[VerdictRow]]:
        """Return name, median, ratio, plot and verdict, and, if there is room, the interval and the notes."""
        rows, gap = self._rows, self.gap
        median = max(len("median ms"), *(cells(_median(row)) for row in rows))
        ratio = max(5, *(cells(_ratio(row)) + 1 for row in rows))
        bounds = max(len("95 % interval"), *(cells(text.ratio_interval(row.ci95)) for row in rows))
        verdict = max(len("verdict"), *(cells(row.verdict) for row in rows))
        names = min(_NAME, max(cells(text.plain(row.name)) for row in rows))
        reasons = [cells(row.note) for row in rows if row.estimate is None]
        notes = [cells(row.note) for row in rows if row.note and row.estimate is not None]
        left = width - median - ratio - verdict - 4 * gap
        # A whole name says more than the median, which the table of metrics has too.
        has_median = left >= names + _LEAST_PLOT
        left += 0 if has_median else median + gap
        name = min(names, max(_LEAST_NAME, left - max([_LEAST_PLOT, *(min(reason, 24) for reason in reasons)])))
        left -= name
        has_bounds = any(row.ci95 for row in rows) and left - bounds - gap >= _LEAST_PLOT + 8
        left -= bounds + gap if has_bounds else 0
        note = min([_NOTE, max(notes, default=0), left - gap - _LEAST_PLOT - 8])
        note = note if note >= min([_LEAST_NOTE, max(notes, default=_LEAST_NOTE)]) else 0
        left -= note + gap if note else 0
        size = max(NARROWEST, min(_PLOT, left))
        self._plot = forest(
            [row.estimate for row in rows if row.estimate is not None],
            margin=self._margin,
            width=size,
            glyphs=self._colours.glyphs,
        )
        placed: list[Placed[VerdictRow]] = [
            Placed(width=name, cell=lambda row: (text.plain(row.name), ""), title="run")
        ]
        if has_median:
            placed.append(Placed(width=median, cell=lambda row: (_median(row), ""), title="median ms", right=True))
        placed.append(Placed(width=ratio, cell=self._ratio_cell, title="ratio", right=True))
        if has_bounds:
            placed.append(
                Placed(
                    width=bounds,
                    cell=lambda row: (text.ratio_interval(row.ci95) if row.ci95 else "", "faint"),
                    title="95 % interval",
                )
            )
        placed += [
            Placed(width=size, cell=self._plotted, title=self._plot.axis()),
            Placed(width=verdict, cell=_verdict, title="verdict"),
        ]
        if note:
            placed.append(Placed(width=note, cell=_note, title="note"))
        return placed

    def row_signs(self, row: VerdictRow) -> Sequence[Part]:
        """Return the glyph of the run in the charts."""
        palette, slot = self._colours, self._slots.get(row.run, 0)
        style = palette.series[slot]
        return [(palette.glyphs.series[slot], Style.parse(style) if style else ""), (" ", "")]

    @property
    def _colours(self) -> Palette:
        if self._palette is None:
            self._palette = chart_palette(self.app)
        return self._palette

    def _ratio_cell(self, row: VerdictRow) -> Cell:
        """Return the ratio in the colour of the trust in it, with its sign; of a trusted one, that of its verdict."""
        shown = _ratio(row)
        sign = self._glyphs.of_trust(row.trust) if shown else ""
        return f"{shown}{sign}", TRUST_TONES[row.trust] or _TONES.get(row.verdict, "")

    def _plotted(self, row: VerdictRow) -> Cell:
        if self._plot is None:
            return "", ""
        if row.estimate is None:
            return row.note, "faint"
        tone = _TONES.get(row.verdict, "")
        tones = {"": "", "margin": "faint", "interval": TRUST_TONES[row.trust] or tone, "point": tone}
        return [(part, tones[role]) for part, role in self._plot.line(row.estimate)]


def _median(row: VerdictRow) -> str:
    return text.number(row.median_ms)


def _ratio(row: VerdictRow) -> str:
    return text.ratio(row.ratio) if row.ratio is not None else ""


def _verdict(row: VerdictRow) -> Cell:
    return row.verdict, _TONES.get(row.verdict, "faint" if row.verdict == NOT_COMPARABLE else "")


def _note(row: VerdictRow) -> Cell:
    return (row.note if row.estimate is not None else ""), "faint"
