"""One figure of a benchmark: the measured value, both sides of the ratio, and the limit."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """``value`` must not exceed ``limit``; ``detail`` describes how it was measured."""

    what: str
    value: float
    limit: float
    unit: str = "x"
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Whether the value is within the limit."""
        return self.value <= self.limit


def ratio(what: str, ours_s: Sequence[float], theirs_s: Sequence[float], limit: float, theirs: str) -> Figure:
    """Return the median of paired ratios of two series in seconds, timed in turn."""
    pairs = [ours / other for ours, other in zip(ours_s, theirs_s, strict=True)]
    return Figure(
        what,
        statistics.median(pairs),
        limit,
        detail=f"median {statistics.median(ours_s):.3f} s against {statistics.median(theirs_s):.3f} s of {theirs}, "
        f"{len(pairs)} pairs",
    )


def timed(command: Sequence[str], environment: Mapping[str, str] | None = None) -> float:
    """Return the seconds that a command takes as a whole process."""
    start = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def table(figures: Sequence[Figure]) -> str:
    """Return the figures, one line per figure."""
    width = max(len(figure.what) for figure in figures)
    return "\n".join(
        f"{'ok  ' if figure.holds else 'OVER'}  {figure.what:<{width}}  {figure.value:8.3f} {figure.unit:<5}"
        f"limit {figure.limit:g} {figure.unit:<5} {figure.detail}"
        for figure in figures
    )
