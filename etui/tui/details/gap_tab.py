"""The Gap tab of the details: the numerical error along the layers of the program, and which layer causes it."""

from __future__ import annotations

from rich.text import Text

from etui.analysis_kinds.gap import GAP
from etui.insight import NumericGap
from etui.text import counted
from etui.tui.details.analysis_tab import AnalysisTab
from etui.tui.details.gap import (
    Figure,
    figures_of,
    gap_head,
    gap_rows,
    gap_tail,
    layer_page,
    module_of,
)
from etui.tui.details.loader import Reading
from etui.tui.details.table_tab import TableTab
from etui.tui.details.tree_rows import Node, Rows
from etui.tui.terminal import chart_palette
from etui.tui.text_layout import Styles


class GapTab(TableTab, AnalysisTab):
    """Shows a numeric gap, or how to start the analysis that measures it."""

    kind = GAP
    placeholder = "layer, module or operator; -word excludes"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._gap: NumericGap | None = None
        self._figure = 0

    @property
    def figure(self) -> Figure:
        """The figure that the chart draws."""
        if self._gap is None:
            return "sqnr"
        figures = figures_of(self._gap)
        return figures[self._figure % len(figures)]

    @property
    def module(self) -> str:
        """The module to keep in FP32: the suggested one, or that of the row under the cursor; empty for none."""
        return module_of(self._gap, self.view.node) if self._gap else ""

    def show(self, reading: Reading) -> None:
        """Show this run's numeric gap."""
        gap = GAP.result_in(reading.document)
        if gap is None:
            self._gap = None
            self.view.show(None, self.missing(reading))
        elif gap != self._gap:
            self._gap = gap
            self.view.kinds_of_view = len(figures_of(gap))
            self._draw(self.keep_filter(gap_rows(gap)))
        self.write_foot()

    def next_view(self) -> None:
        """Draw the next figure: SQNR, mean squared error, contribution."""
        if self._gap is not None and self.view.rows is not None:
            self._figure = (self._figure + 1) % len(figures_of(self._gap))
            self._draw(self.view.rows)

    def _draw(self, rows: Rows) -> None:
        gap, figure = self._gap, self.figure
        if gap is None:
            return
        self.view.show(
            rows,
            lambda width, styles: gap_head(
                gap, figure, chart_palette(self.app), width, _chart_height(self.app.size.height), styles
            ),
            lambda width, styles: gap_tail(gap, width, styles),
        )

    def foot(self, node: Node | None, width: int, styles: Styles, most: int) -> Text:
        """Return the source of the layer."""
        return layer_page(node, width, styles, most)

    def match_summary(self, rows: Rows) -> str:
        """Return the number of matching layers."""
        return counted(len(rows.matching()), "layer")


def _chart_height(terminal: int) -> int:
    return max(7, min(14, terminal // 4))
