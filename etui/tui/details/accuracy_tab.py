"""The Accuracy tab of the details: the errors of the outputs; first the evaluation on labelled images, if there is
one."""

from __future__ import annotations

from typing import ClassVar, Literal

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType

from etui.actions import bindings
from etui.analysis.task_changes import evaluation_of
from etui.results import RunDocument, TaskEvaluation
from etui.text import counted
from etui.tui.details import evaluation
from etui.tui.details.accuracy import accuracy_page
from etui.tui.details.table_tab import TableTab
from etui.tui.details.table_view import TreeTable
from etui.tui.details.text_view import Page
from etui.tui.details.tree_rows import Node, Rows
from etui.tui.terminal import chart_palette
from etui.tui.text_layout import Styles

View = Literal["categories", "images", "errors"]

_FEET = ((30, 13), (20, 10), (12, 2))
"""The lines of the footer from a height of the tab on; the larger ones have room for a curve."""


class AccuracyTab(TableTab):
    """The categories with the curve of the one under the cursor, the images with other categories, and the errors of
    the outputs; without an evaluation only the errors."""

    DEFAULT_CSS = """
    AccuracyTab Page { display: none; }
    AccuracyTab.-text Page { display: block; }
    AccuracyTab.-text TreeTable, AccuracyTab.-text #rows-foot, AccuracyTab.-text .rows--line,
    AccuracyTab.-text #rows-field { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [binding for binding in bindings("rows") if binding.id == "rows.view"]
    placeholder = "category; -word excludes"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.add_class("-text")
        self._document: RunDocument | None = None
        self._evaluation: TaskEvaluation | None = None
        self._view = 0

    def compose(self) -> ComposeResult:
        """Compose the table with its footer, and the page of the errors."""
        yield from super().compose()
        yield Page()

    @property
    def views(self) -> tuple[View, ...]:
        """The views that the run has."""
        if self._evaluation is None:
            return ("errors",)
        return ("categories", "images", "errors") if self._evaluation.changed else ("categories", "errors")

    @property
    def current(self) -> View:
        """The view that is shown."""
        return self.views[self._view % len(self.views)]

    @property
    def table(self) -> TreeTable | None:
        """The table; None while the errors are shown."""
        return None if self.current == "errors" else self.view

    def focus(self, scroll_visible: bool = True) -> AccuracyTab:
        """Focus the rows or the page."""
        (self.view if self.table is not None else self.query_one(Page)).focus(scroll_visible)
        return self

    def show(self, document: RunDocument) -> None:
        """Show this run."""
        found, before = evaluation_of(document), self._evaluation
        self._document, self._evaluation = document, found
        self.query_one(Page).write(lambda width, styles: accuracy_page(document, width, styles))
        if found != before or found is None:
            self._draw()

    def next_view(self) -> None:
        """Show the next view: categories, images, errors."""
        if len(self.views) > 1:
            self._view = (self._view + 1) % len(self.views)
            self._draw()
            self.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable changing views if there is one."""
        return len(self.views) > 1 if action == "view" else super().check_action(action, parameters)

    def action_view(self) -> None:
        """Show the next view."""
        self.next_view()

    def foot(self, node: Node | None, width: int, styles: Styles, most: int) -> Text:
        """Return the figures and the curve of a category, or the categories of an image."""
        if self._evaluation is None or self.current == "errors":
            return Text()
        if self.current == "images":
            return evaluation.image_foot(node, width, styles, self._foot_height)
        palette = chart_palette(self.app)
        return evaluation.category_foot(node, self._evaluation, palette, width, self._foot_height, styles)

    def match_summary(self, rows: Rows) -> str:
        """Return the number of matching rows."""
        count = len(rows.matching())
        if self.current == "images":
            return counted(count, "image")
        return "1 category" if count == 1 else f"{count:,} categories"

    def on_resize(self) -> None:
        """Fit the size of the footer to the terminal."""
        self._size_foot()
        super().on_resize()

    @property
    def _foot_height(self) -> int:
        found = next((lines for least, lines in _FEET if self.size.height >= least), 1)
        return min(found, 4) if self.current == "images" else found

    def _size_foot(self) -> None:
        self.query_one("#rows-foot").styles.height = self._foot_height

    def _draw(self) -> None:
        document, found = self._document, self._evaluation
        self.set_class(self.current == "errors", "-text")
        if document is None or found is None or self.current == "errors":
            self.view.show(None, lambda _width, _styles: Text())
            return
        rows = (evaluation.image_rows if self.current == "images" else evaluation.category_rows)(found)
        self.view.kinds_of_view = len(self.views)
        self.view.show(
            self.keep_filter(rows),
            lambda width, styles: evaluation.evaluation_head(document, found, width, styles),
        )
        self._size_foot()
        self.write_foot()
