"""What the terminal can show: its colours, light or dark, and whether its character set is Unicode."""

from __future__ import annotations

import locale
import os

from textual.app import App

from etui.charts import Colours, Palette, palette


def is_unicode() -> bool:
    """Whether what is written to the terminal is UTF-8; elsewhere charts and glyphs are plain ASCII."""
    named = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "")
    if named:
        return "utf" in named.lower()
    return "utf" in locale.getpreferredencoding(False).lower()


def colours(app: App[object]) -> Colours:
    """How many colours this app may use; none under NO_COLOR."""
    if app.no_color:
        return "none"
    if app.native_ansi_color:
        return "16"
    systems: dict[str, Colours] = {"truecolor": "truecolor", "256": "256", "standard": "16"}
    return systems.get(app.console.color_system or "", "truecolor")


def chart_palette(app: App[object]) -> Palette:
    """The palette for charts in this app and its theme."""
    return palette(colours(app), dark=app.current_theme.dark, unicode=is_unicode())
