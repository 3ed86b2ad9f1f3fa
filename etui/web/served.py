"""Whether this process draws its screen for a web browser."""

from __future__ import annotations

import os

DRIVER_VARIABLE = "TEXTUAL_DRIVER"
"""Set by textual-serve for the app processes it starts; Textual takes its driver from it."""
WEB_DRIVER = "textual.drivers.web_driver:WebDriver"


def in_browser() -> bool:
    """Whether a server started this process to draw its screen in a browser."""
    return os.environ.get(DRIVER_VARIABLE) == WEB_DRIVER
