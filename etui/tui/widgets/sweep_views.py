"""The chart views of runs that differ in input size, batch, sequence length or threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from etui.analysis.sweep import Sweep, SweepPoint
from etui.charts.grid import Canvas

if TYPE_CHECKING:
    from etui.charts.sweep import Step

SWEEP_VIEWS = ("shape", "per item")
"""Latency, and latency per item, over what varies."""
NO_SWEEP = "The runs do not differ in input size, batch, sequence length or threads."
NO_ITEMS = "The latency per item needs runs with a requested batch that differ in shape or threads."


def sweep_views(sweep: Sweep | None) -> tuple[str, ...]:
    """Return the names of the views that a sweep has; none without one."""
    return () if sweep is None else SWEEP_VIEWS[: 2 if sweep.has_items else 1]


def draw_sweep(sweep: Sweep, canvas: Canvas, *, per_item: bool, log: bool) -> Text:
    """Draw the latency, or the latency per item, of each line."""
    # Imported here to keep it out of the time until the first paint.
    from etui.charts.sweep import Line, sweep_lines

    lines = [
        Line(
            name=line.name,
            steps=[_step(point, point.items if per_item else 1) for point in line.points],
        )
        for line in sweep.lines
    ]
    unit = "ms per item" if per_item else "ms"
    return sweep_lines(lines, canvas, axis=sweep.axis, unit=unit, log=log)


def _step(point: SweepPoint, items: int) -> Step:
    from etui.charts.sweep import Step

    bounds = None if point.interval is None else (point.interval[0] / items, point.interval[1] / items)
    return Step(at=point.value, label=point.label, value=point.latency_ms / items, interval=bounds)
