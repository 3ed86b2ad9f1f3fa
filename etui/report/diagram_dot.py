"""A diagram in the language of Graphviz, which lays it out and draws it as SVG or PNG.

Texts of models and files are escaped for Graphviz's HTML-like labels; nodes have numbers, never names of the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from etui import text
from etui.wording.diagram import Diagram, DiagramBox, Entry, Tone

FILLS: dict[Tone, str] = {
    "compute": "#bcd7f5",
    "attention": "#d9c8f2",
    "normalization": "#cfe8d2",
    "activation": "#f8dcb8",
    "pooling": "#bfe6e4",
    "data": "#e4e4e4",
    "other": "#f6efc4",
    "level 0": "#fdf1e3",
    "level 1": "#fbd9b0",
    "level 2": "#f7b77e",
    "level 3": "#ef8f55",
    "level 4": "#dd6a3a",
    "bad": "#f2a3a3",
    "delegated": "#c9e2c7",
    "undelegated": "#f7c59a",
    "none": "#ffffff",
}
"""The fill of each class of colour; all are light enough for black text."""

_FONT = "Helvetica,Arial,DejaVu Sans"
_MOST_NAME, _MOST_TITLE = 48, 160
_MOST_TOOLTIP_LINES = 30


def dot(diagram: Diagram) -> str:
    """Return the diagram as text in the DOT language."""
    return "\n".join(_lines(diagram))


def _lines(diagram: Diagram) -> Iterator[str]:
    yield "digraph diagram {"
    yield (
        f'graph [fontname="{_FONT}", fontsize=11, rankdir=TB, nodesep=0.25, ranksep=0.32, pad=0.25, compound=true,'
        ' labelloc=t, labeljust=l, bgcolor="white", color="#9a9a9a", tooltip=" "];'
    )
    yield (
        f'node [fontname="{_FONT}", fontsize=11, shape=box, style="filled", color="#555555", penwidth=0.8,'
        ' margin="0.12,0.05", height=0.3];'
    )
    yield 'edge [color="#555555", penwidth=0.9, arrowsize=0.6];'
    yield f"label=<{_head(diagram)}>;"
    yield from _contents(diagram, None, 0)
    for source, target in diagram.edges:
        # Straight lines for the main path; side paths go around it.
        weight = 10 if target == source + 1 else 1
        yield f'n{source} -> n{target} [weight={weight}, tooltip=" "];'
    yield "}"


def _contents(diagram: Diagram, around: int | None, depth: int) -> Iterator[str]:
    """Yield the boxes directly inside a module, and the modules in it as clusters."""
    for index, box in enumerate(diagram.boxes):
        if (box.inside[-1] if box.inside else None) == around:
            yield _node(index, box)
    for index, inner in enumerate(diagram.around):
        if inner.parent == around:
            label = f"<B>{_short(inner.name)}</B> {_short(inner.kind)}"
            shade = "#fafafa" if depth % 2 == 0 else "#f2f2f2"
            yield f'subgraph cluster_{index} {{ label=<{label}>; style="filled,rounded"; fillcolor="{shade}";'
            yield 'color="#b0b0b0"; margin=8; tooltip=" ";'
            yield from _contents(diagram, index, depth + 1)
            yield "}"


def _node(index: int, box: DiagramBox) -> str:
    attributes = {"fillcolor": FILLS[box.tone]}
    if box.shape == "end":
        attributes["shape"] = "ellipse"
    elif box.shape == "operators":
        attributes["style"] = "filled,rounded"
    elif box.shape == "partition":
        attributes["peripheries"] = "2"
    if box.tone == "none" and box.shape != "end":
        attributes["style"] = "filled,rounded,dashed" if box.shape == "operators" else "filled,dashed"
    name = _short(box.name)
    lines = [f"<B>{name}</B>" if box.shape == "module" else name]
    lines += [_short(line) for line in (box.kind, box.value) if line and line != box.name]
    tooltip = [box.full_name, *(line for line in (box.kind, box.value) if line), *box.about][:_MOST_TOOLTIP_LINES]
    named = ", ".join(f'{key}="{value}"' for key, value in attributes.items())
    return f'n{index} [label=<{"<BR/>".join(lines)}>, {named}, tooltip="{_quoted(tooltip)}"];'


def _head(diagram: Diagram) -> str:
    """Return title and legend as a table: the label of the whole graph."""
    rows = [f'<FONT POINT-SIZE="16"><B>{_short(diagram.title, _MOST_TITLE)}</B></FONT>']
    rows += [_short(line, _MOST_TITLE) for line in (diagram.subtitle, f"Colour: {diagram.heading}")]
    rows.append(_table("".join(map(_entry, diagram.legend))))
    rows += [_short(note, _MOST_TITLE) for note in diagram.notes]
    return _table("".join(f'<TR><TD ALIGN="LEFT">{row}</TD></TR>' for row in rows))


def _entry(entry: Entry) -> str:
    border = ' STYLE="dashed"' if entry.tone == "none" else ""
    return (
        f'<TR><TD ALIGN="LEFT" BORDER="1" COLOR="#555555" CELLPADDING="3" BGCOLOR="{FILLS[entry.tone]}"{border}>'
        f"{_short(entry.text, _MOST_TITLE)}</TD></TR>"
    )


def _table(rows: str) -> str:
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="2" CELLPADDING="1">{rows}</TABLE>'


def _short(line: str, most: int = _MOST_NAME) -> str:
    """Return a line for an HTML-like label."""
    return escape(text.shortened(line, most))


def _quoted(lines: Sequence[str]) -> str:
    """Return lines for a quoted string, in which a backslash begins an escape sequence and an ampersand an entity."""
    escapes = str.maketrans({"\\": "\\\\", '"': '\\"', "&": "&amp;"})
    return "\\n".join(text.shortened(line, _MOST_TITLE).translate(escapes) for line in lines)
