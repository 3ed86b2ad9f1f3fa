"""A FlatBuffers reader for untrusted files: it never reads outside the buffer and always terminates.

Written by hand because ExecuTorch's generated readers follow any offset and import all of its ahead-of-time code. The
layout is that of https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from etui.errors import UsageError


class DamagedFile(UsageError):
    """The bytes are not a valid file of the expected format. The message continues a sentence that starts with the
    file's name: ``is truncated``."""


class Reader:
    """A buffer and a budget of elements to read, so that tables that reference each other cannot cause endless reads.

    Every element of a valid file takes at least one byte and is read once.
    """

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = buffer
        self.size = len(buffer)
        self._left = self.size + 1024

    def spend(self, elements: int) -> None:
        """Account for reading this many elements. Raises DamagedFile if more are read than the file can contain."""
        self._left -= elements
        if self._left < 0:
            raise DamagedFile(
                "is damaged: its tables reference each other and contain more elements than the file has bytes"
            )

    def unpack(self, form: str, position: int) -> int:
        """Read one little-endian integer. Raises DamagedFile if it is outside the buffer."""
        if position < 0 or position + struct.calcsize(form) > self.size:
            raise DamagedFile(f"is damaged: it references byte {position:,} of {self.size:,}")
        value: int = struct.unpack_from(form, self._buffer, position)[0]
        return value

    def numbers(self, form: str, position: int, count: int) -> tuple[int, ...]:
        """Read ``count`` little-endian integers."""
        width = struct.calcsize(f"<{form}")
        if position < 0 or position + count * width > self.size:
            raise DamagedFile(f"is damaged: a list in it ends at byte {position + count * width:,} of {self.size:,}")
        self.spend(count)
        return struct.unpack_from(f"<{count}{form}", self._buffer, position)

    def text(self, position: int, length: int) -> str:
        """Read a text of ``length`` bytes; bytes that are not valid UTF-8 are replaced."""
        if position < 0 or position + length > self.size:
            raise DamagedFile(f"is damaged: a text in it ends at byte {position + length:,} of {self.size:,}")
        self.spend(length)
        return bytes(self._buffer[position : position + length]).decode("utf-8", "replace")

    def root(self, start: int = 0) -> Table:
        """Return the root table."""
        return Table(self, start + self.unpack("<I", start))


class Table:
    """One table. Fields are identified by their number in the schema, from 0; absent fields have their default."""

    __slots__ = ("_fields", "_position", "_reader")

    def __init__(self, reader: Reader, position: int) -> None:
        self._reader = reader
        self._position = position
        reader.spend(1)
        place = position - reader.unpack("<i", position)
        length = reader.unpack("<H", place)
        if length < 4:
            raise DamagedFile("is damaged: one of its tables is smaller than a table header")
        self._fields = reader.numbers("H", place + 4, (length - 4) // 2)

    def number(self, field: int, form: str = "i", default: int = 0) -> int:
        """Return an integer field of the given ``struct`` format."""
        place = self._place(field)
        return default if place is None else self._reader.unpack(f"<{form}", place)

    def table(self, field: int) -> Table | None:
        """Return a table field; None if absent."""
        place = self._place(field)
        return None if place is None else Table(self._reader, self._follow(place))

    def text(self, field: int) -> str:
        """Return a text field; empty if absent."""
        place = self._place(field)
        if place is None:
            return ""
        start = self._follow(place)
        return self._reader.text(start + 4, self._reader.unpack("<I", start))

    def numbers(self, field: int, form: str) -> tuple[int, ...]:
        """Return a list of integers."""
        start, length = self._list(field)
        return self._reader.numbers(form, start, length)

    def data(self, field: int) -> int:
        """Return the length of a list of bytes without reading it. Raises DamagedFile if it is outside the file."""
        start, length = self._list(field)
        if start + length > self._reader.size:
            raise DamagedFile(f"is damaged: it contains {length:,} bytes of data in a file of {self._reader.size:,}")
        return length

    def length(self, field: int) -> int:
        """Return the number of elements of a list."""
        return self._list(field)[1]

    def tables(self, field: int) -> Iterator[Table]:
        """Yield the tables of a list."""
        start, length = self._list(field)
        for number in range(length):
            place = start + 4 * number
            yield Table(self._reader, self._follow(place))

    def element(self, field: int, index: int) -> Table | None:
        """Return one table of a list; None if the list is shorter."""
        start, length = self._list(field)
        if not 0 <= index < length:
            return None
        return Table(self._reader, self._follow(start + 4 * index))

    def _place(self, field: int) -> int | None:
        if field >= len(self._fields) or not self._fields[field]:
            return None
        return self._position + self._fields[field]

    def _follow(self, place: int) -> int:
        return place + self._reader.unpack("<I", place)

    def _list(self, field: int) -> tuple[int, int]:
        place = self._place(field)
        if place is None:
            return 0, 0
        start = self._follow(place)
        return start + 4, self._reader.unpack("<I", start)
