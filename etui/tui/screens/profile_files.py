"""The dialog that asks where to keep a profile's files for other tools."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget
from textual.widgets import Static

from etui.analysis_kinds.profile import ProfileOptions
from etui.errors import UsageError
from etui.paths import absolute
from etui.tui.error_text import to_text
from etui.tui.screens.path_dialog import PathDialog
from etui.tui.widgets.cycle import Cycle
from etui.tui.widgets.form_row import FormRow

_TRACE, _RECORD = "trace, ETDump, CSV", "also ETRecord"


class ProfileFilesDialog(PathDialog[ProfileOptions]):
    """Ask for a folder; the result is the options of the profile."""

    title_text = "Trace for other tools"
    confirm_label = "Profile"

    def __init__(self) -> None:
        super().__init__("etui-profiles", (), label="Folder")
        self._what = Cycle([(_TRACE, ""), (_RECORD, "lowers the program again")], _TRACE)

    def body(self) -> Iterable[Widget]:
        """A note, the folder, and the kinds of files."""
        yield Static(
            "Profiles this run again and keeps the trace (for ui.perfetto.dev), the ETDump and the operators"
            " as CSV.",
            classes="dialog--note", markup=False,
        )  # fmt: skip
        yield self.path_row
        yield FormRow("Keep", self._what)

    def confirm(self) -> None:
        """Return the options. Existing files are refused by the analysis, not here."""
        text = self.path.value.strip()
        if not text:
            self.refuse("no folder is given; enter one")
            return
        try:
            folder = absolute(text, "the folder")
            is_file = folder.exists() and not folder.is_dir()
        except UsageError as error:
            self.refuse(to_text(error))
            return
        except OSError as error:
            self.refuse(f"cannot access this folder ({error.strerror}); check its permissions")
            return
        if is_file:
            self.refuse("this is a file; enter a folder")
            return
        self.dismiss(ProfileOptions(keep_dir=str(folder), etrecord=self._what.value == _RECORD))
