"""The rows of a log pane: the newest events, wrapped to a width and filtered by level."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

import msgspec
from rich.text import Text

from etui.events import Event, Level
from etui.text import moment, plain
from etui.text import width as cells

KEPT = 2_000
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
GLYPHS: Mapping[str, str] = {
    "debug": "·",
    "info": " ",
    "warning": "!",
    "error": "✗",
    "stage": "▸",
    "block": "▪",
    "finished": "✓",
}
ASCII_GLYPHS: Mapping[str, str] = {
    "debug": ".",
    "info": " ",
    "warning": "!",
    "error": "x",
    "stage": ">",
    "block": "-",
    "finished": "*",
}
_RANK = {level: rank for rank, level in enumerate(LEVELS)}
_LONGEST = 4_000
_STAGE = 9
_WITHOUT_STAGE_UNDER = 56


class LogStyles(msgspec.Struct, frozen=True, kw_only=True):
    """Styles (in rich's notation) and glyphs by kind of line."""

    time: str = ""
    stage: str = ""
    debug: str = ""
    info: str = ""
    warning: str = "bold"
    error: str = "bold"
    match: str = "reverse"
    glyphs: Mapping[str, str] = msgspec.field(default_factory=lambda: GLYPHS)


class _Entry(msgspec.Struct, frozen=True):
    time: str
    stage: str
    kind: str
    level: Level
    lines: tuple[str, ...]


class _Row(msgspec.Struct, frozen=True):
    entry: _Entry
    text: str
    first: bool


class LogLines:
    """The newest ``KEPT`` events and their rows. Long messages are wrapped."""

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque()
        self._rows: deque[_Row] = deque()
        self._width = 80
        self.level: Level = "info"
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._rows)

    def clear(self) -> None:
        """Remove all events; the level and the width stay."""
        self._entries.clear()
        self._rows.clear()
        self.forgotten = 0

    def add(self, events: Iterable[Event], labels: Mapping[str, str]) -> tuple[int, int]:
        """Append events; return the number of rows added at the end and removed at the start."""
        added = dropped = 0
        for event in events:
            entry = _entry(event, labels)
            self._entries.append(entry)
            rows = self._rows_of(entry)
            self._rows.extend(rows)
            added += len(rows)
            if len(self._entries) > KEPT:
                dropped += self._drop_oldest()
        return added, dropped

    def set_width(self, width: int) -> None:
        """Wrap the messages to this width."""
        if width != self._width:
            self._width = width
            self._rebuild()

    def set_level(self, level: Level) -> None:
        """Show this level and higher ones."""
        self.level = level
        self._rebuild()

    def matches(self, term: str) -> list[int]:
        """Return the indices of rows that contain the term, ignoring case."""
        wanted = term.casefold()
        return [number for number, row in enumerate(self._rows) if wanted and wanted in row.text.casefold()]

    def text(self, index: int, styles: LogStyles, term: str = "") -> Text:
        """Return one row, with ``term`` marked in it."""
        row = self._rows[index]
        entry = row.entry
        own = {"debug": styles.debug, "info": styles.info, "warning": styles.warning, "error": styles.error}[
            entry.level
        ]
        narrow = self._width < _WITHOUT_STAGE_UNDER
        line = Text(no_wrap=True, end="")
        if row.first:
            kind = entry.kind if entry.level == "info" and entry.kind in styles.glyphs else entry.level
            line.append(entry.time[:5] if narrow else entry.time, styles.time or None)
            line.append(f" {styles.glyphs[kind]} ", own or None)
            if not narrow:
                # A space always separates the stage from the message.
                stage = entry.stage if len(entry.stage) < _STAGE else entry.stage[: _STAGE - 2] + "."
                line.append(f"{stage:<{_STAGE}}", styles.stage or None)
        else:
            line.append(" " * self._indent())
        start = len(line)
        line.append(row.text, ("bold" if entry.kind == "stage" and not own else own) or None)
        if term:
            lower, wanted = row.text.casefold(), term.casefold()
            at = lower.find(wanted)
            while at >= 0:
                line.stylize(styles.match, start + at, start + at + len(wanted))
                at = lower.find(wanted, at + len(wanted))
        return line

    def _indent(self) -> int:
        return 8 if self._width < _WITHOUT_STAGE_UNDER else 11 + _STAGE

    def _rebuild(self) -> None:
        self._rows.clear()
        for entry in self._entries:
            self._rows.extend(self._rows_of(entry))

    def _rows_of(self, entry: _Entry) -> list[_Row]:
        if _RANK[entry.level] < _RANK[self.level]:
            return []
        room = max(10, self._width - self._indent())
        rows: list[_Row] = []
        for line in entry.lines:
            for text in _wrapped(line, room):
                rows.append(_Row(entry, text, not rows))
        return rows

    def _drop_oldest(self) -> int:
        oldest = self._entries.popleft()
        self.forgotten += 1
        dropped = 0
        while self._rows and self._rows[0].entry is oldest:
            self._rows.popleft()
            dropped += 1
        return dropped


def _entry(event: Event, labels: Mapping[str, str]) -> _Entry:
    message = (
        event.message
        if len(event.message) <= _LONGEST
        else event.message[:_LONGEST] + " ... (truncated; the database has the full text)"
    )
    label = labels.get(event.run_id or "", "")
    if label and label not in message:
        message = f"{label}: {message}"
    lines = tuple(plain(message, keep_lines=True).rstrip("\n").split("\n"))
    return _Entry(local_clock(event.at), plain(event.stage or ""), event.kind, event.level, lines)


def _wrapped(line: str, room: int) -> list[str]:
    if cells(line) <= room:
        return [line]
    rows, row, used = [], "", 0
    for word in line.split(" "):
        size = cells(word)
        if row and used + 1 + size > room:
            rows.append(row)
            row, used = "", 0
        elif row:
            row, used = row + " ", used + 1
        while size > room:
            rows.append(row + word[: room - used])
            word, row, used = word[room - used :], "", 0
            size = cells(word)
        row, used = row + word, used + size
    return [*rows, row]


def local_clock(at: str) -> str:
    """Return the local time of day of an ISO 8601 time, to the second; blank if it cannot be parsed."""
    local = moment(at)
    return f"{local:%H:%M:%S}" if local else " " * 8
