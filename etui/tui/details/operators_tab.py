"""The Operators tab of the details: the time of each module or operator, in the program and in eager."""

from __future__ import annotations

import asyncio
from functools import partial

from rich.text import Text

from etui.analysis_kinds.profile import PROFILE
from etui.insight import Profile
from etui.tui.details.analyses import profile_seconds
from etui.tui.details.analysis_tab import AnalysisTab
from etui.tui.details.loader import Reading
from etui.tui.details.operators import VIEWS, Side, View, operator_rows
from etui.tui.details.operators_text import matched, operators_head, operators_tail, origin_page
from etui.tui.details.table_tab import TableTab
from etui.tui.details.tree_rows import Node, Rows
from etui.tui.text_layout import Styles
from etui.tui.workers import start


class OperatorsTab(TableTab, AnalysisTab):
    """Shows a profile, or how to start one."""

    kind = PROFILE
    placeholder = "operator, module or location; -word excludes"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._profile: Profile | None = None
        self._subject = ""
        self._grouping = 0
        self._side: Side = "program"
        self._wanted: tuple[View, Side] | None = None

    @property
    def grouping(self) -> str:
        """How the rows are grouped."""
        return VIEWS[self._grouping]

    @property
    def side(self) -> Side:
        """Whether the operators are the program's or eager's."""
        return self._side

    def show(self, reading: Reading) -> None:
        """Show this run's profile."""
        document = reading.document
        profile = PROFILE.result_in(document)
        self._subject = document.configuration
        if profile is None:
            self._profile = None
            self.view.show(None, self.missing(reading, profile_seconds(document)))
            self.write_foot()
        else:
            self._build(profile)

    def next_view(self) -> None:
        """Group the rows by module, by operator, or not at all."""
        self._grouping = (self._grouping + 1) % len(VIEWS)
        self._build(self._profile)

    def other_side(self) -> None:
        """Switch between the program's operators and eager's."""
        self._side = "eager" if self._side == "program" else "program"
        self._build(self._profile)

    def _build(self, profile: Profile | None) -> None:
        """Build the rows in a thread: thousands of operators take longer than a frame."""
        if profile is not None:
            start(self, partial(self._build_in_thread, profile), group="rows", exclusive=True)

    async def _build_in_thread(self, profile: Profile) -> None:
        if profile.eager is None:
            self._side = "program"
        view, side = VIEWS[self._grouping], self._side
        before, wanted = self._profile, (view, side)
        same = before is not None and wanted == self._wanted and await asyncio.to_thread(lambda: before == profile)
        if same:
            return
        rows = await asyncio.to_thread(operator_rows, profile, view, side)
        self._profile, self._wanted = profile, wanted
        self._show_rows(rows, profile, view, side)

    def _show_rows(self, rows: Rows, profile: Profile, view: View, side: Side) -> None:
        name = self._subject
        before = self.view.rows
        if before is not None and any(column.name == before.sort for column in rows.columns):
            rows.opened |= before.opened
            rows.arrange()
        rows = self.keep_filter(rows)
        self.view.kinds_of_view = len(VIEWS)
        self.view.has_sides = profile.eager is not None
        self.view.show(
            rows,
            lambda width, styles: operators_head(profile, side, view, name, width, styles),
            lambda width, styles: operators_tail(profile, width, styles),
        )
        self.write_foot()

    def foot(self, node: Node | None, width: int, styles: Styles, most: int) -> Text:
        """Return the source of the row."""
        return origin_page(node, width, styles, most)

    def match_summary(self, rows: Rows) -> str:
        """Return the number of matching operators, and their share."""
        return matched(rows)
