"""Who is using this box, for locks and messages."""

from __future__ import annotations

import getpass
import os


def user_name() -> str:
    """The user's login name, or the numeric id where the system knows no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
