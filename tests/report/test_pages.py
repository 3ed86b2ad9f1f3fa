"""A report's pages: everything said, nothing unescaped, nothing from elsewhere, charts that are well-formed."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import pytest

from etui.report import scatter, svg
from etui.report.content import Report, report_of
from etui.report.html_page import as_html
from etui.report.markdown_page import MOST_COLUMNS, as_markdown
from etui.results import Flag, RunDocument
from tests.analysis.comparisons import LATER, measured

HOSTILE = "<script>alert(1)</script>\x1b[31m|&\"'"


def runs() -> list[RunDocument]:
    failed = measured("ccccccccccc3", precision="int8", delegate="openvino")
    failed.status, failed.blocks, failed.latency_ms, failed.error = "failed", [], None, "it <broke>"
    return [
        measured("aaaaaaaaaaa1", seed=1),
        measured("bbbbbbbbbbb2", seed=2, median=8.0, precision="int8"),
        failed,
        measured("ddddddddddd4", seed=3, session_id=LATER),
    ]


@pytest.fixture
def report() -> Report:
    return report_of(runs(), margin=0.02)


class Tags(HTMLParser):
    """What elements a page has, and whether each is closed."""

    VOID = frozenset({"meta"})

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_both_pages_hold_verdicts_table_box_and_method(report: Report) -> None:
    for page in (as_markdown(report), as_html(report)):
        for words in (
            "times as fast as fp32/xnnpack aaaaaa",
            "ccccccccccc3 failed and has no samples",
            "different sessions",
            "median ms",
            "bench-1",
            "not readable",
            "paired blocks",
            "2.13.0",
            "resnet18: fp32/xnnpack, int8/xnnpack and int8/openvino",
            "PASS 3 of 4",
            "eager of session 5e5510",
            "11.7 M",
            "run ddddddddddd4; session 5e5510000002",
            "spread",
        ):
            assert words in page, words


def test_the_html_is_closed_and_asks_for_nothing(report: Report) -> None:
    page = as_html(report)
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert tags.seen.count("svg") == 4
    assert tags.seen.count("details") == 1 + 4 + 1
    assert not {"script", "link", "img", "iframe", "object", "a"} & set(tags.seen)
    assert not re.search(r"https?://|url\(|@import|\bsrc=|\bhref=", page)
    assert "default-src 'none'" in page


def test_what_others_wrote_is_shown_not_obeyed() -> None:
    first, second = measured("aaaaaaaaaaa1"), measured("bbbbbbbbbbb2", seed=1, precision=HOSTILE)
    model = msgspec.structs.replace(first.model, name=HOSTILE)
    first.model = second.model = model
    assert first.environment is not None
    first.environment = msgspec.structs.replace(first.environment, box=HOSTILE, versions={HOSTILE: HOSTILE})
    made = report_of([first, second], margin=0.02, force=True)
    for page in (as_markdown(made), as_html(made)):
        assert "<script" not in page and "\x1b" not in page
        assert "&lt;script" in page
    tags = Tags()
    tags.feed(as_html(made))
    assert not tags.open


def test_the_flags_of_eager_stand_once_for_a_session() -> None:
    eager = Flag(name="foreign load", detail="something else used up to 1.90 cores in 3 of 3 blocks")
    documents = runs()[:2]
    for document in documents:
        document.eager_flags = [eager]
        document.flags = [*document.flags, Flag(name="eager", detail="eager, and so the ratio to it, is flagged")]
    (section,) = report_of(documents, margin=0.02).sections
    assert sum("1.90 cores" in line for line in section.warnings) == 1
    assert any(line.startswith("foreign load: eager: ") for line in section.warnings)
    assert any(line.startswith("spread: both: ") for line in section.warnings)
    assert not any("ratio to it" in line for line in section.warnings)


def test_models_stand_apart() -> None:
    first, second = measured("aaaaaaaaaaa1"), measured("bbbbbbbbbbb2", seed=1)
    second.model = msgspec.structs.replace(second.model, name="vit_b_16", identity="vit_b_16")
    made = report_of([first, second], margin=0.02)
    assert [section.title for section in made.sections] == ["resnet18", "vit_b_16"]
    assert all(len(section.headings) == 2 for section in made.sections)


def _series(*named: tuple[str, list[float]]) -> list[svg.Series]:
    return [svg.Series(name=name, values=values, colour=place) for place, (name, values) in enumerate(named)]


def _points(*places: tuple[float, float], verdict: str = "PASS") -> list[scatter.Point]:
    return [
        scatter.Point(name=f"<{place}> & more", latency_ms=x, value=y, verdict=verdict, low=x * 0.9, high=x * 1.1)
        for place, (x, y) in enumerate(places)
    ]


def test_charts_are_well_formed_and_empty_without_figures() -> None:
    assert svg.histograms(_series(("none", []))) == "" and svg.intervals([], unit="%") == ""
    assert scatter.scatter([], unit="MAE") == ""
    for drawing in (
        svg.histograms(_series(("a & b", [1.0, 1.1, 1.2, 50.0]), ("one", [2.0]))),
        svg.histograms(_series(("all the same", [3.0] * 9))),
        svg.intervals([svg.Bar(name="<x>", value=-3.0, low=-4.0, high=-2.0)], unit="%", mark=0.0),
        svg.intervals([svg.Bar(name="alone", value=1.0)], unit="ms"),
        svg.histograms(_series(("as stored earlier", [5e-324, 1e-320, 1.0, 1e308]), ("nothing", [0.0, 0.0]))),
        svg.histograms(_series(("hardly apart", [1.0, 1.0000000000000002]))),
        svg.intervals([svg.Bar(name="wide", value=1.0, low=5e-324, high=1.7e308)], unit="ms", mark=-1e308),
        svg.intervals([svg.Bar(name="wide", value=1.0, low=1e-90, high=1e90)], unit="ms"),
        scatter.scatter(
            _points((1.0, 20.0), (1.0, 20.0), (1.01, 20.5), (9.0, math.inf)), unit="SQNR dB", eager_ms=40.0
        ),
        scatter.scatter(_points((2.0, 0.1), (3.0, 1e-7), verdict="FAIL"), unit="MAE"),
        scatter.scatter(_points((5.0, math.inf), verdict="UNPROVEN"), unit="SQNR dB"),
        scatter.scatter(_points(*[(1.0, 1.0)] * 40), unit="MAE", eager_ms=1e300),
    ):
        root = ElementTree.fromstring(drawing)
        _, _, width, height = map(float, str(root.get("viewBox")).split())
        for element in root.iter():
            for name in ("x", "x1", "x2", "cx"):
                assert 0 <= float(element.get(name, 0)) <= width
            for name in ("y", "y1", "y2", "cy"):
                assert 0 <= float(element.get(name, 0)) <= height


def test_values_far_apart_stand_on_a_logarithmic_scale() -> None:
    near = svg.intervals([svg.Bar(name="a", value=10.0), svg.Bar(name="b", value=20.0)], unit="ms")
    far = svg.intervals([svg.Bar(name="a", value=1.0), svg.Bar(name="b", value=1000.0)], unit="ms")
    assert "logarithmic" not in near
    assert "ms, logarithmic" in far and all(f">{mark:,}</text>" in far for mark in (1, 10, 100, 1000))
    assert svg.histograms(_series(("a", [1.0, 1.5]), ("b", [600.0, 1000.0]))).count("<rect") == 4


def test_every_run_is_a_named_point_whose_shape_is_its_verdict() -> None:
    passed = scatter.scatter(_points((1.0, 20.0), (2.0, 30.0)), unit="SQNR dB")
    assert passed.count("<circle") == 2 and "&lt;0&gt;" in passed and "&lt;1&gt;" in passed
    assert "<circle" not in scatter.scatter(_points((1.0, 20.0), verdict="FAIL"), unit="SQNR dB")
    assert "<polygon" in scatter.scatter(_points((1.0, 20.0), verdict="UNPROVEN"), unit="SQNR dB")


def test_better_accuracy_is_further_up_whatever_its_measure() -> None:
    for unit, better, worse in (("SQNR dB", 40.0, 20.0), ("MAE", 0.001, 0.1)):
        drawing = scatter.scatter(_points((1.0, better), (2.0, worse)), unit=unit)
        heights = [float(height) for height in re.findall(r'<circle cx="[^"]*" cy="([^"]*)"', drawing)]
        assert heights[0] < heights[1]


def test_a_change_of_more_than_double_is_drawn_as_a_factor() -> None:
    # The last change is below double, but its interval is not.
    for median, block_sd, unit in ((24.0, 0.0, ">%</text>"), (48.0, 0.0, "times the"), (30.5, 0.1, "times the")):
        other = measured("bbbbbbbbbbb2", precision="int8", median=median, block_sd=block_sd)
        made = report_of([measured("aaaaaaaaaaa1"), other], margin=0.02)
        assert unit in as_html(made)


def test_both_pages_have_the_same_verdict_results_and_warnings(report: Report) -> None:
    (section,) = report.sections
    html, page = as_html(report), as_markdown(report)
    assert section.warnings and len(section.results.rows) == 2 + 4
    for words in (section.verdict.headline, *(badge.word for badge in section.verdict.badges)):
        assert words in html and words in page
    assert all(heading in html for heading in section.results.headings)
    headings = next(line for line in page.splitlines() if line.startswith("| variant")).strip("| ").split("|")
    # A comment of a pull request has no room for more columns: these are only among all metrics.
    assert {*section.results.headings} - {heading.strip() for heading in headings} == {"p95, ms", "peak RSS, MB"}
    assert "| p95 ms" in page and "| peak RSS MB" in page and len(headings) <= MOST_COLUMNS
    assert html.count("<details>") == page.count("<details>") - 3, (
        "cards, sentences and warnings are folded in Markdown"
    )


def test_the_eager_baselines_with_a_warning_are_named_and_what_all_have_in_common_is_written_once() -> None:
    documents = [runs()[0], runs()[3]]
    unsettled = Flag(name="unsettled", detail="warm-up did not settle")
    for document in documents:
        document.eager_flags = [unsettled]
    (section,) = report_of(documents, margin=0.02).sections
    (line,) = [line for line in section.warnings if line.startswith("unsettled")]
    assert line.startswith("unsettled: eager of session ") and line.count("of session") == 2
    clause = "eager is flagged (unsettled)"
    assert sum(clause in caveat for caveat in section.verdict.caveats) == 1


def test_a_colour_never_stands_alone(report: Report) -> None:
    (section,) = report.sections
    for row in section.results.rows:
        for cell in row:
            if cell.tone not in (None, "muted"):
                worded = cell.text.endswith(("not comparable", "wide", "flagged"))
                assert worded or not cell.text[0].isalnum(), cell.text


def test_a_failed_run_alone_has_its_error_and_no_charts() -> None:
    failed = runs()[2]
    failed.speedup = None
    html = as_html(report_of([failed], margin=0.02))
    assert "it &lt;broke&gt;" in html and "<svg" not in html and "✗" in html
