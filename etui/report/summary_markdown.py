"""A model's summary as Markdown: totals and modules."""

from __future__ import annotations

from collections.abc import Sequence

from etui.analysis.roofline import Roofline
from etui.model_summary import ModelSummary, ModuleSummary
from etui.report import markdown
from etui.wording import model_summary as wording
from etui.wording import roofline as roofline_wording
from etui.wording.run_sections import Entry

_TEXTS = ("module", "type", "input", "output")


def summary_markdown(
    summary: ModelSummary,
    modules: Sequence[ModuleSummary],
    entries: Sequence[Entry] | None = None,
    roofline: Roofline | None = None,
) -> str:
    """Return the totals (``entries``, by default those of the summary alone) and some modules, with a second table if
    there is a roofline with times of modules."""
    totals = [[entry.label, entry.value] for entry in (wording.totals(summary) if entries is None else entries)]
    lines = [f"## {markdown.escaped(f'{summary.model}: {summary.title}')}", ""]
    lines += [*markdown.table(["", ""], totals), ""]
    if modules:
        rows = [[module.path or summary.model, *wording.cells(summary, module)[1:]] for module in modules]
        numbers = [index for index, heading in enumerate(wording.HEADINGS) if heading not in _TEXTS]
        lines += [*markdown.table(wording.HEADINGS, rows, right=numbers), "", markdown.escaped(wording.COUNTED), ""]
    if roofline is not None and roofline.has_profile:
        points = {point.path: point for point in roofline.points}
        headings = ["module", *roofline_wording.headings(roofline)]
        rows = [
            [module.path or summary.model, *roofline_wording.cells(roofline, points[module.path])]
            for module in modules
            if module.path in points
        ]
        numbers = [index for index, heading in enumerate(headings) if heading not in ("module", "limited by")]
        lines += [*markdown.table(headings, rows, right=numbers), ""]
        lines += [markdown.escaped(roofline_wording.explanation(roofline)), ""]
    return "\n".join(lines)
