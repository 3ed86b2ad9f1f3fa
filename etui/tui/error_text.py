"""What an error says on the screen: its hints are written for the command line too, whose commands help nobody here."""

from __future__ import annotations

import re

from etui.errors import EtuiError

_COMMAND = re.compile(r"see `?etui \w+`?(, or )?|: etui cancel \S+")


def to_text(error: EtuiError) -> str:
    """The message, and of the hint what can be done from the screen."""
    hint = _COMMAND.sub(lambda found: " with x" if "cancel" in found[0] else "", error.hint).strip()
    return f"{error.message}; {hint}" if hint else error.message
