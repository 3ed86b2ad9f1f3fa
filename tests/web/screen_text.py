"""The text that a stream of terminal output leaves on the screen; colours are ignored."""

from __future__ import annotations

import re

from rich.cells import cell_len

_SEQUENCE = re.compile(
    r"\x1b\[(?P<arguments>[0-?]*)[ -/]*(?P<command>[@-~])"
    r"|(?P<osc>\x1b\][^\x07\x1b]*(?:\x07|\x1b\\))"
    r"|\x1b[ -/]*[0-~]"
)


class ScreenText:
    """Understands what Textual writes: cursor positions, text, line ends."""

    def __init__(self) -> None:
        self.osc: list[str] = []
        """The operating system commands that were written (title, notification, clipboard)."""
        self.bells = 0
        self._rows: dict[int, dict[int, str]] = {}
        self._x = self._y = 0
        self._pending = b""

    def feed(self, data: bytes) -> None:
        """Take another message of whole characters and sequences."""
        text = data.decode()
        end = 0
        for found in _SEQUENCE.finditer(text):
            self._write(text[end : found.start()])
            end = found.end()
            if found["osc"]:
                self.osc.append(found["osc"])
            elif found["command"] in ("H", "f"):
                row, _, column = found["arguments"].partition(";")
                self._y, self._x = int(row or 1) - 1, int(column or 1) - 1
        self._write(text[end:])

    @property
    def text(self) -> str:
        """The lines of the screen."""
        lines = []
        for y in range(max(self._rows, default=-1) + 1):
            row = self._rows.get(y, {})
            lines.append("".join(row.get(x, " ") for x in range(max(row, default=-1) + 1)))
        return "\n".join(lines)

    def _write(self, text: str) -> None:
        for character in text:
            if character == "\n":
                self._y += 1
            elif character == "\a":
                self.bells += 1
            elif character == "\r":
                self._x = 0
            elif character >= " ":
                row, width = self._rows.setdefault(self._y, {}), cell_len(character)
                row[self._x] = character
                for covered in range(self._x + 1, self._x + width):
                    row[covered] = ""
                self._x += width
