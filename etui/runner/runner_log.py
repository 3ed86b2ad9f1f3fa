"""The runner's own log: timestamped lines on standard error, separate from the logs of runs."""

from __future__ import annotations

import contextlib
import sys

from etui.events import utc_now


def say(message: str) -> None:
    """Write a line. A log that cannot be written, because the disk is full, is ignored."""
    with contextlib.suppress(OSError):
        print(f"{utc_now()} {message}", file=sys.stderr, flush=True)
