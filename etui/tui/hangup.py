"""End the process when its terminal or the server that draws it in a browser is gone, even without SIGHUP."""

from __future__ import annotations

import os
import select
import threading
import time

LOOK_S = 2.0
HUNG_UP = 129
"""The exit status that a shell reports for SIGHUP: 128 plus the signal number."""


def leave_without_terminal(fd: int = 0) -> None:
    """End this process when ``fd`` is no longer a terminal, even without a SIGHUP (container, killed tmux), or when the
    server at the other end of ``fd`` is gone.

    Textual's writer then blocks the app's thread forever and its reader spins, so a regular exit is impossible. All
    state is in the database, so the process can end at once.
    """
    is_there = os.isatty if os.isatty(fd) else _has_other_end

    def watch() -> None:
        while is_there(fd):
            time.sleep(LOOK_S)
        os._exit(HUNG_UP)

    threading.Thread(target=watch, name="etui-terminal", daemon=True).start()


def _has_other_end(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, 0)  # a hangup or an error is always reported
    return not poll.poll(0)
