"""A diagram as SVG or PNG, laid out and drawn by Graphviz."""

from __future__ import annotations

import re
from typing import Literal

from etui.errors import UsageError
from etui.report.diagram_dot import dot
from etui.report.graphviz_process import draw
from etui.wording.diagram import Diagram

MOST_BOXES = 1_000
"""A picture of more boxes is not readable, and takes minutes to lay out."""

_PNG_DPI = 120
_MOST_PIXELS = 30_000
"""The largest side of a PNG in pixels; the drawing library has a limit of 32,767."""
_POINTS_PER_INCH = 72
_PROLOG = re.compile(rb"^.*?(?=<svg)", re.DOTALL)
_SIZE = re.compile(rb'<svg width="(\d+)pt" height="(\d+)pt"')


def picture(diagram: Diagram, kind: Literal["svg", "png"], *, limit_s: float) -> bytes:
    """Return the file of a picture. SVG has no scripts and refers to no other file.

    Raises:
        UsageError: pygraphviz is not installed, or the diagram has too many boxes.
        EtuiError: Graphviz cannot draw it, or took longer than ``limit_s`` seconds.
    """
    if len(diagram.boxes) > MOST_BOXES:
        raise UsageError(
            f"the diagram has {len(diagram.boxes):,} boxes at level {diagram.level}, more than the {MOST_BOXES:,} of"
            " a picture",
            f"choose a --level below {diagram.level}",
            screen_hint="choose a lower level",
        )
    drawing = dot(diagram)
    svg = draw(drawing, "svg", limit_s)
    if kind == "svg":
        return svg
    size = _SIZE.search(svg)
    longest = max(map(int, size.groups())) if size is not None else 0
    dpi = min(_PNG_DPI, _MOST_PIXELS * _POINTS_PER_INCH // longest) if longest else _PNG_DPI
    return draw(drawing.replace("graph [", f"graph [dpi={dpi}, ", 1), "png", limit_s)


def embedded(svg: bytes) -> str:
    """Return the ``svg`` element of a picture, without the prolog of a file, for a page of HTML."""
    return _PROLOG.sub(b"", svg, count=1).decode()
