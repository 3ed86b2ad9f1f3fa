"""The Latency tab of the details: the statistics, the chart, and the blocks below it."""

from __future__ import annotations

from textual.app import ComposeResult

from etui.tui.details.latency import blocks_page, statistics_page
from etui.tui.details.loader import Reading
from etui.tui.details.text_view import Page, Paper
from etui.tui.widgets.chart_pane import ChartPane


class LatencyTab(Page):
    """Statistics, chart and blocks, which scroll together."""

    DEFAULT_CSS = """
    LatencyTab ChartPane { height: 40vh; min-height: 10; max-height: 22; margin: 1 0 0 0; }
    """

    def compose(self) -> ComposeResult:
        """Statistics, chart, blocks."""
        yield Paper(id="statistics")
        yield ChartPane()
        yield Paper(id="blocks")

    def show(self, reading: Reading) -> None:
        """Show this run."""
        document = reading.document
        self.query_one("#statistics", Paper).write(lambda width, styles: statistics_page(document, width, styles))
        self.query_one("#blocks", Paper).write(lambda width, styles: blocks_page(document, width, styles))
        self.query_one(ChartPane).show_run(document, reading.past)
