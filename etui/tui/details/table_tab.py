"""A tab of the details with a table: a filter line, the rows, and a footer about the row under the cursor."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from etui.actions import bindings
from etui.text import plain
from etui.tui.defect_guard import Guarded
from etui.tui.details.table_view import TreeTable
from etui.tui.details.text_view import Paper
from etui.tui.details.tree_rows import Node, Rows
from etui.tui.text_layout import Styles

_TALL = 28
"""From this height on the footer has four lines instead of two."""
_LOW = 12
"""Below this height there is no footer."""


class TableFilter(Input):
    """The line the filter is typed in."""

    BINDINGS: ClassVar[list[BindingType]] = [binding for binding in bindings("filter") if binding.id == "filter.leave"]

    class Left(Message):
        """Escape was pressed."""

    def action_leave(self) -> None:
        """Close the filter and show all rows."""
        self.post_message(self.Left())


class TableTab(Guarded, Vertical):
    """A subclass builds the rows and provides the text of the footer and the summary of matching rows."""

    DEFAULT_CSS = """
    TableTab .rows--line { height: 1; display: none; }
    TableTab.-filtering .rows--line, TableTab.-filtered .rows--line { display: block; }
    TableTab TableFilter { height: 1; border: none; padding: 0 1; }
    TableTab TableFilter:focus { border: none; }
    TableTab #rows-field { display: none; }
    TableTab.-filtering #rows-field { display: block; height: 1; }
    TableTab #rows-left { height: 1; padding: 0 1; }
    TableTab #rows-foot { height: 2; padding: 0 1; margin-top: 1; display: none; }
    TableTab.-tall #rows-foot { height: 4; }
    TableTab.-rows #rows-foot { display: block; }
    TableTab.-low #rows-foot { display: none; }
    """

    placeholder = "text to find; -word excludes"

    def compose(self) -> ComposeResult:
        """Compose filter, rows and footer."""
        with Vertical(id="rows-field"):
            yield TableFilter(placeholder=self.placeholder, compact=True, select_on_focus=False)
        yield Static(id="rows-left", classes="rows--line", markup=False)
        yield TreeTable()
        yield Paper(id="rows-foot")

    @property
    def view(self) -> TreeTable:
        """The rows."""
        return self.query_one(TreeTable)

    @property
    def table(self) -> TreeTable | None:
        """The rows, if they are shown."""
        return self.view

    def focus(self, scroll_visible: bool = True) -> TableTab:
        """Focus the rows."""
        self.view.focus(scroll_visible)
        return self

    def rewrite(self) -> None:
        """Draw in the theme's colours."""
        self.view.lay_out()

    def foot(self, node: Node | None, width: int, styles: Styles, most: int) -> Text:
        """Return the footer for the row under the cursor. Subclasses implement it."""
        raise NotImplementedError

    def match_summary(self, rows: Rows) -> str:
        """Return a summary of the rows that match the filter. Subclasses implement it."""
        raise NotImplementedError

    # The filter

    @property
    def is_filtering(self) -> bool:
        """Whether the filter is being typed."""
        return self.has_class("-filtering")

    def end_filter(self) -> bool:
        """Show all rows; returns False if there was no filter."""
        if not self.has_class("-filtering") and not self.has_class("-filtered"):
            return False
        self.query_one(TableFilter).value = ""
        self.remove_class("-filtering")
        self._apply("")
        self.focus()
        return True

    def keep_filter(self, rows: Rows) -> Rows:
        """Apply the current filter to new rows and return them."""
        rows.filter(self.query_one(TableFilter).value)
        self._show_match_summary(rows)
        return rows

    @on(TreeTable.Asked)
    def _asked(self, message: TreeTable.Asked) -> None:
        message.stop()
        if message.what == "filter":
            self.add_class("-filtering")
            self.query_one(TableFilter).focus()
        elif message.what == "view":
            self.next_view()
        elif message.what == "side":
            self.other_side()

    def next_view(self) -> None:
        """Show the next view, if the tab has several."""

    def other_side(self) -> None:
        """Show the rows of the other side, if the tab has sides."""

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._apply(event.value)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.remove_class("-filtering")
        self.focus()

    @on(TableFilter.Left)
    def _left(self, message: TableFilter.Left) -> None:
        message.stop()
        self.end_filter()

    def _apply(self, query: str) -> None:
        rows = self.view.rows
        if rows is None:
            return
        before = rows.query
        rows.filter(query)
        self._show_match_summary(rows)
        if rows.query == before:
            return
        if rows.query:
            self.view.move_to_top()
        else:
            self.view.rows_changed()

    def _show_match_summary(self, rows: Rows) -> None:
        self.set_class(bool(rows.query.strip()), "-filtered")
        summary = f"{plain(rows.query.strip())}: {plain(self.match_summary(rows))}" if rows.query.strip() else ""
        if rows.query.strip() and not self.is_filtering:
            summary += "; escape clears the filter"
        self.query_one("#rows-left", Static).update(Text(summary, no_wrap=True, overflow="ellipsis"))

    # The footer

    @on(TreeTable.Moved)
    def _moved(self, message: TreeTable.Moved) -> None:
        message.stop()
        self.write_foot()

    def write_foot(self) -> None:
        """Write the footer for the row under the cursor."""
        self.set_class(self.view.rows is not None and bool(self.view.rows.roots), "-rows")
        node, most = self.view.node, 4 if self.has_class("-tall") else 2
        self.query_one("#rows-foot", Paper).write(lambda width, styles: self.foot(node, width, styles, most))

    def on_resize(self) -> None:
        """Fit the size of the footer to the terminal."""
        self.set_class(self.size.height >= _TALL, "-tall")
        self.set_class(self.size.height < _LOW, "-low")
        self.write_foot()
