"""A model's summary as text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etui import text
from etui.analysis.roofline import Roofline
from etui.cli.section_text import section_lines
from etui.cli.table import Column, table, wrapped_to_terminal
from etui.formats.json_text import printable_json
from etui.model_summary import MeasuredRun, ModelSummary, ModuleSummary
from etui.report.summary_markdown import summary_markdown
from etui.wording import model_summary as wording
from etui.wording import roofline as roofline_wording
from etui.wording.run_sections import Entry, RunSection

_LINES = 40
_COLUMNS = (
    Column("module"),
    Column("type", spare=4, most=24),
    Column("calls", right=True, spare=8),
    Column("input", spare=7, most=24),
    Column("output", spare=3, most=20),
    Column("parameters", right=True),
    Column("share", right=True, spare=6),
    Column("multiply-adds", right=True),
    Column("share", right=True, spare=2),
    Column("activations", right=True, spare=1),
    Column("share", right=True, spare=5),
)

_ROOFLINE_SPARE = (0, 3, 0, 2, 4, 0, 6, 1)


def as_text(
    summary: ModelSummary, runs: Sequence[MeasuredRun], depth: int | None, roofline: Roofline | None = None
) -> str:
    """Return the totals, the runs, and the modules down to a depth: with their counts, or in the roofline of a run."""
    shown, depth = _shown(summary, depth)
    lines = [f"{summary.model}  {summary.title}"]
    lines += section_lines(RunSection(title="", entries=_entries(summary, runs, roofline)))
    if shown and (roofline is None or roofline.has_profile):
        lines += ["", _modules(summary, shown, roofline), ""]
        if len(shown) < len(summary.modules):
            lines.append(
                f"{len(shown):,} of {text.counted(len(summary.modules), 'module')}; --depth {depth + 1} lists more"
            )
        lines.append(
            wrapped_to_terminal(wording.COUNTED if roofline is None else roofline_wording.explanation(roofline))
        )
    return text.plain("\n".join(lines), keep_lines=True)


def as_markdown(
    summary: ModelSummary, runs: Sequence[MeasuredRun], depth: int | None, roofline: Roofline | None = None
) -> str:
    """Return the same as Markdown."""
    return summary_markdown(summary, _shown(summary, depth)[0], _entries(summary, runs, roofline), roofline)


def as_json(summary: ModelSummary, runs: Sequence[MeasuredRun], roofline: Roofline | None = None) -> bytes:
    """Return the summary with its runs, and the roofline if there is one."""
    value = {**msgspec.to_builtins(summary), "runs": runs}
    if roofline is not None:
        value["roofline"] = roofline
    return printable_json(value)


def _entries(summary: ModelSummary, runs: Sequence[MeasuredRun], roofline: Roofline | None) -> list[Entry]:
    of_run = roofline_wording.entries(roofline) if roofline is not None else []
    return [*wording.totals(summary), *wording.runs(runs), *of_run]


def _modules(summary: ModelSummary, shown: Sequence[ModuleSummary], roofline: Roofline | None) -> str:
    if roofline is None:
        return table(_COLUMNS, [wording.cells(summary, module) for module in shown])
    headings = roofline_wording.headings(roofline)
    columns = [Column("module"), Column("type", spare=5, most=24)]
    columns += [
        Column(heading, right=heading != "limited by", spare=spare)
        for heading, spare in zip(headings, _ROOFLINE_SPARE, strict=True)
    ]
    points = {point.path: point for point in roofline.points}
    rows = [
        [*wording.cells(summary, module)[:2], *roofline_wording.cells(roofline, points[module.path])]
        for module in shown
        if module.path in points
    ]
    return table(columns, rows)


def _shown(summary: ModelSummary, depth: int | None) -> tuple[list[ModuleSummary], int]:
    """Return the modules to list, and down to which depth they are."""
    if depth is None:
        depth = wording.depth_for(summary, _LINES)
    return [module for module in summary.modules if module.depth <= depth] if depth else [], depth
