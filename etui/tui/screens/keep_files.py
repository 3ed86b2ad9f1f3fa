"""Where the files of a profile are kept for other tools."""

from __future__ import annotations

from collections.abc import Iterable

from textual import on
from textual.widget import Widget
from textual.widgets import Static

from etui.paths import expanded
from etui.spec import ProfileOptions
from etui.tui import suggest
from etui.tui.screens.dialog import Dialog
from etui.tui.widgets.combo import Combo
from etui.tui.widgets.cycle import Cycle
from etui.tui.widgets.form_row import FormRow

_TRACE, _RECORD = "trace, ETDump, CSV", "ETRecord too"


class KeepFilesDialog(Dialog[ProfileOptions]):
    """Ask for a folder; the result says what to profile and to keep."""

    title_text = "Trace for other tools"
    confirm_label = "Profile"

    def __init__(self) -> None:
        super().__init__()
        self._path = Combo("etui-profiles", suggest=lambda text: suggest.paths(text, ()))
        self._row = FormRow("Folder", self._path)
        self._what = Cycle([(_TRACE, ""), (_RECORD, "lowers the program again")], _TRACE)

    def body(self) -> Iterable[Widget]:
        """What is kept, and where."""
        yield Static(
            "Profiles this run again and keeps the trace (open it in ui.perfetto.dev), the ETDump,"
            " and the operators as CSV.",
            classes="dialog--note", markup=False,
        )  # fmt: skip
        yield self._row
        yield FormRow("Keep", self._what)

    def on_mount(self) -> None:
        """Begin in the field."""
        self._path.focus()

    def confirm(self) -> None:
        """Give the options back; files that are there are the pass's to refuse."""
        text = self._path.value.strip()
        if not text:
            self._row.mark("no folder is named")
            self._path.focus()
            return
        folder = expanded(text).absolute()
        if folder.exists() and not folder.is_dir():
            self._row.mark("this is a file; name a folder")
            self._path.focus()
            return
        self.dismiss(ProfileOptions(keep_dir=str(folder), etrecord=self._what.value == _RECORD))

    @on(Combo.Submitted)
    def _submitted(self, event: Combo.Submitted) -> None:
        event.stop()
        self.confirm()
