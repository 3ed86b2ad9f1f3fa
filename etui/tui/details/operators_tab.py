"""The details' tab on operators: where the time goes, by module, by operator or one by one, here and in eager."""

from __future__ import annotations

import asyncio
from functools import partial

from rich.text import Text

from etui.insight import Profile
from etui.tui.details.analyses import PROFILE, missing_page, profile_seconds
from etui.tui.details.loader import Reading
from etui.tui.details.operators import VIEWS, Side, View, operator_rows
from etui.tui.details.operators_text import matched, operators_head, operators_tail, origin_page
from etui.tui.details.table_tab import TableTab
from etui.tui.details.tree_rows import Node, Rows
from etui.tui.text_layout import Styles
from etui.tui.workers import start


class OperatorsTab(TableTab):
    """Shows a profile; without one what makes it."""

    placeholder = "operator, module or place; -word: not that"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._profile: Profile | None = None
        self._subject = ""
        self._kind = 0
        self._side: Side = "program"
        self._wanted: tuple[View, Side] | None = None

    @property
    def kind(self) -> str:
        """How the rows are grouped."""
        return VIEWS[self._kind]

    @property
    def side(self) -> Side:
        """Whose operators they are."""
        return self._side

    def show(self, reading: Reading) -> None:
        """Show this run's profile."""
        document, queued = reading.document, reading.passes.get(PROFILE.name)
        profile = document.profile
        self._subject = f"{document.precision}/{document.delegate}"
        if profile is None:
            self._profile = None
            self.view.show(
                None,
                lambda width, styles: missing_page(document, PROFILE, queued, profile_seconds(document), width, styles),
            )
            self.write_foot()
        else:
            self._make(profile)

    def next_view(self) -> None:
        """By module, by operator, one by one."""
        self._kind = (self._kind + 1) % len(VIEWS)
        self._make(self._profile)

    def other_side(self) -> None:
        """The program's operators, or eager's."""
        self._side = "eager" if self._side == "program" else "program"
        self._make(self._profile)

    def _make(self, profile: Profile | None) -> None:
        """Make the rows, in a thread: of thousands of operators that takes longer than a frame."""
        if profile is not None:
            start(self, partial(self._made, profile), group="rows", exclusive=True)

    async def _made(self, profile: Profile) -> None:
        if profile.eager is None:
            self._side = "program"
        view, side = VIEWS[self._kind], self._side
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
        """Where the row comes from."""
        return origin_page(node, width, styles, most)

    def left(self, rows: Rows) -> str:
        """How many operators are left, and their share."""
        return matched(rows)
