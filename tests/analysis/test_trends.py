"""Change points in synthetic histories: none if nothing changed, at the known places if something did, and their
report."""

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
    """Return medians around 5 ms with a standard deviation of ``sd`` from run to run."""
    return [float(value) for value in 5 * np.exp(np.random.default_rng(seed).normal(0, sd, count))]


def stepped(values: list[float], at: int, by: float, until: int | None = None) -> list[float]:
    """Return the values with a step of a share ``by`` from index ``at`` on, or up to ``until``."""
    end = len(values) if until is None else until
    return [value * (1 + by) if at <= place < end else value for place, value in enumerate(values)]


def history(
    medians: list[float | None], *, versions: dict[int, str] | None = None, maes: list[float] | None = None
) -> History:
    """Return runs one day apart; a run without a median failed. ``versions`` are those of ExecuTorch from an index
    on."""
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
def test_unchanged_histories_give_few_false_alarms(count: int, sd: float) -> None:
    # At a false alarm rate of 5 %, more than 20 of 200 have a probability of one in a thousand.
    assert sum(bool(change_points(noisy(count, seed, sd))) for seed in range(200)) <= 20


def test_one_outlier_is_not_a_change() -> None:
    for place in range(20):
        values = noisy(20, seed=3)
        values[place] *= 3
        assert change_points(values) == []


@pytest.mark.parametrize(
    ("count", "at", "by", "sd"),
    [(8, 4, 0.06, 0.005), (12, 6, 0.06, 0.01), (30, 25, 0.06, 0.01), (40, 20, 0.04, 0.01), (20, 10, -0.3, 0.02)],
)
def test_known_step_is_located(count: int, at: int, by: float, sd: float) -> None:
    detected = [change_points(stepped(noisy(count, seed, sd), at, by)) for seed in range(50)]
    assert sum(one == [at] for one in detected) >= 40
    assert all(any(abs(place - at) <= 2 for place in one) for one in detected)


def test_step_up_and_down_gives_two_changes() -> None:
    detected = [change_points(stepped(noisy(30, seed), 10, 0.06, until=20)) for seed in range(20)]
    assert sum(one == [10, 20] for one in detected) >= 18


def test_step_within_the_margin_is_not_a_change() -> None:
    values = stepped(noisy(60, seed=1, sd=0.001), 30, 0.01)
    assert change_points(values) == []
    assert change_points(values, margin=0.005) == [30]


def test_too_few_runs_have_no_changes() -> None:
    assert all(change_points(stepped(noisy(count, 1), count // 2, 0.5)) == [] for count in range(FEWEST))


def test_change_names_the_version_that_came_with_it() -> None:
    medians = stepped(noisy(12, seed=5), 6, 0.06)
    result = trend(history(list(medians), versions={6: "1.5.1"}))
    (change,) = result.changes
    assert change.at == 6 and [(one.name, one.before, one.now) for one in change.software] == [
        ("executorch", "1.5.0", "1.5.1")
    ]
    assert change.ci95 is not None and change.ci95[0] < 1 / 1.06 < change.ci95[1]
    sentences = trend_wording.sentences(result)
    assert sentences[0].startswith("Slower") and not lacking(sentences[0], "%", "executorch 1.5.1", "2026-10-07")
    assert any("MAE" in one and "0.0100" in one for one in sentences)


def test_a_trend_names_the_requested_shape() -> None:
    batches = msgspec.structs.replace(CONFIGURATION, variant="int8/xnnpack batch 4")
    found = trend(msgspec.structs.replace(history([5.0] * 3), configuration=batches))
    assert "resnet18 int8/xnnpack batch 4 takes 5" in " ".join(trend_wording.sentences(found))


def test_version_first_used_by_a_failed_run_is_named() -> None:
    medians: list[float | None] = [*stepped(noisy(14, seed=5), 7, 0.06)]
    medians[7] = None
    result = trend(history(medians, versions={7: "1.5.1"}))
    assert [(one.at, one.software[0].now) for one in result.changes] == [(8, "1.5.1")]
    assert any(not lacking(one, "14 runs", "failed", "2026-10-08") for one in trend_wording.sentences(result))


def test_change_without_a_new_version_is_reported() -> None:
    result = trend(history(list(stepped(noisy(12, seed=5), 6, -0.2))))
    first = trend_wording.sentences(result)[0]
    assert first.startswith("Faster") and "version" in first and "executorch" not in first


def test_changed_mae_is_reported() -> None:
    result = trend(history([5.0, 5.0, 5.0], versions={2: "1.5.1"}, maes=[0.01, 0.0101, 0.02]))
    (moved,) = result.mae_changes
    assert (moved.at, moved.before, moved.after) == (2, 0.0101, 0.02)
    sentences = trend_wording.sentences(result)
    assert any(not lacking(one, "MAE", "0.0101", "0.0200", "executorch 1.5.1", "2026-10-03") for one in sentences)


def test_added_and_removed_packages_are_changes() -> None:
    points = history([5.0, 5.0]).points
    later = Point(
        run="b", session="c", at=points[1].at, status="done", software={"torch": "2.13.0", "openvino": "2026.1"}
    )
    changed = software_changes([points[0], later])
    assert [(one.name, one.before, one.now) for one in changed[1]] == [
        ("executorch", "1.5.0", None),
        ("openvino", None, "2026.1"),
    ]


def test_inconclusive_histories_are_reported(golden: Golden) -> None:
    few: list[list[float | None]] = [[], [None], [5.0], [5.0, 5.1, 5.2], list(noisy(10, seed=1))]
    sentences = [trend_wording.sentences(trend(history(medians)))[0] for medians in few]
    assert len(set(sentences)) == len(few) and "8" in sentences[3] and "10 runs" in sentences[4]
    assert not any(verdict in one for one in sentences for verdict in ("Slower", "Faster", "%"))
    golden("histories", "\n".join(sentences))


def test_omitted_runs_are_counted() -> None:
    shown = history([5.0, 5.1])
    whole = History(
        configuration=CONFIGURATION, points=shown.points, total=300, omitted={"inputs": 3, "box": 1}, examined=304
    )
    sentences = " ".join(trend_wording.sentences(trend(whole)))
    assert not lacking(sentences, "2 of 300 runs", "4 runs of resnet18 int8/xnnpack", "inputs (3)", "(1)")


def test_step_shared_by_eager_is_attributed_to_the_machine() -> None:
    values = stepped(noisy(20, 5), 10, 0.2)
    past = history(list(values))
    for place, point in enumerate(past.points):
        eager = 20.0 * (1.2 if place >= 10 else 1.0)
        past.points[place] = msgspec.structs.replace(point, eager_ms=eager)
    (change,) = trend(past).changes
    assert change.is_of_machine and change.control_ratio == pytest.approx(1 / 1.2)
    text = " ".join(trend_wording.sentences(trend(past)))
    assert "Inconclusive" in text and "eager" in text and "duel" in text
    calm = msgspec.structs.replace(past, points=[msgspec.structs.replace(one, eager_ms=20.0) for one in past.points])
    assert not trend(calm).changes[0].is_of_machine


def test_runs_of_disturbed_sessions_give_no_change() -> None:
    values = stepped(noisy(20, 6), 14, 0.5)
    past = history(list(values))
    loaded = [
        msgspec.structs.replace(point, disturbed=0.5 if place >= 14 else 0.2) for place, point in enumerate(past.points)
    ]
    result = trend(msgspec.structs.replace(past, points=loaded))
    assert result.changes == [] and result.disturbed == list(range(14, 20))
    assert "disturbed" in " ".join(trend_wording.sentences(result))
