"""A choice that was measured again and again: the runs of its trend, as the store finds and the analysis reads them.

Milliseconds and ISO 8601 times stand in the fields; what was not measured is None.
"""

from __future__ import annotations

import msgspec

from etui.results import AccuracyVerdict, Interval, Status

UNKNOWN = "not known"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What must be the same for latencies to make one history. The texts name things well enough to tell them apart;
    what is not known is ``UNKNOWN``. ``box`` holds the processor, too: a name alone outlives its machine. ``kept`` are
    the modules that were kept in FP32, ``settings`` the nice level and environment variables that affect speed."""

    model: str
    identity: str
    precision: str
    delegate: str
    weights: str
    inputs: str
    threads: str
    arithmetic: str
    box: str
    kept: str = ""
    settings: str = ""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a history. ``software`` are versions by name, with the CPU governor among them; empty if the run has
    no environment. ``eager_ms`` is the latency of eager in the same session, and ``disturbed`` the share of the
    session's blocks (the run's or eager's, whichever is larger) that something else disturbed."""

    run: str
    session: str
    at: str
    status: Status
    median_ms: float | None = None
    interval_ms: Interval | None = None
    eager_ms: float | None = None
    eager_interval_ms: Interval | None = None
    disturbed: float = 0.0
    mae: float | None = None
    verdict: AccuracyVerdict | None = None
    flags: list[str] = []
    error: str | None = None
    software: dict[str, str] = {}


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The newest ended runs of a choice, oldest first.

    ``total`` counts all of them, those not among ``points`` too. ``left_out`` counts runs of the same model, precision
    and delegate by what they differ in; ``looked_at`` is how many runs that was found among, the newest.
    """

    choice: Choice
    points: list[Point]
    total: int
    left_out: dict[str, int]
    looked_at: int
