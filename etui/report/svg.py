"""Small charts as SVG text: histograms of samples on one scale, and intervals below each other.

The markup is self-contained: no scripts, fonts or links. Text is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import msgspec
import numpy as np
from numpy.typing import NDArray

from etui import text
from etui.magnitudes import bounded

WIDTH, LEFT, RIGHT = 860, 230, 30
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""The palette of Okabe and Ito (2008), safe for colour-blind readers; every row also has its name."""
EAGER, _EAGER_COLOUR = -1, "#888888"
BINS = 60
BEYOND = 99.0
FAR_APART = 20.0
"""From this ratio of the largest to the smallest value on a scale is logarithmic."""
_MOST_MARKS = 12
_LEAST, _MOST = 1e-100, 1e100
"""Values are clipped to these magnitudes: earlier versions may have stored any float."""
_LEAST_SPAN = 1e-9
"""The smallest span of a scale, as a share of its values: closer marks could not be distinguished."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The latency samples of a run or of eager, with the colour as in ``Bar``."""

    name: str
    values: Sequence[float]
    colour: int = 0


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One row of an interval plot: the estimate, and its interval if it has one.

    ``colour`` is the index of its run, so that a run has the same colour in every chart; ``EAGER`` for eager.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    colour: int = 0


def colour_of(index: int) -> str:
    """Return the colour of the run with an index, or of eager."""
    return _EAGER_COLOUR if index == EAGER else COLOURS[index % len(COLOURS)]


def histograms(series: Sequence[Series], *, unit: str = "ms") -> str:
    """Draw one histogram per row on one scale, with the median as a line; the slowest 1 % does not affect the scale.

    Empty if no row has samples.
    """
    shown = [
        (colour_of(one.colour), one.name, np.clip(np.asarray(one.values, dtype=np.float64), -_MOST, _MOST))
        for one in series
        if len(one.values)
    ]
    if not shown:
        return ""
    low = min(float(values.min()) for _, _, values in shown)
    high = max(float(np.percentile(values, BEYOND)) for _, _, values in shown)
    scale = Scale(low, high)
    height, parts = 64, []
    for row, (colour, name, values) in enumerate(shown):
        top = row * height + 8
        counts, edges = np.histogram(values, bins=scale.edges(BINS))
        most = max(int(counts.max()), 1)
        for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
            if count:
                tall = (height - 16) * int(count) / most
                parts.append(
                    f'<rect x="{scale.at(left):.1f}" y="{top + height - 16 - tall:.1f}" '
                    f'width="{max(0.5, scale.at(right) - scale.at(left) - 0.5):.1f}" height="{tall:.1f}" '
                    f'fill="{colour}"/>'
                )
        median = scale.at(float(np.median(values)))
        parts.append(line(median, top - 4, median, top + height - 16, "currentColor"))
        middle = top + (height - 16) / 2
        parts.append(label(LEFT - 10, middle, name, "end"))
        parts.append(label(LEFT - 10, middle + 15, text.counted(len(values), "sample"), "end"))
    return drawing(parts, len(shown) * height, scale, unit, "Histograms of the latency samples")


def intervals(bars: Sequence[Bar], *, unit: str, mark: float | None = None) -> str:
    """Draw one point per row with its interval on one scale, and a dashed line at ``mark``. Empty without rows."""
    if not bars:
        return ""
    ends = [end for bar in bars for end in (bar.value, bar.low, bar.high) if end is not None]
    ends += [] if mark is None else [mark]
    scale, height, parts = Scale(min(ends), max(ends)), 28, []
    if mark is not None:
        at = scale.at(mark)
        parts.append(line(at, 0, at, len(bars) * height, "currentColor", "4 3"))
    for row, bar in enumerate(bars):
        middle, colour = row * height + height / 2, colour_of(bar.colour)
        if bar.low is not None and bar.high is not None:
            left, right = scale.at(bar.low), scale.at(bar.high)
            parts.append(line(left, middle, right, middle, colour))
            parts += [line(end, middle - 5, end, middle + 5, colour) for end in (left, right)]
        parts.append(f'<circle cx="{scale.at(bar.value):.1f}" cy="{middle:.1f}" r="4" fill="{colour}"/>')
        parts.append(label(LEFT - 10, middle + 4, bar.name, "end"))
    return drawing(parts, len(bars) * height, scale, unit, "Estimates with their 95 % intervals")


class Scale:
    """A scale from values to the pixels from ``start`` to ``end`` with round marks; logarithmic if the values are
    positive and their ratio exceeds ``far_apart``."""

    def __init__(
        self, low: float, high: float, *, start: float = LEFT, end: float = WIDTH - RIGHT, far_apart: float = FAR_APART
    ) -> None:
        self._start, self._end = start, end
        low, high = bounded(low, _MOST), bounded(high, _MOST)
        self.is_log = low > 0 and high / max(low, _LEAST) > far_apart
        if self.is_log:
            low, high = math.log10(max(low, _LEAST)), math.log10(high)
        room = (high - low) * 0.04 or abs(high) * 0.05 or 1.0
        room = max(room, _LEAST_SPAN * max(abs(low), abs(high)), _LEAST)
        self._low, self._high = low - room, high + room

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        value = bounded(value, _MOST)
        place = math.log10(max(value, _LEAST)) if self.is_log else value
        return self._start + (place - self._low) / (self._high - self._low) * (self._end - self._start)

    def edges(self, count: int) -> NDArray[np.float64]:
        """Return the edges of ``count`` bins of equal width on the screen."""
        places = np.linspace(self._low, self._high, count + 1)
        found: NDArray[np.float64] = 10.0**places if self.is_log else places
        return found

    def marks(self) -> list[float]:
        """Return round values for the marks of the axis."""
        if self.is_log:
            decades = range(math.floor(self._low), math.ceil(self._high) + 1)
            steps = (1, 2, 5) if self._high - self._low < 2.5 else (1,)
            round_ones = [by * 10.0**power for power in decades for by in steps]
            shown = [one for one in round_ones if one > 0 and self._low <= math.log10(one) <= self._high]
            return shown[:: max(1, math.ceil(len(shown) / _MOST_MARKS))]
        step = 10 ** math.floor(math.log10((self._high - self._low) / 4))
        step = next(step * by for by in (1, 2, 5, 10) if (self._high - self._low) / (step * by) <= 7)
        return [number * step for number in range(math.ceil(self._low / step), math.floor(self._high / step) + 1)]


def drawing(parts: Sequence[str], height: int, scale: Scale, unit: str, title: str) -> str:
    """Return an image of rows of marks, ``height`` pixels high, with the axis of ``scale`` below them."""
    axis = [line(LEFT, height, WIDTH - RIGHT, height, "currentColor")]
    for value in scale.marks():
        at = scale.at(value)
        axis.append(line(at, height, at, height + 5, "currentColor"))
        axis.append(label(at, height + 18, f"{value:,.6g}", "middle"))
    axis.append(label(WIDTH - RIGHT, height + 34, f"{unit}, logarithmic" if scale.is_log else unit, "end"))
    return image([*parts, *axis], height + 42, title)


def image(parts: Iterable[str], height: int, title: str) -> str:
    """Return an SVG element of ``WIDTH`` and ``height``, named for screen readers."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" font-size="12" fill="currentColor">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def line(x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = "") -> str:
    """Return a line, dashed as ``dashes`` says."""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="1.5"{dashed}/>'
    )


def label(x: float, y: float, words: str, anchor: str) -> str:
    """Return a text, escaped; ``anchor`` is start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text.plain(words))}</text>'
