"""The themes: dark, light and high contrast."""

from __future__ import annotations

from textual.theme import Theme


def _variables(border: str, edge: str, faint: str, cursor: str, ground: str) -> dict[str, str]:
    """Return the style sheet variables that Textual themes do not define."""
    return {
        "border": border, "border-blurred": edge, "faint": faint, "cursor": cursor,
        "scrollbar": edge, "scrollbar-hover": border, "scrollbar-active": border, "scrollbar-background": ground,
        "scrollbar-background-hover": ground, "scrollbar-background-active": ground, "scrollbar-corner-color": ground,
    }  # fmt: skip


THEMES = (
    Theme(
        name="etui-dark",
        dark=True,
        background="#0e1217",
        surface="#12171e",
        panel="#1b222c",
        foreground="#d3dae3",
        primary="#59c2d9",
        secondary="#8a97a8",
        accent="#ffb454",
        success="#8fd175",
        warning="#f2c55c",
        error="#f07f72",
        variables=_variables("#59c2d9", "#34404e", "#7d8a9a", "#22344a", "#0e1217"),
    ),
    Theme(
        name="etui-light",
        dark=False,
        background="#fbfaf8",
        surface="#fbfaf8",
        panel="#ebe8e2",
        foreground="#1f262d",
        primary="#00698c",
        secondary="#5a6672",
        accent="#9a5200",
        success="#22702a",
        warning="#7d5800",
        error="#b3261e",
        variables=_variables("#00698c", "#bdb8ae", "#626c76", "#cfe6f0", "#fbfaf8"),
    ),
    Theme(
        name="etui-contrast",
        dark=True,
        background="#000000",
        surface="#000000",
        panel="#000000",
        foreground="#ffffff",
        primary="#ffff00",
        secondary="#ffffff",
        accent="#00ffff",
        success="#00ff00",
        warning="#ffcc00",
        error="#ff8080",
        variables=_variables("#ffff00", "#ffffff", "#ffffff", "#0000d0", "#000000"),
    ),
)
DEFAULT = "etui-dark"
NAMES = tuple(theme.name for theme in THEMES)
