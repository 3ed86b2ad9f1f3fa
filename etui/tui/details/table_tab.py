"""A tab of the details that is a table: a filter that shows while it is typed, the rows, and a foot on one of them."""

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
"""From this height on the foot has more than its two lines."""
_LOW = 12
"""Under this height there is no foot."""


class TableFilter(Input):
    """The line the filter is typed in."""

    BINDINGS: ClassVar[list[BindingType]] = [one for one in bindings("filter") if one.id == "filter.leave"]

    class Left(Message):
        """Escape was pressed."""

    def action_leave(self) -> None:
        """Leave the line and show every row again."""
        self.post_message(self.Left())


class TableTab(Guarded, Vertical):
    """A subclass makes the rows and says what stands in the foot and what the filter left."""

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

    placeholder = "words that a row has; -word: that it has not"

    def compose(self) -> ComposeResult:
        """Filter, rows, foot."""
        with Vertical(id="rows-field"):
            yield TableFilter(placeholder=self.placeholder, compact=True, select_on_focus=False)
        yield Static(id="rows-left", classes="rows--line", markup=False)
        yield TreeTable()
        yield Paper(id="rows-foot")

    @property
    def view(self) -> TreeTable:
        """The rows."""
        return self.query_one(TreeTable)

    def focus(self, scroll_visible: bool = True) -> TableTab:
        """Give the rows the focus."""
        self.view.focus(scroll_visible)
        return self

    def rewrite(self) -> None:
        """Draw in the theme's colours."""
        self.view.rewrite()

    def foot(self, node: Node | None, width: int, styles: Styles, most: int) -> Text:
        """What stands under the rows on the one under the cursor; a subclass says."""
        raise NotImplementedError

    def left(self, rows: Rows) -> str:
        """What a filter left, in words; a subclass says."""
        raise NotImplementedError

    # The filter

    @property
    def is_filtering(self) -> bool:
        """Whether the filter is being typed."""
        return self.has_class("-filtering")

    def end_filter(self) -> bool:
        """Show every row again; False where nothing was filtered."""
        if not self.has_class("-filtering") and not self.has_class("-filtered"):
            return False
        self.query_one(TableFilter).value = ""
        self.remove_class("-filtering")
        self._apply("")
        self.focus()
        return True

    def keep_filter(self, rows: Rows) -> Rows:
        """Filter other rows by what was typed."""
        rows.filter(self.query_one(TableFilter).value)
        self._say_left(rows)
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
        """Show the rows another way; a subclass that has one does."""

    def other_side(self) -> None:
        """Show the other side's rows; a subclass that has one does."""

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
        self._say_left(rows)
        if rows.query == before:
            return
        if rows.query:
            self.view.begin_again()
        else:
            self.view.rearranged()

    def _say_left(self, rows: Rows) -> None:
        self.set_class(bool(rows.query.strip()), "-filtered")
        words = f"{plain(rows.query.strip())}: {plain(self.left(rows))}" if rows.query.strip() else ""
        if rows.query.strip() and not self.is_filtering:
            words += "; escape shows all"
        self.query_one("#rows-left", Static).update(Text(words, no_wrap=True, overflow="ellipsis"))

    # The foot

    @on(TreeTable.Moved)
    def _moved(self, message: TreeTable.Moved) -> None:
        message.stop()
        self.write_foot()

    def write_foot(self) -> None:
        """Write the foot for the row under the cursor."""
        self.set_class(self.view.rows is not None and bool(self.view.rows.roots), "-rows")
        node, most = self.view.node, 4 if self.has_class("-tall") else 2
        self.query_one("#rows-foot", Paper).write(lambda width, styles: self.foot(node, width, styles, most))

    def on_resize(self) -> None:
        """Give the foot more room in a tall terminal."""
        self.set_class(self.size.height >= _TALL, "-tall")
        self.set_class(self.size.height < _LOW, "-low")
        self.write_foot()
