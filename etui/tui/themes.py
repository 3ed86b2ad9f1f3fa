"""The three looks: dark, light, and one of high contrast."""

from __future__ import annotations

from textual.theme import Theme

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
        variables={"border": "#59c2d9", "border-blurred": "#34404e", "faint": "#7d8a9a", "cursor": "#22344a"},
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
        variables={"border": "#00698c", "border-blurred": "#bdb8ae", "faint": "#626c76", "cursor": "#cfe6f0"},
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
        variables={"border": "#ffff00", "border-blurred": "#ffffff", "faint": "#ffffff", "cursor": "#0000d0"},
    ),
)
DEFAULT = "etui-dark"
NAMES = tuple(theme.name for theme in THEMES)
