"""The dialog that jumps to a run by the beginning of its id."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from etui.errors import StoreError, UsageError
from etui.facts import RunSummary
from etui.store import Store
from etui.text import local_time
from etui.tui.database import Database
from etui.tui.error_text import screen_hint, to_text
from etui.tui.screens.dialog import Dialog
from etui.tui.widgets.form_row import FormRow
from etui.tui.workers import start


class JumpDialog(Dialog[str]):
    """Ask for the beginning of a run's id; the result is the full id of the only run that matches."""

    title_text = "Jump to a run"
    confirm_label = "Jump"

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._input = Input(placeholder="beginning of the run id", compact=True)
        self._row = FormRow("Run", self._input)

    def body(self) -> Iterable[Widget]:
        """The field."""
        yield self._row

    def confirm(self) -> None:
        """Return the matching run, or report why there is none."""
        self._input.focus()
        self._start_search(confirmed=True)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._start_search(confirmed=False)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.confirm()

    def _start_search(self, *, confirmed: bool) -> None:
        prefix = self._input.value.strip()
        start(self, partial(self._search, prefix, confirmed=confirmed), group="search", exclusive=True)

    async def _search(self, prefix: str, *, confirmed: bool) -> None:
        """Find the run and show it, or report why there is none; if ``confirmed``, return it."""
        if not prefix and not confirmed:
            self._row.mark(None)
            self.say("")
            return

        def find(store: Store) -> RunSummary:
            return store.summary(store.resolve(prefix))

        try:
            run = await self._database.read(find)
        except UsageError as error:
            self._row.mark(error.message)
            self.say(screen_hint(error))
            return
        except StoreError as error:
            self._row.mark(to_text(error))
            self.say("")
            return
        self._row.mark(None)
        self.say(f"{run.id}  {run.model} {run.configuration}, {run.status}, {local_time(run.created_at)}")
        if confirmed:
            self.dismiss(run.id)
