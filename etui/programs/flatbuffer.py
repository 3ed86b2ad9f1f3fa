"""A reader of FlatBuffers that trusts nothing: whatever the bytes say, it stays inside them and comes to an end.

Written by hand because the readers that ExecuTorch generates follow any offset they are given, and importing them
imports all of its ahead-of-time code. The layout is that of https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from etui.errors import UsageError


class DamagedFile(UsageError):
    """The bytes cannot be what the file says it is. The message goes on after the file's name: ``is cut short``."""


class Reader:
    """A buffer and how much of it may still be read: what points at the same bytes again and again runs dry.

    A sound file's elements take at least a byte each, and are read once.
    """

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = buffer
        self.size = len(buffer)
        self._left = self.size + 1024

    def spend(self, elements: int) -> None:
        """Account for reading this many elements. Raises DamagedFile where more are read than the file can hold."""
        self._left -= elements
        if self._left < 0:
            raise DamagedFile("is damaged: its tables point at each other and hold more than the file has bytes")

    def unpack(self, form: str, position: int) -> int:
        """One little-endian integer. Raises DamagedFile where it lies outside."""
        if position < 0 or position + struct.calcsize(form) > self.size:
            raise DamagedFile(f"is damaged: it points at byte {position:,} and has {self.size:,}")
        found: int = struct.unpack_from(form, self._buffer, position)[0]
        return found

    def numbers(self, form: str, position: int, count: int) -> tuple[int, ...]:
        """``count`` little-endian integers."""
        width = struct.calcsize(f"<{form}")
        if position < 0 or position + count * width > self.size:
            raise DamagedFile(
                f"is damaged: it holds a list that ends at byte {position + count * width:,} and has {self.size:,}"
            )
        self.spend(count)
        return struct.unpack_from(f"<{count}{form}", self._buffer, position)

    def text(self, position: int, length: int) -> str:
        """A text of ``length`` bytes; what is no UTF-8 in it is replaced."""
        if position < 0 or position + length > self.size:
            raise DamagedFile(
                f"is damaged: it holds a text that ends at byte {position + length:,} and has {self.size:,}"
            )
        self.spend(length)
        return bytes(self._buffer[position : position + length]).decode("utf-8", "replace")

    def root(self, start: int = 0) -> Table:
        """The table that the buffer is."""
        return Table(self, start + self.unpack("<I", start))


class Table:
    """One table. Fields are known by their number in the schema, from 0; absent ones have their default."""

    __slots__ = ("_fields", "_position", "_reader")

    def __init__(self, reader: Reader, position: int) -> None:
        self._reader = reader
        self._position = position
        reader.spend(1)
        place = position - reader.unpack("<i", position)
        length = reader.unpack("<H", place)
        if length < 4:
            raise DamagedFile("is damaged: one of its tables has no room for its own head")
        self._fields = reader.numbers("H", place + 4, (length - 4) // 2)

    def number(self, field: int, form: str = "i", default: int = 0) -> int:
        """An integer of the ``struct`` form given."""
        place = self._place(field)
        return default if place is None else self._reader.unpack(f"<{form}", place)

    def table(self, field: int) -> Table | None:
        """A table."""
        place = self._place(field)
        return None if place is None else Table(self._reader, self._follow(place))

    def text(self, field: int) -> str:
        """A text."""
        place = self._place(field)
        if place is None:
            return ""
        start = self._follow(place)
        return self._reader.text(start + 4, self._reader.unpack("<I", start))

    def numbers(self, field: int, form: str) -> tuple[int, ...]:
        """A list of integers."""
        start, length = self._list(field)
        return self._reader.numbers(form, start, length)

    def data(self, field: int) -> int:
        """The length of a list of bytes, which is not read. Raises DamagedFile where it does not lie in the file."""
        start, length = self._list(field)
        if start + length > self._reader.size:
            raise DamagedFile(f"is damaged: it holds {length:,} bytes of data in a file of {self._reader.size:,}")
        return length

    def length(self, field: int) -> int:
        """How many elements a list has."""
        return self._list(field)[1]

    def tables(self, field: int) -> Iterator[Table]:
        """The tables of a list."""
        start, length = self._list(field)
        for number in range(length):
            place = start + 4 * number
            yield Table(self._reader, self._follow(place))

    def element(self, field: int, index: int) -> Table | None:
        """One table of a list; None where the list is shorter."""
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
