"""A diagram as text and as JSON."""

from __future__ import annotations

from etui import text
from etui.charts.graph_lanes import ASCII_LANES, LaneGlyphs, lanes
from etui.cli.table import Column, ascii_only, table, wrapped_to_terminal
from etui.formats.json_text import printable_json
from etui.wording.diagram import Diagram, flow_legend, in_ascii

_BAR = 20


def as_text(diagram: Diagram) -> str:
    """Return the boxes as rows in an order of execution, with the data flow beside them."""
    glyphs = LaneGlyphs()
    if ascii_only():
        diagram, glyphs = in_ascii(diagram), ASCII_LANES
    drawn = lanes(len(diagram.boxes), diagram.edges, glyphs)
    columns = [
        Column("flow", whole=True),
        Column("box", cut="start"),
        Column("type", spare=1, most=40),
        Column(diagram.value_heading, most=40),
    ]
    rows = [[line, box.full_name, box.kind, box.value] for line, box in zip(drawn.rows, diagram.boxes, strict=True)]
    if diagram.colour == "time":
        columns.append(Column("", spare=2))
        most = max((box.figure or 0.0 for box in diagram.boxes), default=0.0)
        for row, box in zip(rows, diagram.boxes, strict=True):
            row.append(_bar(box.figure, most))
    lines = [diagram.title, wrapped_to_terminal(diagram.subtitle), "", table(columns, rows), ""]
    lines.append(wrapped_to_terminal(flow_legend(glyphs.after, glyphs.apart)))
    lines.append(wrapped_to_terminal(f"{diagram.value_heading}: {diagram.heading}."))
    lines += [wrapped_to_terminal(note) for note in diagram.notes]
    if drawn.missing:
        lines.append(wrapped_to_terminal(f"{text.counted(drawn.missing, 'edge')} not drawn; -o FILE.svg draws all"))
    return text.plain("\n".join(lines), keep_lines=True)


def _bar(share: float | None, most: float) -> str:
    return ("#" if ascii_only() else "█") * max(1, round(_BAR * share / most)) if share and most else ""


def as_json(diagram: Diagram) -> bytes:
    """Return the diagram; edges are pairs of indices of boxes."""
    boxes = [
        {
            "name": box.full_name,
            "shape": box.shape,
            "type": box.kind,
            "value": box.value,
            "figure": box.figure,
            "median_ms": box.median_ms,
            "about": box.about,
            "inside": [_path(diagram, index) for index in box.inside],
        }
        for box in diagram.boxes
    ]
    value = {
        "model": diagram.title,
        "about": diagram.subtitle,
        "level": diagram.level,
        "levels": diagram.levels,
        "colour": diagram.colour,
        "boxes": boxes,
        "edges": diagram.edges,
        "notes": diagram.notes,
    }
    return printable_json(value)


def _path(diagram: Diagram, index: int) -> str:
    around = diagram.around[index]
    return around.name if around.parent is None else f"{_path(diagram, around.parent)}.{around.name}"
