"""What the terminal can show: its colours, light or dark, and whether its character set is Unicode."""

from __future__ import annotations

import locale
import os

import msgspec
from textual.app import App

from etui.charts import Colours, Palette, palette
from etui.tui.glyphs import ASCII, UNICODE, Glyphs
from etui.tui.text_layout import Styles


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


def draws_unicode(app: App[object]) -> bool:
    """Whether this app may draw with more than ASCII: the terminal can, and the user did not forbid it."""
    return is_unicode() and not app.has_class("-ascii")


def glyphs(app: App[object]) -> Glyphs:
    """The signs this app may draw with."""
    return UNICODE if draws_unicode(app) else ASCII


def theme_colour(app: App[object], name: str, fallback: str = "") -> str:
    """A colour of the theme as rich writes it; ``fallback`` where the theme has none or the app may use none."""
    if colours(app) == "none":
        return ""
    value = app.theme_variables.get(name, "")
    return value if value.startswith("#") and len(value) == 7 else fallback


def chart_palette(app: App[object]) -> Palette:
    """The palette for charts in this app: the theme's own colours where the terminal has enough of them."""
    available = colours(app)
    chosen = palette(available, dark=app.current_theme.dark, unicode=draws_unicode(app))
    if available in ("none", "16"):
        return chosen
    return msgspec.structs.replace(
        chosen,
        program=theme_colour(app, "primary", chosen.program),
        eager=theme_colour(app, "accent", chosen.eager),
        muted=theme_colour(app, "faint", chosen.muted),
        bad=f"bold {theme_colour(app, 'error')}".strip() or chosen.bad,
    )


def sheet_styles(app: App[object]) -> Styles:
    """The styles for pages of text in this app."""
    signs = glyphs(app)
    base = Styles(ok=signs.done, failed=signs.failed, flagged=signs.flagged, rule=signs.bar_full, cut=signs.cut)
    if colours(app) == "none":
        return base
    faint = theme_colour(app, "faint", "#8a93a0" if app.current_theme.dark else "#66707c")
    return msgspec.structs.replace(
        base,
        heading=f"bold {theme_colour(app, 'primary')}".strip(),
        label=faint,
        good=theme_colour(app, "success"),
        bad=f"bold {theme_colour(app, 'error')}".strip(),
        warn=theme_colour(app, "warning"),
        muted=faint,
    )
