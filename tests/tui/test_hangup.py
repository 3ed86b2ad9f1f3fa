"""The app ends when its terminal goes, whether or not anybody sends it a SIGHUP."""

from __future__ import annotations

import os
import pty
import signal
import subprocess

import pytest

from tests.machines import ETUI, Machine, restore_signals


def _open(machine: Machine) -> tuple[subprocess.Popen[bytes], int]:
    """Start ``etui`` in a pseudo-terminal that is not its controlling one, and wait for its first picture."""
    ours, theirs = pty.openpty()
    app = subprocess.Popen(
        [ETUI],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**machine.environment, "TERM": "xterm-256color"},
        preexec_fn=restore_signals,
    )
    os.close(theirs)
    seen = b""
    while b"etui" not in seen:
        seen += os.read(ours, 65536)
    return app, ours


@pytest.mark.slow
@pytest.mark.parametrize("is_signalled", [True, False], ids=["with a SIGHUP", "without one"])
def test_the_app_ends_with_its_terminal(machine: Machine, is_signalled: bool) -> None:
    app, ours = _open(machine)
    os.close(ours)
    if is_signalled:
        app.send_signal(signal.SIGHUP)
    app.wait(timeout=60)
