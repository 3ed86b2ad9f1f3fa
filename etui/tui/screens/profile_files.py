"""Where the files of a profile are kept for other tools."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget
from textual.widgets import Static

from etui.errors import UsageError
from etui.paths import absolute
from etui.spec import ProfileOptions
from etui.tui.error_text import to_text
from etui.tui.screens.path_dialog import PathDialog
from etui.tui.widgets.cycle import Cycle
from etui.tui.widgets.form_row import FormRow

_TRACE, _RECORD = "trace, ETDump, CSV", "ETRecord too"


class ProfileFilesDialog(PathDialog[ProfileOptions]):
    """Ask for a folder; the result says what to profile and to keep."""

    title_text = "Trace for other tools"
    confirm_label = "Profile"

    def __init__(self) -> None:
        super().__init__("etui-profiles", (), label="Folder")
        self._what = Cycle([(_TRACE, ""), (_RECORD, "lowers the program again")], _TRACE)

    def body(self) -> Iterable[Widget]:
        """What is kept, and where."""
        yield Static(
            "Profiles this run again and keeps the trace (open it in ui.perfetto.dev), the ETDump,"
            " and the operators as CSV.",
            classes="dialog--note", markup=False,
        )  # fmt: skip
        yield self.path_row
        yield FormRow("Keep", self._what)

    def confirm(self) -> None:
        """Give the options back; files that are there are the pass's to refuse."""
        text = self.path.value.strip()
        if not text:
            self.refuse("no folder is named")
            return
        try:
            folder = absolute(text, "the folder")
            is_file = folder.exists() and not folder.is_dir()
        except UsageError as error:
            self.refuse(to_text(error))
            return
        except OSError as error:
            self.refuse(f"cannot look there ({error.strerror}); check its permissions")
            return
        if is_file:
            self.refuse("this is a file; name a folder")
            return
        self.dismiss(ProfileOptions(keep_dir=str(folder), etrecord=self._what.value == _RECORD))
