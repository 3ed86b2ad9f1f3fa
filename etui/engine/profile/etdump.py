"""Read the ETDump of this process's runtime: the events of each inference as a flat list in the order they ended.

Written by hand, because importing ``executorch.devtools`` takes seconds and it calls ``flatc``. Field numbers are those
of ExecuTorch 1.5's ``devtools/etdump/etdump_schema_flatcc.fbs``. Offsets are trusted, since this process wrote the
bytes; do not use it for files from elsewhere.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from etui.engine.runtime.execution import RuntimeFailure

EXECUTE = "Execute"
"""The name of the block of events of one inference."""

METHOD, OPERATOR, DELEGATE, NATIVE = "Method::execute", "OPERATOR_CALL", "DELEGATE_CALL", "native_call_"

_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_U16 = struct.Struct("<H")
_U64 = struct.Struct("<Q")
_IDENTIFIER = b"ED00"


class TracedEvent(NamedTuple):
    """One event: its name (``native_call_add.out``), or that of a delegate's operator in ``inner``; its instruction,
    and its start and end in nanoseconds."""

    name: str
    inner: str
    chain: int
    instruction: int
    start_ns: int
    end_ns: int


def read_inferences(data: bytes) -> list[list[TracedEvent]]:
    """Return the events of each inference in order. Raises RuntimeFailure if the bytes are not an ETDump."""
    start = 4 if data[8:12] == _IDENTIFIER else 0
    if data[start + 4 : start + 8] != _IDENTIFIER:
        raise RuntimeFailure("the runtime wrote no ETDump", "use a build of ExecuTorch that supports tracing")
    try:
        return _Dump(data).inferences(start)
    except (struct.error, IndexError) as error:
        raise RuntimeFailure(f"cannot read the ETDump of the runtime ({error})") from error


class _Dump:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._texts: dict[int, str] = {}

    def inferences(self, start: int) -> list[list[TracedEvent]]:
        root = start + _U32.unpack_from(self._data, start)[0]
        inferences = []
        for run in self._tables(root, 1):
            if self._text(run, 0) == EXECUTE:
                events = [
                    self._event(profile)
                    for event in self._tables(run, 3)
                    if (profile := self._table(event, 0)) is not None
                ]
                inferences.append(events)
        return inferences

    def _event(self, table: int) -> TracedEvent:
        return TracedEvent(
            name=self._text(table, 0),
            inner=self._text(table, 4),
            chain=self._number(table, 1, _I32, 0),
            instruction=self._number(table, 2, _I32, -1),
            start_ns=self._number(table, 6, _U64, 0),
            end_ns=self._number(table, 7, _U64, 0),
        )

    def _place(self, table: int, field: int) -> int:
        """Return the position of a field; 0 if it is absent."""
        data = self._data
        fields = table - _I32.unpack_from(data, table)[0]
        at = 4 + 2 * field
        if at >= _U16.unpack_from(data, fields)[0]:
            return 0
        offset: int = _U16.unpack_from(data, fields + at)[0]
        return table + offset if offset else 0

    def _number(self, table: int, field: int, form: struct.Struct, default: int) -> int:
        place = self._place(table, field)
        return int(form.unpack_from(self._data, place)[0]) if place else default

    def _follow(self, place: int) -> int:
        return place + int(_U32.unpack_from(self._data, place)[0])

    def _table(self, table: int, field: int) -> int | None:
        place = self._place(table, field)
        return self._follow(place) if place else None

    def _tables(self, table: int, field: int) -> list[int]:
        place = self._place(table, field)
        if not place:
            return []
        start = self._follow(place)
        count = _U32.unpack_from(self._data, start)[0]
        return [self._follow(start + 4 + 4 * index) for index in range(count)]

    def _text(self, table: int, field: int) -> str:
        place = self._place(table, field)
        if not place:
            return ""
        start = self._follow(place)
        known = self._texts.get(start)
        if known is None:
            length = _U32.unpack_from(self._data, start)[0]
            known = self._data[start + 4 : start + 4 + length].decode("utf-8", "replace")
            self._texts[start] = known
        return known
