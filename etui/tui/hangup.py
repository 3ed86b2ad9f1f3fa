"""End the process when its terminal is gone, even without SIGHUP."""

from __future__ import annotations

import os
import threading
import time

LOOK_S = 2.0
HUNG_UP = 129
"""The exit status that a shell reports for SIGHUP: 128 plus the signal number."""


def leave_without_terminal(fd: int = 0) -> None:
    """End this process when ``fd`` is no longer a terminal, even without a SIGHUP (container, killed tmux).

    Textual's writer then blocks the app's thread forever and its reader spins, so a regular exit is impossible. All
    state is in the database, so the process can end at once.
    """

    def watch() -> None:
        while os.isatty(fd):
            time.sleep(LOOK_S)
        os._exit(HUNG_UP)

    threading.Thread(target=watch, name="etui-terminal", daemon=True).start()
