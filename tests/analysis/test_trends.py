"""Change points in made-up histories: none where nothing changed, the planted ones where it did, and what is said."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from etui.analysis.trends import FEWEST, change_points, software_changes, trend
from etui.history import Configuration, History, Point
from etui.wording import trend as trend_wording
from tests.facts import lacking
from tests.golden import Golden

CONFIGURATION = Configuration(
    model="resnet18", identity="resnet18", precision="int8", delegate="xnnpack", weights="synthetic abab",
    inputs="photos", threads="2", arithmetic="not known", box="bench-1 (A CPU, 2 cores)",
)  # fmt: skip


def noisy(count: int, seed: int, sd: float = 0.01) -> list[float]:
    """Medians around 5 ms that scatter by ``sd`` from run to run."""
    return [float(value) for value in 5 * np.exp(np.random.default_rng(seed).normal(0, sd, count))]


def stepped(values: list[float], at: int, by: float, until: int | None = None) -> list[float]:
    """The same with a step of a share ``by`` from ``at`` on, or up to ``until``."""
    end = len(values) if until is None else until
    return [value * (1 + by) if at <= place < end else value for place, value in enumerate(values)]


def history(
    medians: list[float | None], *, versions: dict[int, str] | None = None, maes: list[float] | None = None
) -> History:
    """Runs a day apart; one without a median failed. ``versions`` are ExecuTorch's from a place on."""
    points, version = [], "1.5.0"
    for place, median in enumerate(medians):
        version = (versions or {}).get(place, version)
        points.append(
            Point(
                run=f"{place:012x}",
                session=f"5e55{place:08x}",
                at=f"2026-10-{place + 1:02d}T10:00:00.000Z",
                status="failed" if median is None else "done",
                median_ms=median,
                interval_ms=None if median is None else (median * 0.99, median * 1.01),
                mae=None if median is None else maes[place] if maes else 0.01,
                error="no kernel" if median is None else None,
                software={} if median is None else {"executorch": version, "torch": "2.13.0"},
            )
        )
    return History(configuration=CONFIGURATION, points=points, total=len(points), omitted={}, examined=len(points))


@pytest.mark.parametrize(("count", "sd"), [(8, 0.03), (12, 0.03), (25, 0.03), (60, 0.03), (40, 0.005)])
def test_histories_in_which_nothing_changed_give_few_alarms(count: int, sd: float) -> None:
    # A test at 5 %: of 200 more than 20 would come once in a thousand times.
    assert sum(bool(change_points(noisy(count, seed, sd))) for seed in range(200)) <= 20


def test_one_odd_run_is_no_change() -> None:
    for place in range(20):
        values = noisy(20, seed=3)
        values[place] *= 3
        assert change_points(values) == []


@pytest.mark.parametrize(
    ("count", "at", "by", "sd"),
    [(8, 4, 0.06, 0.005), (12, 6, 0.06, 0.01), (30, 25, 0.06, 0.01), (40, 20, 0.04, 0.01), (20, 10, -0.3, 0.02)],
)
def test_a_planted_step_is_found_where_it_is(count: int, at: int, by: float, sd: float) -> None:
    found = [change_points(stepped(noisy(count, seed, sd), at, by)) for seed in range(50)]
    assert sum(one == [at] for one in found) >= 40
    assert all(any(abs(place - at) <= 2 for place in one) for one in found)


def test_a_step_there_and_back_makes_two_changes() -> None:
    found = [change_points(stepped(noisy(30, seed), 10, 0.06, until=20)) for seed in range(20)]
    assert sum(one == [10, 20] for one in found) >= 18


def test_a_step_within_the_margin_is_none() -> None:
    values = stepped(noisy(60, seed=1, sd=0.001), 30, 0.01)
    assert change_points(values) == []
    assert change_points(values, margin=0.005) == [30]


def test_too_few_runs_have_no_changes() -> None:
    assert all(change_points(stepped(noisy(count, 1), count // 2, 0.5)) == [] for count in range(FEWEST))


def test_a_change_is_named_by_the_version_that_came_with_it() -> None:
    medians = stepped(noisy(12, seed=5), 6, 0.06)
    found = trend(history(list(medians), versions={6: "1.5.1"}))
    (change,) = found.changes
    assert change.at == 6 and [(one.name, one.before, one.now) for one in change.software] == [
        ("executorch", "1.5.0", "1.5.1")
    ]
    assert change.ci95 is not None and change.ci95[0] < 1 / 1.06 < change.ci95[1]
    said = trend_wording.sentences(found)
    assert said[0].startswith("Slower") and not lacking(said[0], "%", "executorch 1.5.1", "2026-10-07")
    assert any("MAE" in one and "0.0100" in one for one in said)


def test_a_version_that_a_failed_run_had_first_is_still_named() -> None:
    medians: list[float | None] = [*stepped(noisy(14, seed=5), 7, 0.06)]
    medians[7] = None
    found = trend(history(medians, versions={7: "1.5.1"}))
    assert [(one.at, one.software[0].now) for one in found.changes] == [(8, "1.5.1")]
    assert any(not lacking(one, "14 runs", "failed", "2026-10-08") for one in trend_wording.sentences(found))


def test_a_change_without_another_version_says_so() -> None:
    found = trend(history(list(stepped(noisy(12, seed=5), 6, -0.2))))
    first = trend_wording.sentences(found)[0]
    assert first.startswith("Faster") and "version" in first and "executorch" not in first


def test_numbers_that_moved_are_named() -> None:
    found = trend(history([5.0, 5.0, 5.0], versions={2: "1.5.1"}, maes=[0.01, 0.0101, 0.02]))
    (moved,) = found.mae_changes
    assert (moved.at, moved.before, moved.after) == (2, 0.0101, 0.02)
    said = trend_wording.sentences(found)
    assert any(not lacking(one, "MAE", "0.0101", "0.0200", "executorch 1.5.1", "2026-10-03") for one in said)


def test_a_package_that_came_and_one_that_went_are_changes() -> None:
    points = history([5.0, 5.0]).points
    later = Point(
        run="b", session="c", at=points[1].at, status="done", software={"torch": "2.13.0", "openvino": "2026.1"}
    )
    changed = software_changes([points[0], later])
    assert [(one.name, one.before, one.now) for one in changed[1]] == [
        ("executorch", "1.5.0", None),
        ("openvino", None, "2026.1"),
    ]


def test_histories_that_say_little_say_so(golden: Golden) -> None:
    few: list[list[float | None]] = [[], [None], [5.0], [5.0, 5.1, 5.2], list(noisy(10, seed=1))]
    said = [trend_wording.sentences(trend(history(medians)))[0] for medians in few]
    assert len(set(said)) == len(few) and "8" in said[3] and "10 runs" in said[4]
    assert not any(verdict in one for one in said for verdict in ("Slower", "Faster", "%"))
    golden("histories", "\n".join(said))


def test_what_is_not_shown_is_counted() -> None:
    shown = history([5.0, 5.1])
    whole = History(
        configuration=CONFIGURATION, points=shown.points, total=300, omitted={"inputs": 3, "box": 1}, examined=304
    )
    said = " ".join(trend_wording.sentences(trend(whole)))
    assert not lacking(said, "2 of 300 runs", "4 runs of resnet18 int8/xnnpack", "inputs (3)", "(1)")


def test_a_step_that_eager_shares_is_of_the_machine() -> None:
    values = stepped(noisy(20, 5), 10, 0.2)
    found = history(list(values))
    for place, point in enumerate(found.points):
        eager = 20.0 * (1.2 if place >= 10 else 1.0)
        found.points[place] = msgspec.structs.replace(point, eager_ms=eager)
    (change,) = trend(found).changes
    assert change.is_of_machine and change.control_ratio == pytest.approx(1 / 1.2)
    words = " ".join(trend_wording.sentences(trend(found)))
    assert "Inconclusive" in words and "eager" in words and "duel" in words
    calm = msgspec.structs.replace(found, points=[msgspec.structs.replace(one, eager_ms=20.0) for one in found.points])
    assert not trend(calm).changes[0].is_of_machine


def test_runs_of_disturbed_sessions_make_no_change() -> None:
    values = stepped(noisy(20, 6), 14, 0.5)
    found = history(list(values))
    loaded = [
        msgspec.structs.replace(point, disturbed=0.5 if place >= 14 else 0.2)
        for place, point in enumerate(found.points)
    ]
    result = trend(msgspec.structs.replace(found, points=loaded))
    assert result.changes == [] and result.disturbed == list(range(14, 20))
    assert "disturbed" in " ".join(trend_wording.sentences(result))
