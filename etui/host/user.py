"""User names, for locks and messages."""

from __future__ import annotations

import getpass
import os
import pwd

from etui.text import plain


def user_name() -> str:
    """Return the user's login name, or the numeric id if there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def name_of(user: int) -> str:
    """Return the login name of the user with this numeric id, or the id if there is none."""
    try:
        return plain(pwd.getpwuid(user).pw_name)
    except KeyError:
        return str(user)
