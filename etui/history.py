"""The past runs of one configuration: what the store reads and the analysis of a trend works on.

Durations are in milliseconds and times in ISO 8601; what was not measured is None.
"""

from __future__ import annotations

import msgspec

from etui.results import AccuracyVerdict, Interval, Status

UNKNOWN = "not known"


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """The properties that must be equal for runs to belong to one trend.

    Each text distinguishes different values; an unknown one is ``UNKNOWN``. ``box`` is the machine name with the
    processor, since a name can be given to another machine. ``kept`` are the modules kept in FP32, ``settings`` the
    nice level and the environment variables that affect speed. ``shapes`` are the shapes of the inputs, ``dynamic`` is
    the range of a program that takes several, or "yes" if the range is not known, ``method`` the measured method of a
    finished program, if chosen. ``variant`` is the name of the run in its session if it has more than precision and
    delegate; it is displayed, and does not have to be equal.
    """

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
    shapes: str = ""
    dynamic: str = ""
    method: str = ""
    variant: str = ""


class TaskPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The task of a run on labelled images, whose hash is ``images``: the metric of program and eager, from 0 to 1."""

    metric: str
    program: float
    eager: float
    images: str


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a history.

    ``software`` has versions by name, including the CPU governor; empty if the run has no environment. ``eager_ms`` is
    the latency of eager in the same session, and ``disturbed`` the share (0 to 1) of disturbed blocks of the run or of
    eager, whichever is larger.
    """

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
    task: TaskPoint | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The newest ended runs of a configuration, oldest first.

    ``total`` counts all of them, including those not in ``points``. ``omitted`` counts the runs of the same model,
    precision and delegate that have another configuration, by the property in which they differ; ``examined`` is the
    number of runs, the newest, that were examined for this. The names in JSON are older and part of ``etui.trend/1``.
    """

    configuration: Configuration = msgspec.field(name="choice")
    points: list[Point]
    total: int
    omitted: dict[str, int] = msgspec.field(name="left_out")
    examined: int = msgspec.field(name="looked_at")
