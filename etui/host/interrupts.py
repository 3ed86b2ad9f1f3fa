"""Ctrl-C (SIGINT) while a process starts: blocked from before its first instruction until it can handle it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this thread, and in processes that it starts meanwhile until they ``accept_interrupts``. Without
    this, one that comes while the interpreter or a library is loaded ends the new process with a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def accept_interrupts() -> None:
    """Let SIGINT through, also one that has come meanwhile: called once this process has its handler."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
