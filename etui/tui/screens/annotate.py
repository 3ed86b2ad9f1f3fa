"""The dialog that edits a run's note and tags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual import on
from textual.widget import Widget
from textual.widgets import Input, TextArea

from etui.tui.screens.dialog import Dialog
from etui.tui.widgets.form_row import FormRow


class AnnotateDialog(Dialog[tuple[str, list[str]]]):
    """Edit a note (any number of lines) and tags (separated by commas); the result is both."""

    title_text = "Note and tags"
    confirm_label = "Save"

    DEFAULT_CSS = """
    AnnotateDialog TextArea { height: 6; width: 1fr; background: $panel; padding: 0; }
    AnnotateDialog FormRow { margin-bottom: 1; }
    """

    def __init__(self, note: str, tags: Sequence[str]) -> None:
        super().__init__()
        self._note = TextArea(note, tab_behavior="focus", compact=True, highlight_cursor_line=False)
        self._tags = Input(", ".join(tags), placeholder="separated by commas", compact=True)

    def body(self) -> Iterable[Widget]:
        """The two fields."""
        yield FormRow("Note", self._note)
        yield FormRow("Tags", self._tags)

    def confirm(self) -> None:
        """Return both."""
        tags = dict.fromkeys(" ".join(tag.split()) for tag in self._tags.value.split(","))
        self.dismiss((self._note.text.strip(), [tag for tag in tags if tag]))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()
