"""The verdicts of a comparison in words: a summary where there are many, then a paragraph a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
from rich.text import Text

from etui.analysis.comparison import RunComparison
from etui.charts import Palette
from etui.results import RunDocument
from etui.text import plain
from etui.tui.glyphs import glyphs_of
from etui.tui.terminal import chart_palette, sheet_styles
from etui.tui.text_layout import Styles, wrapped
from etui.tui.widgets.line_view import LineView

SUMMED_FROM = 3
"""From so many others on, a line before the paragraphs counts the verdicts."""


class Paragraph(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one run. ``slot`` None is a remark on the whole, ``verdict`` None a refusal."""

    words: str
    run: str | None = None
    slot: int | None = None
    verdict: str | None = None


def summary(found: Sequence[RunComparison]) -> str:
    """How many others are faster, slower, equivalent, open, or not comparable."""
    counts: Counter[str] = Counter(one.verdict or "refused" for one in found)
    named = {
        "faster": "faster", "slower": "slower", "equivalent": "as fast", "inconclusive": "open",
        "unreliable": "unreliable", "refused": "not comparable",
    }  # fmt: skip
    parts = [f"{counts[verdict]:,} {words}" for verdict, words in named.items() if counts[verdict]]
    return f"Of {len(found):,} runs beside the base: {', '.join(parts)}."


def remarks(runs: Sequence[RunDocument], gone: Sequence[str], broken: Sequence[str]) -> list[str]:
    """What must be known of the runs before anything is said of their speed."""
    said = []
    if gone:
        named = ", ".join(one[:6] for one in gone[:4]) + (f" and {len(gone) - 4:,} more" if len(gone) > 4 else "")
        said.append(
            f"{'Run' if len(gone) == 1 else f'{len(gone):,} runs:'} {named} "
            f"{'is' if len(gone) == 1 else 'are'} no longer in the database."
        )
    said += [f"{words[0].upper()}{words[1:]}." for words in broken[:3]]
    if runs:
        words = "One run is" if len(runs) == 1 else f"{len(runs):,} runs are"
        said.append(
            f"{words} still live: what is said here is of the blocks there are, and is said again as more come."
        )
    return said


class VerdictView(LineView):
    """The paragraphs, wrapped to the width there is; the one of the run under the cursor is marked and in sight."""

    DEFAULT_CSS = "VerdictView { height: 6; padding: 0; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._paragraphs: list[Paragraph] = []
        self._lines: list[tuple[int, bool, str]] = []
        self._first: list[int] = []
        self._cursor: str | None = None
        self._styles: Styles | None = None
        self._palette: Palette | None = None

    def on_mount(self) -> None:
        """Follow the theme."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._forget_styles())

    def _forget_styles(self) -> None:
        self._styles = self._palette = None
        self.refresh()

    @property
    def words(self) -> str:
        """All that is said."""
        return "\n".join(paragraph.words for paragraph in self._paragraphs)

    @property
    def lines_needed(self) -> int:
        """How many lines all paragraphs take at this width."""
        return len(self._lines)

    def show(self, paragraphs: Sequence[Paragraph]) -> None:
        """Show these."""
        self._paragraphs = list(paragraphs)
        self._wrap()

    def point_at(self, run: str | None) -> None:
        """Mark the paragraph of a run and bring it in sight."""
        self._cursor = run
        at = next((place for place, one in enumerate(self._paragraphs) if one.run == run), None)
        if at is not None and self._first:
            last = (self._first[at + 1] if at + 1 < len(self._first) else len(self._lines)) - 1
            height = self.scrollable_content_region.height
            if last < height:
                self.scroll_to(y=0, animate=False, immediate=True)
            elif self._first[at] < self.scroll_offset.y or last >= self.scroll_offset.y + height:
                self.scroll_to(y=self._first[at], animate=False, immediate=True)
        self.refresh()

    def on_resize(self) -> None:
        """Fit the width."""
        self._wrap()

    def row_count(self) -> int:
        """Lines, wrapped."""
        return len(self._lines)

    def row(self, index: int) -> Text:
        """One line: the cursor, the run's glyph, the words."""
        if self._styles is None or self._palette is None:
            self._styles, self._palette = sheet_styles(self.app), chart_palette(self.app)
        styles, palette, signs = self._styles, self._palette, glyphs_of(self)
        number, is_first, words = self._lines[index]
        one = self._paragraphs[number]
        here = one.run is not None and one.run == self._cursor and len(self._paragraphs) > 1
        line = Text(no_wrap=True)
        line.append(signs.cursor if here else " ", styles.heading or None)
        if not is_first:
            line.append("  ")
        elif one.slot is not None:
            line.append(f"{palette.glyphs.series[one.slot]} ", palette.series[one.slot] or None)
        else:
            line.append("  ")
        if one.run is None:
            return line.append(words, styles.strong or None)
        tone = {"faster": styles.good, "slower": styles.bad}.get(one.verdict or "", "")
        if is_first and tone:
            # The answer stands in the first words; those that follow are how it is known.
            answer, bracket, rest = words.partition(" (")
            return line.append(answer, tone).append(bracket + rest)
        return line.append(words)

    def _wrap(self) -> None:
        width = max(20, self.scrollable_content_region.width - 4)
        self._lines, self._first = [], []
        for number, paragraph in enumerate(self._paragraphs):
            self._first.append(len(self._lines))
            for place, words in enumerate(wrapped(plain(paragraph.words), width)):
                self._lines.append((number, place == 0, words))
        self.rows_changed()
        self.point_at(self._cursor)
