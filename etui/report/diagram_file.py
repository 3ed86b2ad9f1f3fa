"""A diagram as a file: SVG, PNG, or a page of HTML."""

from __future__ import annotations

from etui.report.diagram_page import as_page
from etui.report.diagram_picture import picture
from etui.wording.diagram import Diagram

SUFFIXES = (".svg", ".png", ".html")


def diagram_file(diagram: Diagram, suffix: str, *, limit_s: float) -> bytes:
    """Return the content of a file with one of ``SUFFIXES``. Raises what ``picture`` raises."""
    if suffix == ".html":
        return as_page(diagram, picture(diagram, "svg", limit_s=limit_s)).encode()
    return picture(diagram, "png" if suffix == ".png" else "svg", limit_s=limit_s)
