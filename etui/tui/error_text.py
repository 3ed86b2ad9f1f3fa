"""The text of an error on the screen."""

from __future__ import annotations

from etui.errors import EtuiError


def to_text(error: EtuiError) -> str:
    """Return the message, with the hint if one applies to the screen."""
    return error.without_commands


def screen_hint(error: EtuiError) -> str:
    """Return the hint that applies to the screen; empty if there is none."""
    return error.hint if error.screen_hint is None else error.screen_hint
