"""A diagram as one self-contained HTML page: the picture, and its boxes as a table. It has no scripts."""

from __future__ import annotations

from html import escape

from etui import text
from etui.report.diagram_picture import embedded
from etui.report.style import STYLE
from etui.wording.diagram import Diagram, DiagramBox

_STYLE = """
body { max-width: none; }
.diagram { overflow: auto; background: #fff; border: 1px solid var(--edge); border-radius: 8px; }
.diagram svg { margin: 0; color: #000; }
#whole:checked ~ .diagram svg { max-width: 100%; height: auto; }
#whole:not(:checked) ~ .diagram svg { max-width: none; }
"""
_HEADINGS = ("box", "type", "inputs from")
_MOST_SOURCES = 12


def as_page(diagram: Diagram, svg: bytes) -> str:
    """Return the page; ``svg`` is the picture of the same diagram."""
    title = _escaped(f"{diagram.title}: diagram")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = "".join(f"<th>{_escaped(each)}</th>" for each in (*_HEADINGS, diagram.value_heading))
    sources: list[list[str]] = [[] for _ in diagram.boxes]
    for source, target in diagram.edges:
        sources[target].append(diagram.boxes[source].full_name)
    rows = "".join(_row(box, before) for box, before in zip(diagram.boxes, sources, strict=True))
    notes = "".join(f"<li>{_escaped(note)}</li>" for note in diagram.notes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}{_STYLE}</style></head>\n<body>\n"
        f'<header><h1>{_escaped(diagram.title)}</h1><p class="soft">{_escaped(diagram.subtitle)}</p></header>\n'
        '<input type="checkbox" id="whole"><label for="whole"> fit the diagram to the width of the window</label>\n'
        f'<div class="diagram">{embedded(svg)}</div>\n'
        f"<ul>{notes}</ul>\n"
        f'<h2>Boxes</h2><p class="soft">{_escaped(diagram.heading)}</p>'
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>\n'
        "</body></html>\n"
    )


def _row(box: DiagramBox, sources: list[str]) -> str:
    more = f" and {len(sources) - _MOST_SOURCES} more" if len(sources) > _MOST_SOURCES else ""
    cells = (box.full_name, box.kind, "; ".join(sources[:_MOST_SOURCES]) + more, box.value)
    return f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in cells)}</tr>"


def _escaped(value: str) -> str:
    return escape(text.plain(value))
