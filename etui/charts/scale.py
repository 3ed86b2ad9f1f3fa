"""Linear and logarithmic axes: the position of a value, and the ticks.

Any float has a position: stored values may be of any magnitude, and must not raise an error.
"""

from __future__ import annotations

import itertools
import math

import msgspec

from etui.magnitudes import bounded

_LEAST, _MOST = 1e-200, 1e200
"""Values are clamped to these magnitudes, so that no difference or quotient of two values overflows."""
_LEAST_SPAN = 1e-9
"""The minimum span relative to the values: closer ticks would have the same digits."""


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """An axis from ``low`` to ``high``; both are positive if ``log``. An axis of ``whole`` numbers, such as counts, has
    no ticks between them."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def place(self, value: float) -> float:
        """Return the position of a value: 0 at ``low``, 1 at ``high``; minus infinity if it has no logarithm."""
        low, high = self._end(self.low), self._end(self.high)
        if self.log and value <= 0:
            return -math.inf
        return (self._end(value) - low) / (high - low) if high > low else 0.5

    def ticks(self, most: int) -> list[float]:
        """Return up to about ``most`` round values within the axis, in ascending order."""
        most = max(most, 2)
        if self.high <= self.low:
            return [self.low]
        if self.log and self.high / self.low >= 4:
            return _log_ticks(self.low, self.high, most)
        ticks = _linear_ticks(self.low, self.high, most)
        return [tick for tick in ticks if tick.is_integer()] if self.whole else ticks

    def _end(self, value: float) -> float:
        value = bounded(value, _MOST)
        return math.log10(max(value, _LEAST)) if self.log else value


def scale_over(values: list[float], *, log: bool = False, margin: float = 0.04) -> Scale:
    """Return a scale that contains all ``values`` (at least one), with a margin at both ends."""
    values = [bounded(value, _MOST) for value in values]
    if log:
        values = [value for value in values if value > _LEAST] or [1.0]
        low, high = min(values), max(values)
        room = max(10 ** (margin * (math.log10(high) - math.log10(low))), 1.02)
        return Scale(low=low / room, high=high * room, log=True)
    low, high = min(values), max(values)
    room = (high - low) * margin or abs(high) * 0.05 or 1.0
    low, high = low - room, high + room
    lacking = max(_LEAST, _LEAST_SPAN * max(abs(low), abs(high))) - (high - low)
    if lacking > 0:
        low, high = low - lacking, high + lacking
    return Scale(low=low, high=high)


def tick_label(value: float, ticks: list[float]) -> str:
    """Format a tick's value with enough digits to distinguish it from its neighbours."""
    if value == 0:
        return "0"
    gaps = [after - before for before, after in itertools.pairwise(ticks)]
    # Ticks over decades are round numbers; those at equal steps need enough digits to differ.
    even = bool(gaps) and max(gaps) <= 5 * min(gaps) and (len(gaps) > 1 or ticks[0] <= 0 or ticks[1] < 10 * ticks[0])
    step = min(gaps) if even else abs(value)
    finest = math.floor(math.log10(step) + 1e-9)
    sizes = [abs(tick) for tick in ticks if tick]
    if max(sizes) >= 1e7 or (max if even else min)(sizes) < 1e-3 or finest < -4:
        digits = max(0, math.floor(math.log10(abs(value)) + 1e-9) - finest)
        mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:,.{max(0, -finest)}f}"


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    raw = (high - low) / most
    magnitude = 10.0 ** math.floor(math.log10(raw))
    steps = [factor * magnitude for factor in (0.5, 1, 2, 5, 10, 20)]
    at = next(index for index, step in enumerate(steps) if step >= raw * (1 - 1e-9))
    for step in (steps[at], steps[max(0, at - 1)]):
        first = math.ceil(low / step - 1e-9)
        last = math.floor(high / step + 1e-9)
        # A step as long as the axis may have no multiple within it.
        if first <= last:
            break
    return [float(f"{count * step:.12g}") for count in range(first, last + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if 2 <= len(ticks) <= most:
            return ticks
    stride = max(1, math.ceil(len(ticks) / most))
    return ticks[::stride] or [low, high]
