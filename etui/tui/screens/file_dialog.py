"""A dialog that writes one file of a kind that its ending names; asks before it overwrites a file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.widget import Widget

from etui.errors import EtuiError, UsageError
from etui.files.atomic import write_file
from etui.paths import absolute, expanded
from etui.text import plain
from etui.tui.error_text import to_text
from etui.tui.screens.path_dialog import WriteDialog, here
from etui.tui.workers import start


class FileDialog(WriteDialog[Path]):
    """Ask for a file and write it; the result is the file. A subclass has the ``kinds`` of files with what they are,
    the ``advice`` for an ending that is none of them, the ``refusal`` of it, and the ``content``."""

    confirm_label = "Write"
    kinds: ClassVar[Mapping[str, str]]
    advice: ClassVar[str]
    refusal: ClassVar[str]

    def __init__(self, name: str) -> None:
        """``name`` is the suggested name of the file."""
        super().__init__(str(here() / name), tuple(self.kinds))

    def content(self, target: Path) -> bytes:
        """Return the content of the file; called in a thread. Raises EtuiError."""
        raise NotImplementedError

    def body(self) -> Iterable[Widget]:
        """The path, and a preview of what will be written."""
        yield self.path_row
        yield self.preview

    def on_mount(self) -> None:
        """Update the preview."""
        self.path_changed(self.path.value)

    def path_changed(self, text: str) -> None:
        """Update the preview."""
        super().path_changed(text)
        target = expanded(text.strip())
        notes = [self.kinds.get(target.suffix.lower(), self.advice)]
        try:
            if target.suffix.lower() in self.kinds and target.exists():
                notes.append("it exists already: you are asked before it is overwritten")
            elif target.suffix.lower() in self.kinds and not target.parent.is_dir():
                notes.append(f"the folder {target.parent} will be created")
        except OSError as error:
            notes.append(f"cannot access this path ({error.strerror})")
        self.preview.update(Text(plain("; ".join(notes))))

    def confirm(self) -> None:
        """Write the file; ask first if it exists."""
        try:
            target = absolute(self.path.value.strip(), "the file")
        except UsageError as error:
            self.refuse(to_text(error))
            return
        if target.suffix.lower() not in self.kinds:
            self.refuse(self.refusal)
            return
        try:
            is_folder, exists = target.is_dir(), target.exists()
        except OSError as error:
            self.path_row.mark(f"cannot access this path ({error.strerror}); check its permissions")
            return
        if is_folder:
            self.path_row.mark("this is a folder; enter a file in it")
        elif exists:
            self.ask(target, [target])
        else:
            self.begin(target, force=False)

    def write(self, target: Path, *, force: bool) -> None:
        """Write the file in a thread."""
        self.say("writing")
        start(self, partial(self._write, target, force), group="write-file")

    async def _write(self, target: Path, force: bool) -> None:
        try:
            await asyncio.to_thread(self._write_file, target, force)
        except EtuiError as error:
            self.allow_retry()
            self.say(error.without_commands, problem=True)
        else:
            self.dismiss(target)

    def _write_file(self, target: Path, force: bool) -> None:
        write_file(target, self.content(target), force=force)
