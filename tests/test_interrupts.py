"""Ctrl-C that arrives while a process starts."""

from __future__ import annotations

import signal
import subprocess
import sys

from etui.host.interrupts import interrupts_blocked

STARTS = (
    "import signal; from etui.host.interrupts import accept_interrupts;"
    " signal.signal(signal.SIGINT, {handler}); accept_interrupts(); print('here')"
)


def _interrupted_at_once(handler: str) -> tuple[int, bytes, bytes]:
    with interrupts_blocked():
        process = subprocess.Popen(
            [sys.executable, "-c", STARTS.format(handler=handler)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_process_that_ignores_interrupts_is_not_stopped() -> None:
    assert _interrupted_at_once("signal.SIG_IGN") == (0, b"here\n", b"")


def test_interrupt_during_start_is_delivered_afterwards() -> None:
    assert _interrupted_at_once("lambda *_: print('handled')") == (0, b"handled\nhere\n", b"")


def test_interrupts_are_unblocked_afterwards() -> None:
    with interrupts_blocked():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
