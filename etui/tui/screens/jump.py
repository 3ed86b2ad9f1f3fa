"""The dialog that jumps to a run by the beginning of its id."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from etui.errors import StoreError, UsageError
from etui.store import Store
from etui.text import local_time
from etui.tui.error_text import screen_hint, to_text
from etui.tui.screens.dialog import Dialog
from etui.tui.widgets.form_row import FormRow


class JumpDialog(Dialog[str]):
    """Ask for the beginning of a run's id; the result is the full id of the only run that matches."""

    title_text = "Jump to a run"
    confirm_label = "Jump"

    def __init__(self, database: Path) -> None:
        super().__init__()
        self._database = database
        self._input = Input(placeholder="beginning of the run id", compact=True)
        self._row = FormRow("Run", self._input)
        self._match: str | None = None

    def body(self) -> Iterable[Widget]:
        """The field."""
        yield self._row

    def confirm(self) -> None:
        """Return the matching run, or report why there is none."""
        self._find(self._input.value.strip())
        if self._match is not None:
            self.dismiss(self._match)
        else:
            self._input.focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        text = event.value.strip()
        if text:
            self._find(text)
        else:
            self._row.mark(None)
            self.say("")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()

    def _find(self, prefix: str) -> None:
        """Find the run and show it, or report why there is none."""
        self._match = None
        try:
            with Store.open(self._database, create=False) as store:
                summary = store.summary(store.resolve(prefix))
        except UsageError as error:
            self._row.mark(error.message)
            self.say(screen_hint(error))
            return
        except StoreError as error:
            self._row.mark(to_text(error))
            self.say("")
            return
        self._match = summary.id
        self._row.mark(None)
        self.say(
            f"{summary.id}  {summary.model} {summary.precision}/{summary.delegate}, {summary.status},"
            f" {local_time(summary.created_at)}"
        )
