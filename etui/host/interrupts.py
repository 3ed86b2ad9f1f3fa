"""Block Ctrl-C (SIGINT) in a starting process until it can handle it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this thread, and in processes it starts meanwhile until they call ``accept_interrupts``.
    Otherwise a SIGINT while the interpreter or a library is loading ends the new process with a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def accept_interrupts() -> None:
    """Unblock SIGINT, including a pending one. Call this after installing the handler."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
