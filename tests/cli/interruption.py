"""Ctrl-C while a command waits for a process that runs a user's model."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.machines import PATIENCE_S, until

ENDLESS = """
def endless():
    import pathlib, signal
    pathlib.Path("started").touch()
    while True:
        signal.pause()
"""
"""A factory that reports its start by a file in the working folder, and does not return."""


def interrupted(folder: Path, *arguments: str) -> tuple[int, list[psutil.Process]]:
    """Start ``etui`` in a folder, send SIGINT once ``endless`` runs, and return the exit status and the processes that
    are left of those that it had started."""
    command = [Path(sys.executable).with_name("etui"), *arguments]
    process = psutil.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    until(lambda: (folder / "started").exists() or process.poll() is not None)
    workers = process.children(recursive=True)
    process.send_signal(signal.SIGINT)
    status = process.wait(PATIENCE_S)
    psutil.wait_procs(workers, PATIENCE_S)
    left = [worker for worker in workers if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]
    return status, left
