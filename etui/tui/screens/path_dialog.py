"""Base classes of dialogs with a path: suggestions, and the confirmation before files are overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from textual import on
from textual.widgets import Button, Static

from etui.tui import suggestions
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.dialog import CONFIRM, Dialog
from etui.tui.widgets.combo import Combo
from etui.tui.widgets.form_row import FormRow

Result = TypeVar("Result")

_MOST_NAMED = 8


class PathDialog(Dialog[Result]):
    """A dialog with a path field, in which Enter confirms. The subclass adds ``path_row`` to its body."""

    def __init__(self, start: str, suffixes: Sequence[str], *, label: str = "Path", placeholder: str = "") -> None:
        """``start`` is the initial path; folders, and files with the ``suffixes``, are suggested."""
        super().__init__()
        self.path = Combo(start, suggest=lambda text: suggestions.paths(text, tuple(suffixes)), placeholder=placeholder)
        self.path_row = FormRow(label, self.path)

    def on_mount(self) -> None:
        """Focus the field."""
        self.path.focus()

    def path_changed(self, text: str) -> None:
        """Handle an edit of the path: clear the message about the previous one."""
        self.path_row.mark(None)

    def refuse(self, problem: str) -> None:
        """Show what is wrong with the path, and focus the field."""
        self.path_row.mark(problem)
        self.path.focus()

    @on(Combo.Typed)
    @on(Combo.Changed)
    def _path_changed(self, event: Combo.FieldMessage) -> None:
        event.stop()
        self.path_changed(event.value)

    @on(Combo.Submitted)
    def _path_submitted(self, event: Combo.Submitted) -> None:
        event.stop()
        self.confirm()


class WriteDialog(PathDialog[Result]):
    """A dialog that writes to its path and asks before it overwrites files. The subclass implements ``write``."""

    def __init__(self, start: str, suffixes: Sequence[str]) -> None:
        super().__init__(start, suffixes)
        self.preview = Static(classes="dialog--note", markup=False)
        """A preview of what will be written, for the body."""

    def write(self, target: Path, *, force: bool) -> None:
        """Write to the target; with ``force``, overwrite existing files."""
        raise NotImplementedError

    def begin(self, target: Path, *, force: bool) -> None:
        """Start writing; confirming is disabled until ``allow_retry``."""
        self.query_one(f"#{CONFIRM}", Button).disabled = True
        self.write(target, force=force)

    def allow_retry(self) -> None:
        """Enable confirming after writing failed or was declined."""
        self.query_one(f"#{CONFIRM}", Button).disabled = False

    def ask(self, target: Path, existing: Sequence[Path]) -> None:
        """Ask before existing files are overwritten; ``target`` is the path that was entered."""
        count = len(existing)
        more = f"\nand {count - _MOST_NAMED:,} more" if count > _MOST_NAMED else ""
        names = "\n".join(map(str, existing[:_MOST_NAMED])) + more

        def answered(overwrite: bool | None) -> None:
            if overwrite:
                self.begin(target, force=True)
            else:
                self.allow_retry()
                self.path.focus()

        which, content = ("This file exists", "Its") if count == 1 else (f"These {count:,} files exist", "Their")
        text = f"{which} already:\n\n{names}\n\n{content} content will be lost."
        self.app.push_screen(ConfirmDialog("Overwrite?", text, "Overwrite"), answered)


def here() -> Path:
    """Return the current folder, or the home folder if the current one was removed."""
    try:
        return Path.cwd()
    except OSError:
        return Path.home()
