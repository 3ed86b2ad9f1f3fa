"""Program files on disk, memory-mapped for reading."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from etui.insight import Section
from etui.programs.flatbuffer import DamagedFile
from etui.programs.program import read_program
from etui.programs.sections import sections


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """Yield the bytes of a file. Raises OSError, and DamagedFile for an empty file, which cannot be mapped."""
    with path.open("rb") as file:
        try:
            bytes_ = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise DamagedFile("is empty", "lower the model again") from error
        try:
            yield memoryview(bytes_)
        finally:
            # The traceback of an error may still reference the view; the mapping is then closed with it.
            with suppress(BufferError):
                bytes_.close()


def sections_of(path: Path) -> list[Section]:
    """Return the sections of a program's file. Raises OSError, DamagedFile."""
    with mapped(path) as buffer:
        return sections(read_program(buffer), buffer)
