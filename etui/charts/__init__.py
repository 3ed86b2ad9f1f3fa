"""Numbers to terminal cells: one pure function a chart, each from plain data to a rich Text of a given size."""

from __future__ import annotations

from etui.charts.blocks import block_strip
from etui.charts.data import Past, Series
from etui.charts.distribution import ecdf, histogram
from etui.charts.grid import Canvas, sentence
from etui.charts.palette import Colours, Palette, palette
from etui.charts.trend import trend_latency, trend_mae

__all__ = [
    "Canvas",
    "Colours",
    "Palette",
    "Past",
    "Series",
    "block_strip",
    "ecdf",
    "histogram",
    "palette",
    "sentence",
    "trend_latency",
    "trend_mae",
]
