"""One row of a form: a label, a field, and below it an error message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from etui.errors import EtuiError
from etui.text import plain
from etui.tui.error_text import to_text
from etui.tui.glyphs import glyphs_of


class FormRow(Vertical):
    """A label and a field. The label is marked if the field has the focus or is invalid."""

    DEFAULT_CSS = """
    FormRow { height: auto; }
    FormRow > Horizontal { height: auto; }
    FormRow .form--label { width: 11; height: 1; color: $text-muted; }
    FormRow.-focused .form--label { color: $text-accent; text-style: bold; }
    FormRow .form--problem { display: none; height: auto; padding-left: 1; color: $text-error; }
    FormRow.-wrong .form--problem { display: block; }
    FormRow.-wrong .form--label { color: $text-error; text-style: bold; }
    """

    def __init__(self, label: str, field: Widget, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._label = label
        self._field = field
        self._mark = Static(f" {label}", classes="form--label", markup=False)
        self._problem = Static(classes="form--problem", markup=False)

    def compose(self) -> ComposeResult:
        """Compose the label and the field on one line, the error below."""
        with Horizontal():
            yield self._mark
            yield self._field
        yield self._problem

    @property
    def field(self) -> Widget:
        """The field."""
        return self._field

    @property
    def problem(self) -> str:
        """The error message, empty if the field is valid."""
        return str(self._problem.content) if self.has_class("-wrong") else ""

    def mark(self, problem: str | None) -> None:
        """Show an error message; None if the field is valid."""
        self._problem.update(Text(plain(f"! {problem}")) if problem else "")
        self.set_class(problem is not None, "-wrong")
        self._relabel()

    def on_descendant_focus(self) -> None:
        """Mark the label."""
        self.add_class("-focused")
        self._relabel()

    def on_descendant_blur(self) -> None:
        """Unmark the label."""
        self.remove_class("-focused")
        self._relabel()

    @property
    def has_the_focus(self) -> bool:
        """Whether the field has the focus."""
        return self.has_class("-focused")

    def _relabel(self) -> None:
        signs = glyphs_of(self)
        glyph = signs.cursor if self.has_the_focus else signs.flagged if self.has_class("-wrong") else " "
        self._mark.update(Text(glyph + self._label))


def read_rows(rows: Mapping[str, FormRow], readers: Mapping[str, Callable[[], Any]]) -> dict[str, Any] | None:
    """Return the value that each reader gives for the row of its name. If some raise EtuiError, mark their rows, focus
    the first of them, and return None."""
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for name, read in readers.items():
        try:
            values[name] = read()
        except EtuiError as error:
            wrong.append(name)
            rows[name].mark(to_text(error))
        else:
            rows[name].mark(None)
    if wrong:
        rows[wrong[0]].field.focus()
        return None
    return values
