"""Charts of several runs, scatter plots and histories: each run has its glyph, and changes are marked."""

from __future__ import annotations

import itertools
import math
import re

import pytest

from etui.charts import drawing as charts
from etui.charts.drawing import Dated, Dot, Overlaid, Series
from etui.charts.overlay import NOTHING
from tests.charts.series import DATED, DOTS, LEVELS, SIX
from tests.charts.test_charts import canvas

GLYPHS = "◆●■▲○□"


@pytest.mark.parametrize("draw", [charts.overlaid_histograms, charts.overlaid_ecdf, charts.overlaid_blocks])
def test_each_run_has_its_glyph_and_name(draw: object) -> None:
    assert callable(draw)
    drawn = draw(SIX, canvas(110, 16)).plain
    for run in SIX:
        assert f"{GLYPHS[run.slot]} {run.series.name}" in drawn
    fewer = draw([SIX[0], SIX[4]], canvas(110, 16)).plain
    assert "○ int8/openvino" in fewer and "●" not in fewer


def test_runs_without_samples_are_omitted_or_reported() -> None:
    empty = Overlaid(series=Series(name="summary", blocks=[]), slot=1)
    assert "summary" not in charts.overlaid_histograms([SIX[0], empty], canvas(100, 12)).plain
    for draw in (charts.overlaid_histograms, charts.overlaid_ecdf, charts.overlaid_blocks):
        assert " ".join(draw([empty], canvas(120, 10)).plain.split()) == NOTHING


def test_histograms_that_do_not_fit_are_counted() -> None:
    assert "3 more" in charts.overlaid_histograms(SIX, canvas(80, 5)).plain


def test_block_medians_are_drawn_at_their_block_and_value() -> None:
    blocks = [[10.0] * 5, [11.0] * 5]
    run = Overlaid(series=Series(name="a", blocks=blocks, numbers=[0, 4], median=10.0), slot=0)
    lines = charts.overlaid_blocks([run], canvas(60, 14)).plain.split("\n")
    axis, labels = lines[-2], lines[-1]
    assert [word for word in labels.split() if word.isdigit()] == ["1", "5"]
    marks = [(line.index("◆", 8), y) for y, line in enumerate(lines[1:-2]) if "◆" in line[8:]]
    assert len(marks) == 2 and marks[0][0] > marks[1][0], "the slower block is further right and higher"
    assert axis.count("┬") == 2


def test_scatter_plot_labels_and_connects_the_front() -> None:
    drawn = charts.scatter(DOTS, canvas(110, 16), unit="SQNR dB", log=True).plain
    for dot in DOTS:
        assert dot.name in drawn
    assert any("⠀" < character <= "⣿" for character in drawn), "no line joins the front"
    assert "·" in drawn


def test_names_do_not_cover_each_other_and_those_of_the_front_come_first() -> None:
    dots = [Dot(name=f"run-{place:03}", latency_ms=10.0, value=30.0 + place / 1e6) for place in range(300)]
    dots.append(Dot(name="the best", latency_ms=10.0, value=30.1, front=True))
    drawn = charts.scatter(dots, canvas(60, 12), unit="SQNR dB").plain
    assert "the best" in drawn
    names = re.findall(r"run-\S*", drawn)
    assert names and all(re.fullmatch(r"run-\d{3}", name) for name in names)


def test_exact_run_is_above_all_others() -> None:
    dots = [
        Dot(name="exact", latency_ms=10.0, value=math.inf, slot=0, front=True),
        Dot(name="near", latency_ms=5.0, value=40.0, slot=1, front=True),
    ]
    lines = charts.scatter(dots, canvas(60, 12), unit="SQNR dB").plain.split("\n")
    assert lines[1].lstrip().startswith("exact") and "◆" in lines[1]
    assert next(y for y, line in enumerate(lines) if "●" in line) > 1
    only = charts.scatter(dots[:1], canvas(60, 12), unit="SQNR dB").plain
    assert "exact" in only and "inf" not in only


def test_history_has_true_or_equal_distances() -> None:
    def columns(even: bool) -> list[int]:
        lines = charts.trend_points(DATED, canvas(100, 14), unit="ms", subject="latency", even=even).plain.split("\n")
        return [column for column, character in enumerate(lines[-2]) if character == "┬"]

    true, even = columns(False), columns(True)
    assert len(even) == len(DATED)
    gaps = [later - earlier for earlier, later in itertools.pairwise(even)]
    assert max(gaps) - min(gaps) <= 1
    # Nov 1, 3, 4, 12 (twice) and 20.
    assert (true[3] - true[2]) > 5 * (true[2] - true[1])


def test_history_marks_changes_versions_failures_and_the_cursor() -> None:
    lines = charts.trend_points(
        DATED, canvas(100, 16), unit="ms", subject="latency", levels=LEVELS, cursor=0
    ).plain.split("\n")
    text = "\n".join(lines)
    assert "slower by 9.5 %" in lines[1] and "executorch 1.5.1" in lines[2]
    assert "✗" in lines[-3] and "not completed" in lines[0] and "out of tolerance" in lines[0]
    assert lines[-2].count("▲") == 1 and text.count("╌") > 10


def test_history_without_data_is_a_sentence() -> None:
    failed = [Dated(at="2026-11-01T10:00:00Z", failed=True)]
    for runs in ([], failed):
        assert "has this figure" in charts.trend_points(runs, canvas(80, 8), unit="ms", subject="").plain
