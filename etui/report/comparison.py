"""A comparison as Markdown: sentences as a list, then metrics as a table."""

from __future__ import annotations

from collections.abc import Iterable

from etui import text
from etui.report import markdown
from etui.wording.comparison_set import Compared


def as_markdown(compared: Compared, *, everything: bool, remarks: Iterable[str] = ()) -> str:
    """Return the sentences, the ``remarks``, and the metrics that differ, or ``everything``."""
    model, base = text.shortened(compared.base.model.name, text.WHOLE_CELLS), compared.names[compared.base.id]
    lines = [f"## {markdown.escaped(f'{model}: compared with {base}')}", ""]
    lines += markdown.bullets(" ".join(sentences) for sentences in compared.sentences())
    lines += markdown.bullets(remarks)
    lines += ["", *markdown.table(*compared.figures(everything=everything)), ""]
    return "\n".join(lines)
