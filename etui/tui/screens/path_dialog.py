"""What dialogs about files share: a path with suggestions, and the question before files are overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from textual import on
from textual.widgets import Button, Static

from etui.tui import suggestions as suggest
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.dialog import CONFIRM, Dialog
from etui.tui.widgets.combo import Combo
from etui.tui.widgets.form_row import FormRow

Result = TypeVar("Result")

_NAMED = 8


class PathDialog(Dialog[Result]):
    """A dialog with the row of a path, where Enter confirms. The subclass puts ``path_row`` into its body."""

    def __init__(self, start: str, suffixes: Sequence[str], *, label: str = "Path", placeholder: str = "") -> None:
        """``start`` is the path to begin with; folders and files with the ``suffixes`` are suggested."""
        super().__init__()
        self.path = Combo(start, suggest=lambda text: suggest.paths(text, tuple(suffixes)), placeholder=placeholder)
        self.path_row = FormRow(label, self.path)

    def on_mount(self) -> None:
        """Begin in the field."""
        self.path.focus()

    def path_changed(self, text: str) -> None:
        """Another path stands in the field: what was wrong with the last one is no more."""
        self.path_row.mark(None)

    def refuse(self, problem: str) -> None:
        """Say what is wrong with the path, and go back to it."""
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
    """A dialog that writes to its path, and never over a file without asking. The subclass gives ``write``."""

    def __init__(self, start: str, suffixes: Sequence[str]) -> None:
        super().__init__(start, suffixes)
        self.preview = Static(classes="dialog--note", markup=False)
        """What would be written, for the body."""

    def write(self, target: Path, *, force: bool) -> None:
        """Write to the target; with ``force`` over what is there."""
        raise NotImplementedError

    def begin(self, target: Path, *, force: bool) -> None:
        """Write, once: until ``again`` there is no confirming."""
        self.query_one(f"#{CONFIRM}", Button).disabled = True
        self.write(target, force=force)

    def again(self) -> None:
        """It did not come to writing, or failed: let it be tried again."""
        self.query_one(f"#{CONFIRM}", Button).disabled = False

    def ask(self, target: Path, there: Sequence[Path]) -> None:
        """Ask before the files that are there are overwritten; ``target`` is the path they stand for."""
        count = len(there)
        what, holds = ("This file is", "it holds") if count == 1 else (f"These {count:,} files are", "they hold")
        names = "\n".join(map(str, there[:_NAMED])) + (f"\nand {count - _NAMED:,} more" if count > _NAMED else "")

        def answered(overwrite: bool | None) -> None:
            if overwrite:
                self.begin(target, force=True)
            else:
                self.again()
                self.path.focus()

        text = f"{what} there already:\n\n{names}\n\nWhat {holds} now is lost."
        self.app.push_screen(ConfirmDialog("Overwrite?", text, "Overwrite"), answered)


def here() -> Path:
    """The current folder; the home folder where that was removed meanwhile."""
    try:
        return Path.cwd()
    except OSError:
        return Path.home()
