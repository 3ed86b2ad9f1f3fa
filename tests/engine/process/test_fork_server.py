"""The fork server, started as the runner starts it."""

from __future__ import annotations

import select
import socket
import subprocess
import sys

import pytest

from tests.machines import PATIENCE_S

pytestmark = pytest.mark.slow


def test_fork_server_ends_silently_if_the_runner_ends_before_reading_a_reply() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server = subprocess.Popen(
        [sys.executable, "-m", "etui.engine.process.fork_server", "measure", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stderr=subprocess.PIPE,
    )
    theirs.close()
    with ours:
        readable, _, _ = select.select([ours], [], [], PATIENCE_S)
        assert readable  # it reports that it is ready
    _, stderr = server.communicate(timeout=PATIENCE_S)
    assert (server.returncode, stderr) == (0, b"")
