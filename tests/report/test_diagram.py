"""Diagrams as pictures and pages: everything in them is said in words, and nothing from a model becomes markup."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from etui.errors import UsageError
from etui.report.diagram_page import as_page
from etui.report.diagram_picture import MOST_BOXES, picture
from etui.report.graphviz_process import DrawingTimedOut, draw
from etui.wording.diagram import diagram
from tests.analysis.test_box_figures import measured
from tests.documents import make_document
from tests.model_graphs import HOSTILE, hostile, residual

LIMIT_S = 120.0
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: bytes) -> list[str]:
    return ["".join(each.itertext()) for each in ET.fromstring(svg).iter(f"{SVG}text")]


def test_a_picture_has_every_box_with_its_type_and_value_and_a_legend() -> None:
    document = make_document("run1")
    profile = measured(("aten.conv2d.default", "stem", "Conv2d", 0.75), ("aten.add", "body.0", "Block", 0.25))
    document.profile = profile
    made = diagram(residual(), level=2, document=document)
    svg = picture(made, "svg", limit_s=LIMIT_S)
    said = texts(svg)
    assert {"stem", "Conv2d", "75.0 %", "Block", "25.0 %", "not measured", "20 % or more"} <= set(said)
    assert sum(f"{SVG}ellipse" == each.tag for each in ET.fromstring(svg).iter()) == 2
    edges = [each for each in ET.fromstring(svg).iter(f"{SVG}g") if each.get("class") == "edge"]
    assert len(edges) == len(made.edges)


def test_nothing_refers_to_another_file() -> None:
    svg = picture(diagram(residual()), "svg", limit_s=LIMIT_S)
    page = as_page(diagram(residual()), svg)
    for content in (svg.decode(), page):
        links = re.findall(r"""(?:href|src|url)\s*[=(]\s*["']?([^"')\s>]+)""", content)
        assert links == []


def test_names_of_a_model_are_text_in_a_picture_and_in_a_page() -> None:
    made = diagram(hostile(), level=2)
    svg = picture(made, "svg", limit_s=LIMIT_S)
    tags = {each.tag.removeprefix(SVG) for each in ET.fromstring(svg).iter()}
    assert tags <= {"svg", "g", "title", "polygon", "polyline", "path", "text", "ellipse", "a"}
    assert any(HOSTILE[:20] in said for said in texts(svg))

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.add(tag)
            assert not any(name.startswith("on") for name, _ in attrs)

    found: set[str] = set()
    Tags().feed(as_page(made, svg))
    assert not found & {"script", "img", "iframe", "object", "link"}
    assert "svg" in found


def test_names_with_entities_are_shown_as_they_are() -> None:
    svg = picture(diagram(residual(block="R&amp;D &#65;"), level=2), "svg", limit_s=LIMIT_S)
    assert "R&amp;D &#65;" in " ".join(texts(svg))
    tips = [each.get("{http://www.w3.org/1999/xlink}title", "") for each in ET.fromstring(svg).iter(f"{SVG}a")]
    assert any("R&amp;D &#65;" in tip for tip in tips)


def test_a_png_is_written_at_a_size_that_readers_accept() -> None:
    png = picture(diagram(residual(), level=1), "png", limit_s=LIMIT_S)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert 100 < int.from_bytes(png[16:20], "big") < 30_000


def test_too_many_boxes_are_refused() -> None:
    made = diagram(residual(), level=3)
    many = made.__class__(**{name: getattr(made, name) for name in made.__struct_fields__} | {"boxes": made.boxes * 99})
    assert len(many.boxes) > MOST_BOXES
    with pytest.raises(UsageError, match="level"):
        picture(many, "svg", limit_s=LIMIT_S)


def test_without_pygraphviz_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pygraphviz.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(path for path in sys.path if path)}")
    with pytest.raises(UsageError, match=re.escape("etui[diagram]")):
        picture(diagram(residual()), "svg", limit_s=LIMIT_S)


def test_drawing_ends_at_its_time_limit() -> None:
    with pytest.raises(DrawingTimedOut):
        draw("digraph { a -> b }", "svg", 0.001)
