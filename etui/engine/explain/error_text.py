"""Errors of libraries and of the user's code as one line of text."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; its class if it has no message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def headline(error: BaseException) -> str:
    """Return the class of an error and the first line of its message, if it has one."""
    kind = type(error).__name__
    return f"{kind}: {first_line(error)}" if str(error).strip() else kind
