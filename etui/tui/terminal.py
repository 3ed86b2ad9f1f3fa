"""The terminal's capabilities: number of colours and Unicode; and the palettes and styles that follow from them."""

from __future__ import annotations

import locale
import os

import msgspec
from textual.app import App

from etui.charts.palette import Colours, Palette, palette
from etui.tui.glyphs import ASCII, UNICODE, Glyphs
from etui.tui.text_layout import Styles
from etui.web.served import in_browser


def is_unicode() -> bool:
    """Whether the encoding of the terminal is UTF-8, as it always is in a browser; if not, charts and glyphs are plain
    ASCII."""
    if in_browser():
        return True
    named = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "")
    if named:
        return "utf" in named.lower()
    return "utf" in locale.getpreferredencoding(False).lower()


def colours(app: App[object]) -> Colours:
    """Return the number of colours this app may use; none if NO_COLOR is set."""
    if app.no_color:
        return "none"
    if app.native_ansi_color:
        return "16"
    systems: dict[str, Colours] = {"truecolor": "truecolor", "256": "256", "standard": "16"}
    return systems.get(app.console.color_system or "", "truecolor")


def draws_unicode(app: App[object]) -> bool:
    """Whether this app may use Unicode: the terminal supports it and the config file does not disable it."""
    return is_unicode() and not app.has_class("-ascii")


def glyphs(app: App[object]) -> Glyphs:
    """Return the symbols this app may use."""
    return UNICODE if draws_unicode(app) else ASCII


def theme_colour(app: App[object], name: str, fallback: str = "") -> str:
    """Return a colour of the theme as ``#rrggbb``; ``fallback`` if it has none, empty if colours are disabled."""
    if colours(app) == "none":
        return ""
    value = app.theme_variables.get(name, "")
    return value if value.startswith("#") and len(value) == 7 else fallback


def chart_palette(app: App[object]) -> Palette:
    """Return the palette for charts: the theme's colours if the terminal supports them."""
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
    """Return the styles for laid-out text."""
    symbols = glyphs(app)
    base = Styles(
        ok=symbols.done,
        failed=symbols.failed,
        flagged=symbols.flagged,
        rule=symbols.bar_full,
        cut=symbols.cut,
        unicode=symbols is UNICODE,
    )
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
