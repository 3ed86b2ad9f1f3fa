"""Estimate the between-session variance of a machine from sessions of the same configuration and their eager baseline.

Blocks of one session are measured under the same conditions: whatever affected the machine then (another tenant of the
host, heat, memory layout) affects all of them, so the variance between them does not cover other sessions. The variance
between sessions is therefore estimated from configurations that were measured in several sessions, including eager,
which every session has: the pooled variance of their log latencies, minus what the blocks' own noise explains (method
of moments for a one-way random-effects model; Searle, Casella and McCulloch, "Variance Components", 1992, section 3.6).
With few such sessions it is shrunk towards a prior (Smyth, Statistical Applications in Genetics and Molecular Biology
3, 2004, article 3), and the interval uses Student's t with the degrees of freedom of both.

Some machines have more than one state: a virtual machine whose neighbor on the same physical core becomes busy runs
everything up to a quarter slower for a while, which none of its own counters shows. Sessions in another state than the
usual one are identified by their control (``unusual_sessions``) and excluded: they are not evidence of how far two
usual sessions differ, and a comparison with one of them is limited by the control that changed.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence

import msgspec
from scipy.special import stdtrit

PRIOR_SD = 0.01
"""Standard deviation of a session's level on the log scale that is assumed before any session was repeated: that of
sessions on an idle machine whose controls agree within the margin of 2 %."""

PRIOR_DEGREES = 5

OUTLYING_SDS = 4.0
"""A session is unusual if its control differs from the median of the sessions by more than this number of standard
deviations, estimated by the median absolute deviation and at least ``PRIOR_SD``. For normally distributed levels that
is one in 16,000."""

FEWEST_FOR_OUTLYING = 5
"""Smallest number of sessions from which the usual state of the machine is inferred."""

MAD_PER_SD = 0.6745
"""The median absolute deviation of a normal distribution with standard deviation 1."""

HALVES_PER_SD = float(stdtrit(5, 0.975))
"""Ratio of half the width of an interval to the standard deviation of its estimate. Intervals of the usual six blocks
are as wide as with Student's t; dividing by the normal quantile would attribute too much to noise within sessions."""


class SessionLatency(msgspec.Struct, frozen=True, kw_only=True):
    """The latency of one configuration in one session on one machine. ``configuration`` is equal if only the session
    differs; ``half`` is half the width of the latency's 95 % interval on the log scale, from the session's own blocks;
    ``is_control`` marks eager, which every session measures."""

    session: str
    machine: str
    configuration: str
    latency_ms: float
    half: float | None = None
    is_control: bool = False


class SessionSpread(msgspec.Struct, frozen=True, kw_only=True):
    """The standard deviation ``sd`` of a session's level on the log scale, with its degrees of freedom; ``sessions`` is
    the number of sessions from which it was estimated, in addition to the prior."""

    sd: float
    degrees: int
    sessions: int

    @property
    def known(self) -> float:
        """The share of the estimate that comes from observed sessions rather than from the prior, 0 to 1."""
        return 1 - PRIOR_DEGREES / self.degrees

    @property
    def half(self) -> float:
        """Half the width of the 95 % interval of a log ratio that is due to the levels of two sessions."""
        return float(stdtrit(self.degrees, 0.975)) * math.sqrt(2) * self.sd


PRIOR = SessionSpread(sd=PRIOR_SD, degrees=PRIOR_DEGREES, sessions=0)


def session_spread(levels: Iterable[SessionLatency]) -> SessionSpread:
    """Estimate the spread between usual sessions from ``levels``. Each configuration counts once per session."""
    squares, variances, degrees = 0.0, 0.0, 0
    sessions: set[str] = set()
    known = set(levels)
    unusual = unusual_sessions(known)
    for repeated in _by_configuration(level for level in known if level.session not in unusual):
        if len(repeated) < 2:
            continue
        logs = [math.log(level.latency_ms) for level in repeated.values()]
        squares += statistics.variance(logs) * (len(logs) - 1)
        noise = [(level.half / HALVES_PER_SD) ** 2 for level in repeated.values() if level.half is not None]
        variances += statistics.fmean(noise) * (len(logs) - 1) if noise else 0.0
        degrees += len(logs) - 1
        sessions |= repeated.keys()
    if not degrees:
        return PRIOR
    between = max(0.0, (squares - variances) / degrees)
    # The configurations of one session share its conditions, so they are not independent observations.
    observed = min(degrees, len(sessions) - 1)
    total = PRIOR_DEGREES + observed
    return SessionSpread(
        sd=math.sqrt((PRIOR_DEGREES * PRIOR_SD**2 + observed * between) / total), degrees=total, sessions=len(sessions)
    )


def unusual_sessions(levels: Iterable[SessionLatency]) -> set[str]:
    """Return the sessions in which the machine was not in its usual state, judged by their control."""
    unusual: set[str] = set()
    for repeated in _by_configuration(level for level in levels if level.is_control):
        if len(repeated) < FEWEST_FOR_OUTLYING:
            continue
        logs = {session: math.log(level.latency_ms) for session, level in repeated.items()}
        median = statistics.median(logs.values())
        deviation = statistics.median(abs(log - median) for log in logs.values())
        limit = OUTLYING_SDS * max(PRIOR_SD, deviation / MAD_PER_SD)
        unusual |= {session for session, log in logs.items() if abs(log - median) > limit}
    return unusual


def _by_configuration(levels: Iterable[SessionLatency]) -> list[dict[str, SessionLatency]]:
    """Return for each configuration its levels by session, one per session."""
    ordered = sorted(levels, key=lambda level: (level.configuration, level.session, level.latency_ms))
    groups = itertools.groupby(ordered, key=lambda level: level.configuration)
    return [{level.session: level for level in group} for _, group in groups]


def log_half(interval: Sequence[float] | None) -> float | None:
    """Return half the width of a positive quantity's interval on the log scale; None without a positive interval."""
    if interval is None or min(interval) <= 0:
        return None
    return (math.log(interval[1]) - math.log(interval[0])) / 2
