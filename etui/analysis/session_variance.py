"""Estimate how far a machine's level moves between sessions, from sessions of the same configuration and their eager.

Blocks of one session share its hour: whatever the machine did then (another tenant of the host, heat, memory layout)
is in all of them, so their spread says nothing about another session. The variance between sessions is therefore
estimated from configurations that were measured in several sessions, eager among them, since every session has it: the
pooled variance of their log latencies, less what the blocks' own noise explains (method of moments for a one-way
random-effects model; Searle, Casella and McCulloch, "Variance Components", 1992, section 3.6). With few such sessions
it is shrunk towards a prior (Smyth, Statistical Applications in Genetics and Molecular Biology 3, 2004, article 3), and
the interval uses Student's t with the degrees of freedom of both.

Some machines have more than one state: a virtual machine whose neighbour on the same physical core starts to work runs
everything up to a quarter slower for a while, without any trace in its own counters. Sessions in another state than the
usual one are found by their control (``unusual_sessions``) and left out: they say nothing about how far two usual
sessions differ, and a comparison with one of them is limited by the control that moved.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence

import msgspec
from scipy.special import stdtrit

PRIOR_SD = 0.01
"""Standard deviation of a session's level on the log scale that is assumed before any session was repeated: sessions
of a quiet machine whose controls agree within the margin of 2 %."""

PRIOR_DEGREES = 5

OUTLYING_SDS = 4.0
"""A session is unusual if its control lies further from the median of the sessions than this many standard deviations,
estimated by the median absolute deviation and at least ``PRIOR_SD``. Of normally distributed levels that is one in
16,000."""

FEWEST_FOR_OUTLYING = 5
"""Fewer sessions do not show the usual state of the machine."""

MAD_PER_SD = 0.6745
"""The median absolute deviation of a normal distribution with standard deviation 1."""

HALVES_PER_SD = float(stdtrit(5, 0.975))
"""From half an interval back to the standard deviation of its estimate. Intervals of the usual six blocks are as wide
as Student's t makes them; dividing by the normal quantile would explain too much by noise within sessions."""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """The latency of one configuration in one session on one machine. ``configuration`` is equal if nothing differs but
    the session;
    ``half`` is half the width of the latency's 95 % interval on the log scale, from the session's own blocks;
    ``is_control`` marks eager, which every session measures whatever was asked for."""

    session: str
    machine: str
    configuration: str
    latency_ms: float
    half: float | None = None
    is_control: bool = False


class SessionSpread(msgspec.Struct, frozen=True, kw_only=True):
    """The standard deviation ``sd`` of a session's level on the log scale, with its degrees of freedom; ``sessions`` is
    how many sessions it was estimated from, besides the prior."""

    sd: float
    degrees: int
    sessions: int

    @property
    def known(self) -> float:
        """The share of the estimate that comes from observed sessions rather than from the prior, 0 to 1."""
        return 1 - PRIOR_DEGREES / self.degrees

    @property
    def half(self) -> float:
        """Half the width of the 95 % interval that the level of two sessions adds to a log ratio."""
        return float(stdtrit(self.degrees, 0.975)) * math.sqrt(2) * self.sd


PRIOR = SessionSpread(sd=PRIOR_SD, degrees=PRIOR_DEGREES, sessions=0)


def session_spread(levels: Iterable[Level]) -> SessionSpread:
    """The spread between usual sessions that these levels show. A configuration's levels of one session count once."""
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
    # The configurations of one session share its hour, so they are not that many independent observations.
    observed = min(degrees, len(sessions) - 1)
    total = PRIOR_DEGREES + observed
    return SessionSpread(
        sd=math.sqrt((PRIOR_DEGREES * PRIOR_SD**2 + observed * between) / total), degrees=total, sessions=len(sessions)
    )


def unusual_sessions(levels: Iterable[Level]) -> set[str]:
    """The sessions in which the machine was in another state than usual, as their control shows."""
    found: set[str] = set()
    for repeated in _by_configuration(level for level in levels if level.is_control):
        if len(repeated) < FEWEST_FOR_OUTLYING:
            continue
        logs = {session: math.log(level.latency_ms) for session, level in repeated.items()}
        middle = statistics.median(logs.values())
        deviation = statistics.median(abs(log - middle) for log in logs.values())
        most = OUTLYING_SDS * max(PRIOR_SD, deviation / MAD_PER_SD)
        found |= {session for session, log in logs.items() if abs(log - middle) > most}
    return found


def _by_configuration(levels: Iterable[Level]) -> list[dict[str, Level]]:
    """The levels of each configuration by session, one a session."""
    ordered = sorted(levels, key=lambda level: (level.configuration, level.session, level.latency_ms))
    groups = itertools.groupby(ordered, key=lambda level: level.configuration)
    return [{level.session: level for level in group} for _, group in groups]


def log_half(interval: Sequence[float] | None) -> float | None:
    """Half the width of an interval of a positive quantity on the log scale; None without an interval."""
    if interval is None or min(interval) <= 0:
        return None
    return (math.log(interval[1]) - math.log(interval[0])) / 2
