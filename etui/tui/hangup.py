"""End the app when its terminal has gone, with a SIGHUP or without one."""

from __future__ import annotations

import os
import threading
import time

LOOK_S = 2.0
HUNG_UP = 129
"""128 and the number of SIGHUP, as a shell says it."""


def leave_without_terminal(fd: int = 0) -> None:
    """End this process when ``fd`` is no terminal any more, though no SIGHUP came (a container's, a killed tmux's).

    Textual's writer then blocks the app's thread for ever and its reader spins, so that no exit from inside works. The
    app holds nothing that is not in the database, so it may end at once.
    """

    def watch() -> None:
        while os.isatty(fd):
            time.sleep(LOOK_S)
        os._exit(HUNG_UP)

    threading.Thread(target=watch, name="etui-terminal", daemon=True).start()
