"""A forest plot in cells: ratios with their intervals on one logarithmic axis, one line per ratio."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import msgspec

from etui.charts.palette import Glyphs
from etui.charts.scale import Scale, tick_label
from etui.results import Interval
from etui.text import bare_ratio
from etui.text import width as cells

Role = Literal["", "margin", "interval", "point"]

NARROWEST = 12
_SMALLEST_MARGIN = 0.005
_WIDENS = math.log(1.5)
_FRACTIONS_BELOW = 0.1
"""Ticks below this ratio are labelled as fractions, as ratios are printed."""
_LEAST, _MOST = 1e-200, 1e200


Estimate = tuple[float, Interval | None]
"""A ratio, above zero, and its interval if it has one."""


class Forest(msgspec.Struct, frozen=True, kw_only=True):
    """The common axis, the share ``margin`` within which a ratio counts as one, and the width in cells."""

    scale: Scale
    margin: float
    width: int
    glyphs: Glyphs

    def line(self, estimate: Estimate) -> list[tuple[str, Role]]:
        """Return the line of one ratio as texts of ``width`` cells in total, each with what it shows. An end of the
        interval that is beyond the axis is an arrow."""
        glyphs, (ratio, bounds) = self.glyphs, estimate
        drawn: list[tuple[str, Role]] = [(" ", "")] * self.width
        for place in self._margin():
            drawn[place] = (glyphs.mark_line, "margin")
        if bounds is not None:
            low, high = bounds
            first, last = self._column(low), self._column(high)
            for place in range(first, last + 1):
                drawn[place] = (glyphs.axis, "interval")
            if first < last:
                left_is_cut, right_is_cut = low < self.scale.low, high > self.scale.high
                drawn[first] = (glyphs.before if left_is_cut else glyphs.interval_low, "interval")
                drawn[last] = (glyphs.beyond if right_is_cut else glyphs.interval_high, "interval")
        drawn[self._column(ratio)] = (glyphs.program, "point")
        return _joined(drawn)

    def axis(self) -> str:
        """Return the labels of the axis in ``width`` cells: the ratio one first, then what fits beside it."""
        ticks = sorted({1.0, *self.scale.ticks(max(2, self.width // 8))})
        # Closest to one first, so that its label is never displaced.
        labels = [" "] * self.width
        for tick in sorted(ticks, key=lambda tick: abs(math.log(tick))):
            label = "1" if tick == 1 else bare_ratio(tick) if tick < _FRACTIONS_BELOW else tick_label(tick, ticks)
            start = self._column(tick) - cells(label) // 2
            end = start + cells(label)
            around = labels[max(0, start - 1) : end + 1]
            if start >= 0 and end <= self.width and all(character == " " for character in around):
                labels[start:end] = label
        return "".join(labels)

    def _margin(self) -> set[int]:
        return {self._column(1 / (1 + self.margin)), self._column(1 + self.margin)}

    def _column(self, ratio: float) -> int:
        share = min(1.0, max(0.0, self.scale.place(min(_MOST, max(_LEAST, ratio)))))
        return round(share * (self.width - 1))


def forest(estimates: Iterable[Estimate], *, margin: float, width: int, glyphs: Glyphs) -> Forest:
    """Return the plot of these ratios in ``width`` cells.

    The axis contains every ratio, one, and the margin; very wide intervals may extend it only so far that the ratios
    can still be told apart.
    """
    points = [0.0]
    points += [sign * 2 * math.log1p(max(margin, _SMALLEST_MARGIN)) for sign in (-1, 1)]
    ends = []
    for ratio, bounds in estimates:
        points.append(_log(ratio))
        ends += [_log(bound) for bound in bounds or ()]
    low, high = min(points), max(points)
    reach = max(_WIDENS, (high - low) / 2)
    low, high = max(min([low, *ends]), low - reach), min(max([high, *ends]), high + reach)
    room = (high - low) * 0.03
    scale = Scale(low=math.exp(low - room), high=math.exp(high + room), log=True)
    return Forest(scale=scale, margin=margin, width=max(NARROWEST, width), glyphs=glyphs)


def _log(ratio: float) -> float:
    return math.log(min(_MOST, max(_LEAST, ratio)))


def _joined(drawn: list[tuple[str, Role]]) -> list[tuple[str, Role]]:
    parts: list[tuple[str, Role]] = []
    for character, role in drawn:
        if parts and parts[-1][1] == role:
            parts[-1] = (parts[-1][0] + character, role)
        else:
            parts.append((character, role))
    return parts
