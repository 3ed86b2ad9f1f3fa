"""Option types for finite numbers within the range that the database and calculations support."""

from __future__ import annotations

import math
from typing import Any

import click

from etui.magnitudes import MOST_COUNTED


class Number(click.FloatRange):
    """A finite number within a range. JSON cannot represent infinity and NaN, and a limit of NaN is never crossed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Convert the value. Fails if it is not a number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number", param, ctx)
        return number


class Counts(click.ParamType[tuple[int, ...]]):
    """One or several whole numbers from 1, separated by commas; each is used once."""

    name = "N,.."

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Split at commas. Fails for anything but whole numbers from 1."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",") if part.strip()]
        if not parts:
            self.fail("give at least one number", param, ctx)
        number: Any = Count(min=1)
        return tuple(dict.fromkeys(number.convert(part, param, ctx) for part in parts))


class Count(click.IntRange):
    """A whole number from ``min`` to ``max``."""

    def __init__(self, min: int = 0, max: int = MOST_COUNTED) -> None:
        super().__init__(min, max)

    def _describe_range(self) -> str:
        # The help omits the technical maximum.
        return f"x>={self.min}" if self.max is not None and self.max >= MOST_COUNTED else super()._describe_range()
