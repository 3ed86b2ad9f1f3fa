"""Read what native libraries print to standard error while a function runs."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable

_MOST_BYTES = 1 << 20


def output_of(function: Callable[[], object], *expected: type[Exception]) -> list[str]:
    """Call a function and return the lines that were written to the file descriptor of standard error meanwhile, which
    are also passed on. ``expected`` exceptions of the function are not raised."""
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            with contextlib.suppress(*expected):
                function()
        finally:
            os.dup2(before, 2)
            os.close(before)
        file.seek(0)
        data = file.read(_MOST_BYTES)
    with contextlib.suppress(OSError):
        os.write(2, data)
    return data.decode("utf-8", "replace").splitlines()
