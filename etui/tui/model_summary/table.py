"""The table of a model's modules between its totals and a note on what is counted."""

from __future__ import annotations

from rich.text import Text

from etui.analysis.roofline import Roofline
from etui.model_summary import ModelSummary
from etui.text import counted
from etui.tui.details.section_view import emphasis_style
from etui.tui.details.table_tab import TableTab
from etui.tui.details.tree_rows import Node, Rows
from etui.tui.model_summary.rows import module_of, module_rows
from etui.tui.text_layout import Sheet, Styles
from etui.wording import model_summary as wording
from etui.wording import roofline as roofline_wording
from etui.wording.run_sections import Entry

_HIGH = 32
"""From this height on the runs fit above the modules."""


_FIGURES = ("roofline", "achieved", "measured peaks")
"""The labels of a roofline's entries that are above the modules in a low terminal too."""


class ModulesTable(TableTab):
    """Totals, the modules as a tree, and below it the module under the cursor."""

    placeholder = "module or type; -word excludes"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.summary: ModelSummary | None = None
        self.roofline: Roofline | None = None
        self._shows_roofline = False
        self._entries: tuple[list[Entry], list[Entry]] = ([], [])

    def show(
        self, summary: ModelSummary, totals: list[Entry], runs: list[Entry], roofline: Roofline | None = None
    ) -> None:
        """Show a summary with these totals, and the model's runs: in a low terminal below the modules. A roofline with
        times of modules is a second view of them, without these times part of the runs."""
        self.summary, self.roofline = summary, roofline if roofline is not None and roofline.has_profile else None
        if roofline is not None and self.roofline is None:
            runs = [*runs, *roofline_wording.entries(roofline)]
        self._entries = totals, runs
        self._build()

    def next_view(self) -> None:
        """Show what was counted, or the roofline."""
        self._shows_roofline = not self._shows_roofline
        self._build()

    def _build(self) -> None:
        if self.summary is None:
            return
        shown = self.roofline if self._shows_roofline else None
        totals, runs = self._entries if shown is None else _split(roofline_wording.entries(shown))
        before = self.view.rows
        rows = module_rows(self.summary, shown)
        if before is not None and before.columns[0].name == rows.columns[0].name:
            rows.opened |= before.opened
            rows.arrange()
        note = wording.COUNTED if shown is None else roofline_wording.explanation(shown)
        self.view.kinds_of_view = 1 if self.roofline is None else 2
        self.view.show(
            self.keep_filter(rows),
            lambda width, styles: _facts([*totals, *(runs if self._is_high else [])], width, styles),
            lambda width, styles: _tail([] if self._is_high else runs, note, width, styles),
        )
        self.write_foot()

    @property
    def _is_high(self) -> bool:
        return self.app.size.height >= _HIGH

    def foot(self, node: Node | None, width: int, styles: Styles, most: int) -> Text:
        """Return path, type and shapes of the module under the cursor."""
        sheet = Sheet(width, styles)
        module = module_of(node) if node is not None else None
        if module is not None and self.summary is not None:
            for line in [*self._measured(module.path), *wording.module_lines(self.summary, module)]:
                sheet.say(line, styles.muted)
        return Text("\n").join(sheet.text.split("\n")[:most])

    def _measured(self, path: str) -> list[str]:
        roofline = self.roofline if self._shows_roofline else None
        if roofline is None:
            return []
        return [line for point in roofline.points if point.path == path
                for line in roofline_wording.point_lines(roofline, point)]  # fmt: skip

    def match_summary(self, rows: Rows) -> str:
        """Return the number of matching modules, and their work."""
        modules = [module for node in rows.matching() if (module := module_of(node)) is not None]
        work = wording.amount(sum(module.macs for module in modules))
        return f"{counted(len(modules), 'module')} without submodules, {work} multiply-adds"


def _split(entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Return what was achieved and with what it is compared, and the remarks on it."""
    figures = [entry for entry in entries if entry.label in _FIGURES]
    return figures, [entry for entry in entries if entry not in figures]


def _facts(entries: list[Entry], width: int, styles: Styles) -> Text:
    sheet = Sheet(width, styles)
    _add(sheet, entries)
    sheet.line("")
    return sheet.text


def _tail(runs: list[Entry], note: str, width: int, styles: Styles) -> Text:
    sheet = Sheet(width, styles)
    sheet.line("")
    if runs:
        _add(sheet, runs)
        sheet.gap()
    sheet.say(note, styles.muted)
    return sheet.text


def _add(sheet: Sheet, entries: list[Entry]) -> None:
    for entry in entries:
        glyph, style = emphasis_style(sheet, entry.emphasis)
        sheet.fact(entry.label, f"{glyph} {entry.value}" if glyph else entry.value, style)
