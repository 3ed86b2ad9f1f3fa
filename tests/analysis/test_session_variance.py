"""Comparisons across sessions: how often they are wrong, what they detect, and when they are inconclusive."""

from __future__ import annotations

import itertools
import math

import msgspec
import pytest

from etui.analysis import pareto
from etui.analysis.comparison import RunComparison, compare
from etui.analysis.disturbance import causes
from etui.analysis.gates import Limits, check
from etui.analysis.session_level import levels_of
from etui.analysis.session_variance import PRIOR, SessionLatency, session_spread, unusual_sessions
from etui.results import RunDocument
from etui.wording import comparison as comparison_wording
from tests.analysis.comparisons import Machine

SLOWER = "slower"


def compare_pair(base: RunDocument, other: RunDocument, levels: list[SessionLatency] | None = None) -> RunComparison:
    (comparison,) = compare(base, [other], levels=levels or [])
    return comparison


def sentences(comparison: RunComparison, *runs: RunDocument) -> str:
    return " ".join(comparison_wording.sentences(comparison, comparison_wording.names(runs)))


@pytest.mark.slow
@pytest.mark.parametrize("with_history", [False, True])
def test_same_program_in_two_sessions_rarely_differs(with_history: bool) -> None:
    """Every second session has a load on a core, in a random number of its blocks."""
    machine = Machine(1, common_sd=0.008)
    runs = [
        machine.session(
            loaded=number % 7 if number % 2 else 0, eager_loaded=number % 5 if number % 2 else 0, factor=1.6
        )
        for number in range(24)
    ]
    levels = [level for run in runs for level in levels_of(run)] if with_history else []
    verdicts = [compare_pair(base, other, levels).verdict for base, other in itertools.combinations(runs, 2)]
    assert len(verdicts) == 276
    assert sum(verdict in ("faster", "slower") for verdict in verdicts) <= 0.05 * len(verdicts)


@pytest.mark.slow
@pytest.mark.parametrize("with_history", [False, True])
@pytest.mark.parametrize("common_sd", [0.0, 0.005, 0.008])
def test_slowdown_of_a_tenth_between_quiet_sessions_is_detected(common_sd: float, with_history: bool) -> None:
    machine = Machine(2, common_sd=common_sd)
    before = [machine.session(16.0) for _ in range(40)]
    after = [machine.session(17.6, identity="changed") for _ in range(40)]
    levels = [level for run in (*before, *after) for level in levels_of(run)] if with_history else []
    for run in after:
        run.model = before[0].model
    comparisons = [compare_pair(base, other, levels) for base, other in zip(before, after, strict=True)]
    assert sum(pair.verdict == SLOWER for pair in comparisons) >= 0.8 * len(comparisons)
    assert not any(pair.verdict == "faster" for pair in comparisons)


@pytest.mark.slow
@pytest.mark.parametrize(("common_sd", "own_sd"), [(0.008, 0.004), (0.02, 0.01), (0.05, 0.01)])
def test_interval_with_repeated_sessions_covers_the_truth_in_93_to_97_percent(common_sd: float, own_sd: float) -> None:
    covered = pairs = 0
    for seed in range(12):
        machine = Machine(100 + seed, common_sd=common_sd, own_sd=own_sd)
        runs = [machine.session() for _ in range(30)]
        levels = [level for run in runs for level in levels_of(run)]
        for base, other in itertools.pairwise(runs):
            comparison = compare_pair(base, other, levels)
            assert comparison.ci95 is not None
            covered += comparison.ci95[0] <= 1 <= comparison.ci95[1]
            pairs += 1
    assert 0.93 <= covered / pairs <= 0.98


def test_between_session_spread_is_that_of_the_machine() -> None:
    for sd in (0.01, 0.05):
        machine = Machine(3, common_sd=sd, own_sd=0.0)
        levels = [level for _ in range(60) for level in levels_of(machine.session())]
        spread = session_spread(levels)
        assert spread.sessions == 60
        assert spread.sd == pytest.approx(sd, rel=0.25)
    assert session_spread([]) == PRIOR
    assert session_spread(levels_of(machine.session())) == PRIOR


def test_sessions_in_another_state_of_the_machine_do_not_affect_the_spread() -> None:
    """A neighbour on the host makes everything a fifth slower in a quarter of the sessions, which only the controls
    show."""
    machine = Machine(14, common_sd=0.005, own_sd=0.005)
    usual = [machine.session() for _ in range(12)]
    slow = [machine.session(level=1.2) for _ in range(4)]
    levels = [level for run in (*usual, *slow) for level in levels_of(run)]
    assert unusual_sessions(levels) == {run.session.id for run in slow}
    assert session_spread(levels).sd < 0.02
    slower = machine.session(17.6, identity="changed")
    slower.model = usual[0].model
    assert sum(compare_pair(run, slower, levels).verdict == SLOWER for run in usual) >= 0.8 * len(usual)
    across = [compare_pair(run, other, levels) for run in usual for other in slow]
    assert {comparison.verdict for comparison in across} == {"inconclusive"} and all(
        comparison.limits for comparison in across
    )


def test_few_sessions_do_not_determine_the_usual_state() -> None:
    machine = Machine(15, common_sd=0.005, own_sd=0.005)
    runs = [machine.session(), machine.session(), machine.session(level=1.2), machine.session()]
    assert unusual_sessions(level for run in runs for level in levels_of(run)) == set()


def test_disturbed_sessions_do_not_affect_the_spread() -> None:
    assert levels_of(Machine(4).session(loaded=2)) == levels_of(Machine(4).session(eager_loaded=2)) == []
    assert len(levels_of(Machine(4).session(loaded=1))) == 2


@pytest.mark.parametrize("level", [0.9, 1.1, 2.1])
def test_changed_control_makes_the_verdict_inconclusive(level: float) -> None:
    """The whole machine was slower in the second session, as eager and the canary kernel show."""
    machine = Machine(5)
    base, other = machine.session(), machine.session(level=level)
    comparison = compare_pair(base, other)
    assert comparison.verdict == "inconclusive"
    assert comparison.control_ratio == pytest.approx(1 / level, rel=0.05)
    assert comparison.canary_ratio == pytest.approx(1 / level, rel=0.05)
    assert comparison.relative_ratio == pytest.approx(1.0, rel=0.05)
    assert comparison.ratio == pytest.approx(1 / level, rel=0.05)
    text = sentences(comparison, base, other)
    assert "eager" in text and "canary" in text and "duel" in text


def test_changed_eager_alone_makes_the_verdict_inconclusive() -> None:
    machine = Machine(6)
    comparison = compare_pair(machine.session(), machine.session(17.6, eager_level=1.05))
    assert comparison.verdict == "inconclusive" and any("eager" in limit for limit in comparison.limits)


def test_change_not_shared_by_eager_is_detected_absolutely_and_relatively() -> None:
    machine = Machine(7)
    base, other = machine.session(16.0), machine.session(20.0)
    comparison = compare_pair(base, other)
    assert comparison.verdict == SLOWER and not comparison.limits
    for ratio, interval in ((comparison.ratio, comparison.ci95), (comparison.relative_ratio, comparison.relative_ci95)):
        assert ratio == pytest.approx(0.8, rel=0.05) and interval is not None
        assert interval[0] < 0.8 < interval[1]


@pytest.mark.parametrize(
    ("loads", "verdict"),
    [({"loaded": 1}, SLOWER), ({"loaded": 2}, "inconclusive"), ({"eager_loaded": 2}, "inconclusive"),
     ({"loaded": 4}, "unreliable"), ({"eager_loaded": 6}, "unreliable")],
)  # fmt: skip
def test_a_third_of_disturbed_blocks_limits_the_verdict(loads: dict[str, int], verdict: str) -> None:
    machine = Machine(8)
    base, other = machine.session(16.0), machine.session(24.0, **loads)  # type: ignore[arg-type]
    comparison, back = compare_pair(base, other), compare_pair(other, base)
    assert comparison.verdict == verdict
    assert back.verdict == {"slower": "faster"}.get(verdict, verdict)
    if verdict != SLOWER:
        assert "foreign load" in sentences(comparison, base, other) and "duel" in sentences(comparison, base, other)


def test_cpu_pressure_from_own_threads_is_not_a_disturbance() -> None:
    """Three busy threads on two cores also wait for each other on a quiet machine."""
    (block, *_) = Machine(13).session().blocks
    pressed = msgspec.structs.replace(block, cpu_pressure=30.0, cpus=[0, 1], busy_threads=3)
    assert causes(pressed) == []
    assert causes(msgspec.structs.replace(pressed, foreign_cpu_cores=0.08)) == ["CPU pressure"]
    assert causes(msgspec.structs.replace(pressed, busy_threads=2)) == ["CPU pressure"]
    assert causes(msgspec.structs.replace(pressed, busy_threads=None)) == ["CPU pressure"]


def test_limited_comparison_neither_holds_nor_crosses_a_limit_nor_enters_the_front() -> None:
    machine = Machine(9)
    base, other = machine.session(16.0), machine.session(32.0, loaded=6)
    comparison = compare_pair(base, other)
    checks = check(comparison, other, Limits(slower=5))
    assert [result.outcome for result in checks] == ["open"] and "unreliable" in checks[0].detail
    strict = check(comparison, other, Limits(slower=5, inconclusive=True))
    assert [result.outcome for result in strict] == ["open", "crossed"]
    front = pareto.size_front(base, [other], [comparison])
    assert [place.run for place in front.places] == [base.id] and other.id in front.left_out


def test_possibly_equal_latencies_of_two_sessions_do_not_dominate_each_other() -> None:
    machine = Machine(10, common_sd=0.0, own_sd=0.0, block_sd=0.001)
    base, other = machine.session(16.0), machine.session(16.3)
    comparison = compare_pair(base, other)
    front = pareto.size_front(base, [other], [comparison])
    assert all(place.front for place in front.places) and len(front.places) == 2


@pytest.mark.parametrize("side", ["loaded", "eager_loaded"])
def test_ratio_is_unreliable_if_most_blocks_of_a_side_were_disturbed(side: str) -> None:
    machine = Machine(11)
    for disturbed, verdict in ((3, "faster"), (4, "unreliable")):
        run = machine.session(8.0, **{side: disturbed})  # type: ignore[arg-type]
        assert run.speedup is not None and run.speedup.verdict == verdict
        assert bool(run.speedup.reason) == (verdict == "unreliable")
    assert run.speedup is not None and "foreign load" in run.speedup.reason


def test_swapped_runs_of_two_sessions_give_the_opposite_verdict() -> None:
    machine = Machine(12)
    base, other = machine.session(16.0), machine.session(20.0)
    there, back = compare_pair(base, other), compare_pair(other, base)
    assert there.ratio is not None and back.ratio is not None
    assert there.ratio * back.ratio == pytest.approx(1)
    assert there.relative_ratio is not None and back.relative_ratio is not None
    assert there.relative_ratio * back.relative_ratio == pytest.approx(1)
    assert (there.verdict, back.verdict) == ("slower", "faster")
    assert math.isclose(there.p or 0, back.p or 0)
