"""The text of a comparison: remarks on the runs, then the sentences about the run under the cursor."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import msgspec
from rich.text import Text

from etui.analysis.comparison import RunComparison
from etui.charts.palette import Palette
from etui.results import RunDocument
from etui.text import counted, plain, wrapped
from etui.tui.terminal import chart_palette, sheet_styles
from etui.tui.text_layout import Styles
from etui.tui.widgets.line_view import LineView

SUMMED_FROM = 3
"""From this number of compared runs on, the title counts the verdicts."""
_CELLS_OF_A_BREAK = 3
"""The cells of a wrapped line that stay empty on average."""


class Paragraph(msgspec.Struct, frozen=True, kw_only=True):
    """The text about one run, which has a ``slot``, or a remark on all runs. The ``verdict`` colours the words before
    the evidence."""

    text: str
    run: str | None = None
    slot: int | None = None
    verdict: str | None = None


def summary(comparisons: Sequence[RunComparison]) -> str:
    """Return the number of runs, and for several the number of each verdict."""
    runs = counted(len(comparisons), "run")
    if len(comparisons) < SUMMED_FROM:
        return runs
    counts: Counter[str] = Counter(comparison.verdict or "not comparable" for comparison in comparisons)
    verdicts = ("faster", "slower", "equivalent", "inconclusive", "unreliable", "not comparable")
    parts = [f"{counts[verdict]:,} {verdict}" for verdict in verdicts if counts[verdict]]
    return f"{runs}: {', '.join(parts)}"


def remarks(runs: Sequence[RunDocument], gone: Sequence[str], broken: Sequence[str]) -> list[str]:
    """Return remarks on deleted, unreadable and unfinished (``runs``) runs."""
    notes = []
    if gone:
        ids = ", ".join(run_id[:6] for run_id in gone[:4]) + (f" and {len(gone) - 4:,} more" if len(gone) > 4 else "")
        notes.append(
            f"Run {ids} is no longer in the database."
            if len(gone) == 1
            else f"{len(gone):,} runs are no longer in the database: {ids}."
        )
    notes += [f"{message[0].upper()}{message[1:]}." for message in broken[:3]]
    if runs:
        subject = "One run is" if len(runs) == 1 else f"{len(runs):,} runs are"
        notes.append(
            f"{subject} not finished: results are provisional and update as blocks complete; x stops the measurement."
        )
    return notes


class VerdictView(LineView):
    """The paragraphs, wrapped to the width."""

    DEFAULT_CSS = "VerdictView { height: 4; padding: 0; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._paragraphs: list[Paragraph] = []
        self._lines: list[tuple[int, bool, str]] = []
        self._longest = 0
        self._text_styles: Styles | None = None
        self._palette: Palette | None = None

    def notify_style_update(self) -> None:
        """Use the colours of the current theme."""
        super().notify_style_update()
        self._text_styles = self._palette = None

    @property
    def text(self) -> str:
        """The text of all paragraphs."""
        return "\n".join(paragraph.text for paragraph in self._paragraphs)

    @property
    def lines_needed(self) -> int:
        """The number of lines of all paragraphs at this width, if that about a run is the longest."""
        about_run = sum(self._paragraphs[number].run is not None for number, _, _ in self._lines)
        # Lines end at words, so that they hold a little less than their width.
        longest = math.ceil(self._longest / (self._wrap_width - _CELLS_OF_A_BREAK)) if about_run else 0
        return len(self._lines) - about_run + max(about_run, longest)

    @property
    def _wrap_width(self) -> int:
        return max(20, self.scrollable_content_region.width - 4)

    def show(self, paragraphs: Sequence[Paragraph], *, longest: int = 0) -> None:
        """Show these paragraphs; from the beginning, if they are others. ``longest`` is the length of the longest
        paragraph about any run: the view does not change its height with the run."""
        self._longest = longest
        is_other = [paragraph.run for paragraph in paragraphs] != [paragraph.run for paragraph in self._paragraphs]
        self._paragraphs = list(paragraphs)
        self._wrap()
        if is_other:
            self.scroll_rows_to(0)

    def lay_out(self) -> None:
        """Fit the width."""
        super().lay_out()
        self._wrap()

    def line_count(self) -> int:
        """Return the number of wrapped lines."""
        return len(self._lines)

    def line(self, index: int) -> Text:
        """Return one line: the run's glyph, the text."""
        if self._text_styles is None or self._palette is None:
            self._text_styles, self._palette = sheet_styles(self.app), chart_palette(self.app)
        styles, palette = self._text_styles, self._palette
        number, is_first, text = self._lines[index]
        paragraph = self._paragraphs[number]
        line = Text(" ", no_wrap=True)
        if is_first and paragraph.slot is not None:
            line.append(f"{palette.glyphs.series[paragraph.slot]} ", palette.series[paragraph.slot] or None)
        else:
            line.append("  ")
        if paragraph.slot is None:
            return line.append(text, styles.strong or None)
        tone = {"faster": styles.good, "slower": styles.bad}.get(paragraph.verdict or "", "")
        if is_first and tone:
            # The verdict comes before the bracket, the evidence in it.
            verdict, bracket, rest = text.partition(" (")
            return line.append(verdict, tone).append(bracket + rest)
        return line.append(text)

    def _wrap(self) -> None:
        width = self._wrap_width
        self._lines = [
            (number, place == 0, text)
            for number, paragraph in enumerate(self._paragraphs)
            for place, text in enumerate(wrapped(plain(paragraph.text), width))
        ]
        self.rows_changed()
