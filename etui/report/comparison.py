"""A comparison as Markdown: verdicts as a table, sentences as a list, then metrics as a table."""

from __future__ import annotations

from collections.abc import Iterable

from etui import text
from etui.report import markdown
from etui.wording import verdict_table
from etui.wording.comparison_set import Compared


def as_markdown(compared: Compared, *, everything: bool, remarks: Iterable[str] = ()) -> str:
    """Return the verdicts, the sentences, the ``remarks``, and the metrics that differ, or ``everything``."""
    model, base = text.shortened(compared.base.model.name, text.WHOLE_CELLS), compared.names[compared.base.id]
    lines = [f"## {markdown.escaped(f'{model}: compared with {base}')}", ""]
    if compared.others:
        lines += [*markdown.table(*verdict_table.cells(verdict_table.verdict_rows(compared)), right=(1, 2)), ""]
    lines += markdown.bullets(" ".join(sentences) for sentences in compared.sentences())
    lines += markdown.bullets(remarks)
    lines += ["", *markdown.table(*compared.figures(everything=everything)), ""]
    return "\n".join(lines)
