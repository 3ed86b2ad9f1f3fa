"""All terminal charts: one pure function per chart, from plain data to a rich Text of a given size."""

from __future__ import annotations

from etui.charts.blocks import block_strip
from etui.charts.data import SLOTS, Past, Series
from etui.charts.depth import depth
from etui.charts.distribution import ecdf, histogram
from etui.charts.grid import Canvas, centred_message
from etui.charts.overlay import Overlaid, overlaid_blocks, overlaid_ecdf, overlaid_histograms
from etui.charts.palette import Colours, Palette, palette
from etui.charts.past_runs import trend_latency, trend_mae
from etui.charts.scatter import DECADE, Dot, scatter
from etui.charts.sparkline import sparkline
from etui.charts.sweep import Line, sweep_lines
from etui.charts.trend import Dated, Step, trend_points

__all__ = [
    "DECADE",
    "SLOTS",
    "Canvas",
    "Colours",
    "Dated",
    "Dot",
    "Line",
    "Overlaid",
    "Palette",
    "Past",
    "Series",
    "Step",
    "block_strip",
    "centred_message",
    "depth",
    "ecdf",
    "histogram",
    "overlaid_blocks",
    "overlaid_ecdf",
    "overlaid_histograms",
    "palette",
    "scatter",
    "sparkline",
    "sweep_lines",
    "trend_latency",
    "trend_mae",
    "trend_points",
]
