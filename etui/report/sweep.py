"""The chart of latency over input size, batch, sequence length or threads as SVG text: one line per configuration."""

from __future__ import annotations

import itertools

from etui.analysis.sweep import Sweep, SweepLine, SweepPoint
from etui.report.svg import EAGER, RIGHT, WIDTH, Scale, colour_of, image, label, line

_LEFT, _TOP, _HEIGHT, _ROW = 70, 16, 260, 18
_MARK = 3.5
_FAR_APART = 4.0


def lines(sweep: Sweep | None, *, per_item: bool = False) -> str:
    """Draw the lines with their intervals and a legend below them. Empty without a sweep, and per item if the batch
    of the runs is not known."""
    if sweep is None or (per_item and not sweep.has_items):
        return ""
    points = [point for each in sweep.lines for point in each.points]
    ends = [_value(point, per_item) for point in points]
    ends += [end for point in points for end in _interval(point, per_item) or ()]
    places = [point.value for point in points]
    across = Scale(min(places), max(places), start=_LEFT, end=WIDTH - RIGHT, far_apart=_FAR_APART)
    bottom = _TOP + _HEIGHT
    up = Scale(min(ends), max(ends), start=bottom, end=_TOP)
    parts = [
        line(_LEFT, bottom, WIDTH - RIGHT, bottom, "currentColor"),
        line(_LEFT, bottom, _LEFT, _TOP, "currentColor"),
    ]
    for value, name in sorted({point.value: point.label for point in points}.items()):
        parts += [line(across.at(value), bottom, across.at(value), bottom + 5, "currentColor")]
        parts += [label(across.at(value), bottom + 18, name, "middle")]
    for mark in up.marks():
        parts += [line(_LEFT - 5, up.at(mark), _LEFT, up.at(mark), "currentColor")]
        parts += [label(_LEFT - 9, up.at(mark) + 4, f"{mark:,.6g}", "end")]
    programs = 0
    for row, each in enumerate(sweep.lines):
        colour = colour_of(programs if each.points[0].run else EAGER)
        programs += bool(each.points[0].run)
        parts += _line(each, across, up, colour, per_item)
        y = bottom + 52 + _ROW * row
        parts += [line(_LEFT, y, _LEFT + 24, y, colour, _dashes(each)), label(_LEFT + 32, y + 4, each.name, "start")]
    unit = "ms per item" if per_item else "ms"
    scale = f"{unit}, logarithmic" if up.is_log else unit
    parts.append(label(WIDTH - RIGHT, bottom + 34, f"{scale}, over {sweep.axis}", "end"))
    return image(parts, bottom + 52 + _ROW * len(sweep.lines), f"{unit} over {sweep.axis}")


def _line(each: SweepLine, across: Scale, up: Scale, colour: str, per_item: bool) -> list[str]:
    parts = []
    places = [(across.at(point.value), up.at(_value(point, per_item))) for point in each.points]
    for (x1, y1), (x2, y2) in itertools.pairwise(places):
        parts.append(line(x1, y1, x2, y2, colour, _dashes(each)))
    for (x, y), point in zip(places, each.points, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_MARK}" fill="{colour}"/>')
        if (bounds := _interval(point, per_item)) is not None:
            parts.append(line(x, up.at(bounds[0]), x, up.at(bounds[1]), colour))
    return parts


def _dashes(each: SweepLine) -> str:
    """Dynamic programs and eager are dashed, so that they differ without colour too."""
    return "2 3" if not each.points[0].run else "6 3" if "dynamic" in each.name.split() else ""


def _value(point: SweepPoint, per_item: bool) -> float:
    return point.per_item_ms if per_item else point.latency_ms


def _interval(point: SweepPoint, per_item: bool) -> tuple[float, float] | None:
    items = point.items if per_item else 1
    return None if point.interval is None else (point.interval[0] / items, point.interval[1] / items)
