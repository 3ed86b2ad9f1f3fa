"""The types of options that take numbers: finite, and small enough for the database and for what counts with them."""

from __future__ import annotations

import math
from typing import Any

import click

from etui.magnitudes import MOST_COUNTED


class Number(click.FloatRange):
    """A number within a range. Infinity and NaN are within none: JSON cannot hold them, and a limit of NaN is never
    crossed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number. Fails for what is none."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number", param, ctx)
        return number


class Count(click.IntRange):
    """A whole number from ``min`` to ``max``."""

    def __init__(self, min: int = 0, max: int = MOST_COUNTED) -> None:
        super().__init__(min, max)

    def _describe_range(self) -> str:
        # The help need not name an end that nobody comes to.
        return f"x>={self.min}" if self.max is not None and self.max >= MOST_COUNTED else super()._describe_range()
