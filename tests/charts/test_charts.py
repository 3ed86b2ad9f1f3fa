"""Charts of known data, at any size and with any palette."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
from rich.text import Text

from etui.charts import drawing as charts
from etui.charts.data import Doubt
from etui.charts.drawing import Canvas, Colours, Past, Series, palette
from etui.charts.overlay import Overlaid
from etui.text import width as cells
from tests.charts.series import DATED, DOTS, EAGER, EMPTY, LEVELS, PAST, PROGRAM, SIX

Draw = Callable[[Canvas], Text]
DRAWN: dict[str, Draw] = {
    "histogram": lambda canvas: charts.histogram(PROGRAM, EAGER, canvas),
    "histogram log": lambda canvas: charts.histogram(PROGRAM, EAGER, canvas, log=True),
    "ecdf": lambda canvas: charts.ecdf(PROGRAM, EAGER, canvas),
    "blocks": lambda canvas: charts.block_strip(PROGRAM, EAGER, canvas),
    "trend": lambda canvas: charts.trend_latency(PAST, canvas),
    "mae": lambda canvas: charts.trend_mae(PAST, canvas, log=True),
    "six histograms": lambda canvas: charts.overlaid_histograms(SIX, canvas, log=True),
    "six ecdfs": lambda canvas: charts.overlaid_ecdf(SIX, canvas, log=True),
    "six blocks": lambda canvas: charts.overlaid_blocks(SIX, canvas),
    "scatter": lambda canvas: charts.scatter(DOTS, canvas, unit="SQNR dB", log=True),
    "history": lambda canvas: charts.trend_points(
        DATED, canvas, unit="ms", subject="median latency", levels=LEVELS, cursor=4
    ),
    "even history": lambda canvas: charts.trend_points(DATED, canvas, unit="ms", subject="median latency", even=True),
}


def canvas(width: int, height: int, colours: Colours = "none", *, unicode: bool = True, dark: bool = True) -> Canvas:
    """Return a canvas of this size."""
    return Canvas(width=width, height=height, palette=palette(colours, dark=dark, unicode=unicode))


@pytest.fixture(params=sorted(DRAWN))
def draw(request: pytest.FixtureRequest) -> Draw:
    """Return each chart in turn."""
    return DRAWN[cast("str", request.param)]


@pytest.mark.slow
@pytest.mark.parametrize("width", [0, 1, 5, 20, 24, 39, 40, 71, 72, 120, 200])
@pytest.mark.parametrize("height", [0, 1, 3, 5, 6, 7, 10, 24, 40])
def test_chart_stays_within_its_size(draw: Draw, width: int, height: int) -> None:
    lines = draw(canvas(width, height)).plain.split("\n")
    assert len(lines) <= max(1, height)
    assert all(cells(line) <= width for line in lines)


@pytest.mark.parametrize("size", [(40, 6), (80, 10), (200, 40)])
def test_every_chart_names_its_unit(size: tuple[int, int]) -> None:
    units = {
        "histogram": "ms", "ecdf": "ms", "blocks": "%", "trend": "ms", "mae": "MAE", "six histograms": "ms",
        "six ecdfs": "ms", "six blocks": "%", "scatter": "SQNR dB", "history": "ms",
    }  # fmt: skip
    for name, unit in units.items():
        assert unit in DRAWN[name](canvas(*size)).plain, name


def test_charts_are_readable_without_colour_and_unicode(draw: Draw) -> None:
    drawn = draw(canvas(90, 14, "none", unicode=False))
    assert drawn.plain.isascii()
    assert not any("color" in str(span.style) or "#" in str(span.style) for span in drawn.spans)


@pytest.mark.parametrize("dark", [True, False])
@pytest.mark.parametrize("colours", ["16", "256", "truecolor"])
def test_colours_do_not_change_the_text(draw: Draw, colours: Colours, dark: bool) -> None:
    coloured = draw(canvas(90, 14, colours, dark=dark))
    assert coloured.plain == draw(canvas(90, 14)).plain
    assert coloured.spans


def test_histogram_marks_the_median_at_its_value() -> None:
    same = Series(name="a", blocks=[[10.0] * 5 + [20.0] * 6 + [30.0] * 5])
    lines = charts.histogram(same, None, canvas(61, 8)).plain.split("\n")
    marked = {line.index("▼") for line in lines[1:2]}
    axis, labels = lines[-2], lines[-1]
    assert len(marked) == 1
    column = marked.pop()
    assert axis[column] == "┬"
    assert labels[column - 1 : column + 1] == "20"


def test_histogram_counts_the_samples_beyond_its_axis() -> None:
    blocks = [[10.0 + step / 100 for step in range(299)] + [500.0]]
    drawn = charts.histogram(Series(name="a", blocks=blocks), None, canvas(100, 12)).plain
    assert "1 beyond the axis" in drawn
    assert "500" not in drawn


def test_histogram_of_a_subset_gives_the_total_count() -> None:
    part = Series(name="a", blocks=[[float(step % 7) + 1 for step in range(100)]], count=1000)
    assert "1,000 inferences" in charts.histogram(part, None, canvas(100, 12)).plain


def test_unknown_percentile_is_not_marked() -> None:
    bare = Series(name="a", blocks=[[10.0, 11.0, 12.0]])
    assert "p95" not in charts.histogram(bare, None, canvas(100, 10)).plain
    assert "p95" in charts.histogram(PROGRAM, EAGER, canvas(100, 10)).plain


def test_cumulative_curve_crosses_half_at_the_median() -> None:
    even = Series(name="a", blocks=[[float(step) for step in range(1, 100)]])
    lines = charts.ecdf(even, None, canvas(80, 23)).plain.split("\n")
    half = next(line for line in lines if line.startswith(" 50 %"))
    curve = [column for column, sign in enumerate(half) if 0x2800 < ord(sign) <= 0x28FF]
    middle = (6 + 79) / 2
    assert curve and abs(curve[0] - middle) < 3


def test_block_chart_shows_upward_drift() -> None:
    drifting = Series(name="a", blocks=[[10.0 + block] * 9 for block in range(3)])
    lines = charts.block_strip(drifting, None, canvas(60, 13)).plain.split("\n")
    rows = [(line.index("●", 6), row) for row, line in enumerate(lines[1:-2]) if "●" in line[6:]]
    assert [row for _, row in sorted(rows)] == sorted((row for _, row in rows), reverse=True)
    assert len(rows) == 3


@pytest.mark.parametrize(("last", "unit", "zero"), [(15.0, "%", "0 % = 10.0 ms"), (40.0, "x", "1x = 10.0 ms")])
def test_deviations_beyond_100_percent_are_factors(last: float, unit: str, zero: str) -> None:
    disturbed = Series(name="a", blocks=[[10.0] * 9, [10.0] * 9, [last] * 9])
    alone = charts.block_strip(disturbed, None, canvas(100, 13)).plain
    together = charts.overlaid_blocks([Overlaid(series=disturbed, slot=0)], canvas(100, 13)).plain
    for drawn in (alone, together):
        assert zero in drawn and any(line.startswith(unit) for line in drawn.split("\n")[:2])
        assert "300" not in drawn


def test_block_keeps_its_number() -> None:
    drawn = charts.block_strip(Series(name="a", blocks=[[1.0, 1.1]], numbers=[4]), None, canvas(40, 8)).plain
    assert drawn.split("\n")[-1].split() == ["5", "block"]


def test_trend_marks_failed_runs_and_the_selected_run() -> None:
    lines = charts.trend_latency(PAST, canvas(100, 12)).plain.split("\n")
    assert "◆ this run" in lines[0] and "✗ failed" in lines[0]
    assert "✗" in lines[-3]
    assert "Nov 01" in lines[-1] and "Nov 20" in lines[-1]


def test_trend_of_one_day_is_labelled_with_hours() -> None:
    past = [Past(at=f"2026-11-20T{hour:02d}:30:00", median_ms=5.0 + hour) for hour in (1, 2, 3)]
    dates = charts.trend_latency(past, canvas(80, 10)).plain.split("\n")[-1].split()
    assert dates[:2] == ["Nov", "20"] and len(dates) == 5


def test_trend_over_two_years_is_labelled_with_years() -> None:
    past = [Past(at=f"{year}-11-20T12:00:00Z", median_ms=5.0) for year in (2025, 2026)]
    assert charts.trend_latency(past, canvas(80, 10)).plain.split("\n")[-1].split() == ["2025-11-20", "2026-11-20"]


def test_trend_of_errors_marks_runs_out_of_tolerance() -> None:
    drawn = charts.trend_mae(PAST, canvas(120, 12), log=True).plain
    assert "▲ out of tolerance" in drawn and "? unproven" in drawn and "1e-6" in drawn and "log scale" in drawn


def test_exact_run_is_at_the_bottom_of_a_logarithmic_axis() -> None:
    past = [Past(at="2026-11-01T10:00:00Z", mae=0.0), Past(at="2026-11-02T10:00:00Z", mae=1e-3)]
    assert "●" in charts.trend_mae(past, canvas(60, 10), log=True).plain.split("\n")[-3]


def test_newest_runs_are_shown_if_there_are_too_few_columns() -> None:
    past = [Past(at=f"2026-11-20T10:{n // 60:02d}:{n % 60:02d}Z", median_ms=5.0) for n in range(3000)]
    past.append(Past(at="2026-11-21T10:00:00Z", is_chosen=True, median_ms=5.0))
    assert "◆" in charts.trend_latency(past, canvas(60, 10)).plain


@pytest.mark.parametrize(
    "drawn",
    [
        charts.histogram(EMPTY, None, canvas(60, 8)),
        charts.ecdf(EMPTY, EMPTY, canvas(60, 8)),
        charts.block_strip(EMPTY, None, canvas(60, 8)),
        charts.trend_latency([], canvas(60, 8)),
        charts.trend_mae([], canvas(60, 8)),
    ],
)
def test_chart_without_data_is_a_sentence(drawn: Text) -> None:
    assert drawn.plain.strip().endswith(".")


def test_eager_alone_is_drawn_before_the_program_has_samples() -> None:
    assert "eager" in charts.histogram(EMPTY, EAGER, canvas(80, 10)).plain


@pytest.mark.parametrize("value", [1e-9, 0.5, 1e9])
def test_equal_samples_are_drawn(value: float) -> None:
    same = Series(name="a", blocks=[[value] * 3])
    for drawn in (charts.histogram(same, None, canvas(60, 8)), charts.ecdf(same, None, canvas(60, 8))):
        assert "ms" in drawn.plain


def test_names_are_not_interpreted_as_markup() -> None:
    named = Series(name="[red]int8\x1b[31m/x", blocks=[[1.0, 2.0, 3.0]])
    for drawn in (
        charts.histogram(named, None, canvas(100, 10)),
        charts.ecdf(named, None, canvas(100, 10)),
        charts.block_strip(named, None, canvas(100, 10)),
    ):
        assert "[red]int8/x" in drawn.plain
        assert "\x1b" not in drawn.plain


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("size", [(80, 24), (200, 60), (24, 6)])
@pytest.mark.parametrize(
    "samples",
    [
        [1.0, 2.0, 1e308],
        [5e-324, 1e-320, 1.0],
        [0.0, 0.0],
        [1e308, 1.7e308, -1.7e308],
        [5e-324],
        [1.0, 1.0000000000000002],
    ],
)
def test_any_stored_value_can_be_drawn(samples: list[float], size: tuple[int, int], log: bool) -> None:
    series, on = Series(name="a", blocks=[samples, samples[:1]], p95=samples[-1]), canvas(*size)
    past = [
        Past(at=f"2026-11-{day + 1:02d}T10:00:00Z", median_ms=value, interval_ms=(value, 2e300), mae=value)
        for day, value in enumerate(samples)
    ]
    six = [charts.Overlaid(series=series, slot=slot) for slot in range(2)]
    for drawn in (
        charts.histogram(series, series, on, log=log),
        charts.ecdf(series, series, on, log=log),
        charts.block_strip(series, series, on),
        charts.trend_latency(past, on, log=log),
        charts.trend_mae(past, on, log=log),
        charts.overlaid_histograms(six, on, log=log),
        charts.overlaid_ecdf(six, on, log=log),
        charts.overlaid_blocks(six, on),
        charts.depth(samples, on, log=log, threshold=1e308),
    ):
        assert max(map(len, drawn.plain.split("\n"))) <= size[0]


@pytest.mark.parametrize(("doubt", "sign"), [("", "%"), ("warn", "%!"), ("bad", "%?")])
@pytest.mark.parametrize("width", [60, 100])
def test_a_median_shows_its_interval_and_its_doubt(doubt: Doubt, sign: str, width: int) -> None:
    series = Series(name="int8", blocks=[[1.0, 1.1, 1.2]] * 3, half_width=0.42, doubt=doubt)
    for draw in (charts.histogram, charts.ecdf):
        words = draw(series, None, canvas(width, 12)).plain.split()
        assert f"±42{sign}" in words
