"""The chart of latency against accuracy as SVG text: one named point per run, its verdict as the shape of the mark."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from etui.report.svg import RIGHT, WIDTH, Scale, colour_of, image, label, line

_LEFT, _TOP, _HEIGHT, _EXACT = 70, 42, 300, 22
"""Pixels: the left edge of the plot, its top edge, its height, and the band above it for exact results."""
_LINE = 15
_LABEL_LEFT = 0.72
"""From this share of the width on, the name of a point is to its left."""
_ONE = 0.1
_FAR_APART = 5.0
_MARK = 7.0
_ROOM = 24
"""Pixels below the lowest point, in which its name fits."""

_CELL = 6.5
_Box = tuple[float, float, float, float]
"""Left, right, top, bottom in pixels."""

SHAPES = {"PASS": "●", "FAIL": "✕", "UNPROVEN": "◇"}


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A run: median latency in ms with its interval, the accuracy (infinite if exact), and its accuracy verdict."""

    name: str
    latency_ms: float
    value: float
    verdict: str
    low: float | None = None
    high: float | None = None
    colour: int = 0


def scatter(points: Sequence[Point], *, unit: str, eager_ms: float | None = None) -> str:
    """Draw latency from left to right against accuracy, with eager's latency as a dashed line. Empty without points.

    ``unit`` names the accuracy: SQNR in dB, for which higher is better, or MAE, whose axis is reversed, so that better
    is always up.
    """
    if not points:
        return ""
    ends = [end for point in points for end in (point.latency_ms, point.low, point.high) if end is not None]
    ends += [] if eager_ms is None else [eager_ms]
    across = Scale(min(ends), max(ends), start=_LEFT, end=WIDTH - RIGHT, far_apart=_FAR_APART)
    bottom = _TOP + _EXACT + _HEIGHT
    up = _vertical([point.value for point in points if math.isfinite(point.value)], unit, bottom)
    corners = ((_LEFT, _TOP), (WIDTH - RIGHT, bottom))
    parts = [line(_LEFT, bottom, *corner, "currentColor") for corner in corners]
    parts += _axes(across, up, bottom, unit, any(math.isinf(point.value) for point in points))
    if eager_ms is not None:
        at = across.at(eager_ms)
        parts.append(line(at, _TOP, at, bottom, colour_of(-1), "4 3"))
        parts.append(label(at, _TOP - 6, "eager", "middle"))
    places = {id(point): (across.at(point.latency_ms), _height_of(point.value, up)) for point in points}
    mark = None if eager_ms is None else across.at(eager_ms)
    names = _name_places(points, [places[id(point)] for point in points], bottom, mark)
    for point, (x, y), (name_x, name_y, anchor) in zip(points, places.values(), names, strict=True):
        colour = colour_of(point.colour)
        if point.low is not None and point.high is not None:
            parts.append(f'<g opacity=".45">{line(across.at(point.low), y, across.at(point.high), y, colour)}</g>')
        parts += [_mark(x, y, point.verdict, colour), label(name_x, name_y, point.name, anchor)]
    return image(parts, bottom + 42, "Latency against accuracy")


def _vertical(values: Sequence[float], unit: str, bottom: float) -> Scale | None:
    if not values:
        return None
    top = _TOP + _EXACT
    start, end = (top, bottom - _ROOM) if unit == "MAE" else (bottom - _ROOM, top)
    low, high = min(values), max(values)
    if low == high:
        low, high = low * (1 - _ONE), high * (1 + _ONE)
    return Scale(low, high, start=start, end=end)


def _axes(across: Scale, up: Scale | None, bottom: float, unit: str, exact: bool) -> list[str]:
    parts = []
    for value in across.marks():
        at = across.at(value)
        parts += [line(at, bottom, at, bottom + 5, "currentColor"), label(at, bottom + 18, f"{value:,.6g}", "middle")]
    for value in up.marks() if up is not None else []:
        at = up.at(value) if up is not None else 0.0
        parts += [line(_LEFT - 5, at, _LEFT, at, "currentColor"), label(_LEFT - 9, at + 4, f"{value:.4g}", "end")]
    if exact:
        parts.append(label(_LEFT - 9, _TOP + 14, "exact", "end"))
    words = "median latency, ms" + (", logarithmic" if across.is_log else "")
    parts.append(label(WIDTH - RIGHT, bottom + 34, words, "end"))
    better = "lower is better, reversed" if unit == "MAE" else "higher is better"
    parts.append(label(_LEFT, 14, f"{unit} ({better})", "start"))
    return parts


def _height_of(value: float, up: Scale | None) -> float:
    return _TOP + 10 if math.isinf(value) or up is None else up.at(value)


def _name_places(
    points: Sequence[Point], places: Sequence[tuple[float, float]], bottom: float, mark: float | None
) -> list[tuple[float, float, str]]:
    """Return the place and the anchor of each name: next to its point, away from other names and points, and from the
    vertical line at ``mark``."""
    found: dict[int, tuple[float, float, str]] = {}
    taken: list[_Box] = [(x - _MARK, x + _MARK, y - _MARK, y + _MARK) for x, y in places]
    if mark is not None:
        taken.append((mark - 1, mark + 1, _TOP, bottom))
    for index in sorted(range(len(points)), key=lambda one: places[one][1]):
        (x, y), wide = places[index], _CELL * len(points[index].name)
        step = 0
        while True:
            free = [place for place in _candidates(x, y + _LINE * step, wide, bottom) if _is_free(place, wide, taken)]
            if free or step > len(points):
                break
            step += 1
        place = free[0] if free else _candidates(x, y, wide, bottom)[0]
        taken.append(_box(place, wide))
        found[index] = place
    return [found[index] for index in range(len(points))]


def _candidates(x: float, y: float, wide: float, bottom: float) -> list[tuple[float, float, str]]:
    """Return the places for a name, the best first: on the side of the mark with more room, above or below its line."""
    right = [(x + 9, y - 6, "start"), (x + 9, y + 16, "start")]
    left = [(x - 9, y - 6, "end"), (x - 9, y + 16, "end")]
    places = [*left, *right] if x > _LEFT + _LABEL_LEFT * (WIDTH - RIGHT - _LEFT) else [*right, *left]
    inside = [
        place
        for place in places
        if _box(place, wide)[0] > _LEFT and _box(place, wide)[1] < WIDTH and place[1] < bottom - 3
    ]
    return inside or [(x + 9, min(y, bottom - 4), "start")]


def _box(place: tuple[float, float, str], wide: float) -> _Box:
    x, y, anchor = place
    start = x - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
    return start, start + wide, y - 11, y + 3


def _is_free(place: tuple[float, float, str], wide: float, taken: Sequence[_Box]) -> bool:
    left, right, top, bottom = _box(place, wide)
    return not any(left < b and a < right and top < d and c < bottom for a, b, c, d in taken)


def _mark(x: float, y: float, verdict: str, colour: str) -> str:
    if verdict == "FAIL":
        return "".join(line(x - 5, y - 5 * way, x + 5, y + 5 * way, colour) for way in (1, -1))
    if verdict == "UNPROVEN":
        corners = f"{x:.1f},{y - 7:.1f} {x + 7:.1f},{y:.1f} {x:.1f},{y + 7:.1f} {x - 7:.1f},{y:.1f}"
        return f'<polygon points="{corners}" fill="none" stroke="{colour}" stroke-width="2"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'
