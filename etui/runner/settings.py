"""Read and check the runner's settings from environment variables."""

from __future__ import annotations

import os

from etui.errors import EtuiError

LINGER_S = 60.0
"""How long the runner stays after its last session, so that its fork servers are ready for the next one."""

PATIENCE_S = 300.0
"""How long a session that has ended waits for the database to take its results, before they are kept in a file."""


def linger_s() -> float:
    """``ETUI_LINGER_S``, else ``LINGER_S``, in seconds. Raises EtuiError if it is not a number."""
    return _seconds("ETUI_LINGER_S", LINGER_S)


def patience_s() -> float:
    """``ETUI_SAVE_PATIENCE_S``, else ``PATIENCE_S``, in seconds. Raises EtuiError if it is not a number."""
    return _seconds("ETUI_SAVE_PATIENCE_S", PATIENCE_S)


def prepare_jobs() -> int | None:
    """``ETUI_PREPARE_JOBS``, at least 1; None if it is not set. Raises EtuiError if it is not a whole number."""
    text = os.environ.get("ETUI_PREPARE_JOBS")
    if not text:
        return None
    try:
        return max(1, int(text))
    except ValueError:
        raise EtuiError(
            f"ETUI_PREPARE_JOBS is {text!r}, not a whole number", "set it to a number of programs, or unset it"
        ) from None


def check() -> None:
    """Check all settings before any work starts. Raises EtuiError naming the first invalid one."""
    linger_s()
    patience_s()
    prepare_jobs()


def _seconds(name: str, default: float) -> float:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:  # also rejects NaN
        raise EtuiError(f"{name} is {text!r}, not a number of seconds", "set it to 0 or more, or unset it")
    return value
