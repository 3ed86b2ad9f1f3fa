"""A load for benchmarks: a process that keeps one core busy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def busy_core(wanted: bool = True) -> Iterator[None]:
    """Keep one core busy during the block, if ``wanted``."""
    if not wanted:
        yield
        return
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        burner.kill()
        burner.wait()
