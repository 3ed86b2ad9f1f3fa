"""What the runner says of itself: lines with a time in its own log, which is its standard error; never a run's log."""

from __future__ import annotations

import contextlib
import sys

from etui.events import utc_now


def say(words: str) -> None:
    """Write a line. A log that cannot be written, on a full disk, ends nothing."""
    with contextlib.suppress(OSError):
        print(f"{utc_now()} {words}", file=sys.stderr, flush=True)
