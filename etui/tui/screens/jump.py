"""To a run by its id: the beginning of it is enough."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from etui.errors import StoreError, UsageError
from etui.store import Store
from etui.text import local_time
from etui.tui.screens.dialog import Dialog
from etui.tui.widgets.form_row import FormRow


class JumpDialog(Dialog[str]):
    """Ask for a run's id; the result is the whole id of the one run that begins so."""

    title_text = "Jump to a run"
    confirm_label = "Jump"

    def __init__(self, database: Path) -> None:
        super().__init__()
        self._database = database
        self._input = Input(placeholder="the beginning of its id", compact=True)
        self._row = FormRow("Run", self._input)
        self._found: str | None = None

    def body(self) -> Iterable[Widget]:
        """The field."""
        yield self._row

    def confirm(self) -> None:
        """Jump, or say why that cannot be."""
        self._look(self._input.value.strip())
        if self._found is not None:
            self.dismiss(self._found)
        else:
            self._input.focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        text = event.value.strip()
        if text:
            self._look(text)
        else:
            self._row.mark(None)
            self.say("")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()

    def _look(self, prefix: str) -> None:
        """See which run begins so, and say it."""
        self._found = None
        try:
            with Store.open(self._database, create=False) as store:
                summary = store.summary(store.resolve(prefix))
        except UsageError as error:
            several = "several" in error.message
            self._row.mark(error.message)
            self.say(error.hint if several else "")
            return
        except StoreError as error:
            self._row.mark(str(error))
            self.say("")
            return
        self._found = summary.id
        self._row.mark(None)
        self.say(
            f"{summary.id}  {summary.model} {summary.precision}/{summary.delegate}, {summary.status},"
            f" {local_time(summary.created_at)}"
        )
