"""A report's pages: everything said, nothing unescaped, nothing from elsewhere, charts that are well-formed."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import pytest

from etui.report import pages, svg
from etui.report.content import Report, report_of
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
    for page in (pages.as_markdown(report), pages.as_html(report)):
        for words in (
            "times as fast as fp32/xnnpack aaaaaa",
            "ccccccccccc3 failed and has no samples",
            "different sessions",
            "median ms",
            "bench-1",
            "not readable",
            "paired blocks",
            "2.13.0",
            "run ddddddddddd4; session 5e5510000002",
            "spread",
        ):
            assert words in page, words


def test_the_html_is_closed_and_asks_for_nothing(report: Report) -> None:
    page = pages.as_html(report)
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert tags.seen.count("svg") == 3
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
    for page in (pages.as_markdown(made), pages.as_html(made)):
        assert "<script" not in page and "\x1b" not in page
        assert "&lt;script" in page
    tags = Tags()
    tags.feed(pages.as_html(made))
    assert not tags.open


def test_the_flags_of_eager_stand_once_for_a_session() -> None:
    eager = Flag(name="foreign load", detail="something else used up to 1.90 cores in 3 of 3 blocks")
    documents = runs()[:2]
    for document in documents:
        document.eager_flags = [eager]
        document.flags = [*document.flags, Flag(name="eager", detail="eager, and so the ratio to it, is flagged")]
    (section,) = report_of(documents, margin=0.02).sections
    assert sum("1.90 cores" in said for said in section.flags) == 1
    assert any(said.startswith("eager: foreign load: ") for said in section.flags)
    assert not any(": eager: " in said for said in section.flags)


def test_models_stand_apart() -> None:
    first, second = measured("aaaaaaaaaaa1"), measured("bbbbbbbbbbb2", seed=1)
    second.model = msgspec.structs.replace(second.model, name="vit_b_16", identity="vit_b_16")
    made = report_of([first, second], margin=0.02)
    assert [section.title for section in made.sections] == ["resnet18", "vit_b_16"]
    assert all(len(section.headings) == 2 for section in made.sections)


def test_charts_are_well_formed_and_empty_without_figures() -> None:
    assert svg.histograms([("none", [])]) == "" and svg.intervals([], unit="%") == ""
    for drawing in (
        svg.histograms([("a & b", [1.0, 1.1, 1.2, 50.0]), ("one", [2.0])]),
        svg.histograms([("all the same", [3.0] * 9)]),
        svg.intervals([svg.Bar(name="<x>", value=-3.0, low=-4.0, high=-2.0)], unit="%", mark=0.0),
        svg.intervals([svg.Bar(name="alone", value=1.0)], unit="ms"),
        svg.histograms([("as earlier versions stored them", [5e-324, 1e-320, 1.0, 1e308]), ("nothing", [0.0, 0.0])]),
        svg.histograms([("hardly apart", [1.0, 1.0000000000000002])]),
        svg.intervals([svg.Bar(name="wide", value=1.0, low=5e-324, high=1.7e308)], unit="ms", mark=-1e308),
        svg.intervals([svg.Bar(name="wide", value=1.0, low=1e-90, high=1e90)], unit="ms"),
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
    assert "ms, logarithmic" in far and all(f">{mark}</text>" in far for mark in (1, 10, 100, 1000))
    assert svg.histograms([("a", [1.0, 1.5]), ("b", [600.0, 1000.0])]).count("<rect") == 4
