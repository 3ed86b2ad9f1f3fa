"""The colours and glyphs of charts: each series has its own glyph, so that charts are readable without colour."""

from __future__ import annotations

from typing import Literal

import msgspec

Colours = Literal["none", "16", "256", "truecolor"]


class Glyphs(msgspec.Struct, frozen=True, kw_only=True):
    """The characters of one character set. ``levels`` range from an empty to a full cell."""

    levels: str = " ▁▂▃▄▅▆▇█"
    median: str = "┃"
    percentile: str = "┊"
    median_top: str = "▼"
    percentile_top: str = "▽"
    guide: str = "┈"
    axis: str = "─"
    tick: str = "┬"
    corner: str = "└"
    side: str = "│"
    side_tick: str = "┤"
    program: str = "●"
    eager: str = "○"
    chosen: str = "◆"
    failed: str = "✗"
    missed: str = "▲"
    unproven: str = "?"
    whisker: str = "│"
    curve: str = "braille"
    other_curve: str = "·"
    separator: str = "·"
    beyond: str = "›"
    before: str = "‹"
    interval_low: str = "├"
    interval_high: str = "┤"
    about: str = "±"
    series: str = "◆●■▲○□"
    others: str = "·"
    cursor: str = "▲"
    mark_line: str = "┊"
    level: str = "╌"


ASCII = Glyphs(
    levels=" ..::+##@",
    median="|",
    percentile="!",
    median_top="V",
    percentile_top="v",
    guide="-",
    axis="-",
    tick="+",
    corner="+",
    side="|",
    side_tick="+",
    program="*",
    eager="o",
    chosen="@",
    failed="x",
    missed="^",
    whisker="|",
    curve="*",
    other_curve=".",
    separator="|",
    beyond=">",
    before="<",
    interval_low="[",
    interval_high="]",
    about="+-",
    series="@*#^o+",
    others=".",
    cursor="^",
    mark_line=":",
    level="=",
)


class Palette(msgspec.Struct, frozen=True, kw_only=True):
    """Styles (in rich's notation; empty is the terminal's default) and glyphs. ``series`` are the styles of up to six
    runs in one chart; ``glyphs.series`` has their glyphs."""

    program: str = "bold"
    eager: str = ""
    mark: str = "bold"
    text: str = ""
    muted: str = ""
    bad: str = "bold"
    warn: str = "bold"
    series: tuple[str, ...] = ("bold", "", "", "", "", "")
    glyphs: Glyphs = Glyphs()


_DARK: dict[Colours, Palette] = {
    "none": Palette(),
    "16": Palette(
        program="cyan", eager="yellow", mark="bold", muted="bright_black", bad="bold red", warn="bold yellow",
        series=("yellow", "cyan", "magenta", "green", "bright_blue", "bright_red"),
    ),
    "256": Palette(
        program="color(80)", eager="color(179)", mark="bold", muted="color(245)", bad="bold color(203)",
        warn="bold color(221)",
        series=("color(214)", "color(80)", "color(176)", "color(114)", "color(111)", "color(210)"),
    ),
    "truecolor": Palette(
        program="#5ec8d8", eager="#d9a441", mark="bold", muted="#8a93a0", bad="bold #f2736b", warn="bold #e8c547",
        series=("#ffb454", "#59c2d9", "#d896e0", "#8fd175", "#86a8ff", "#f29a8e"),
    ),
}  # fmt: skip
_LIGHT: dict[Colours, Palette] = {
    "none": Palette(),
    "16": Palette(
        program="blue", eager="magenta", mark="bold", muted="bright_black", bad="bold red", warn="bold magenta",
        series=("red", "blue", "magenta", "green", "cyan", "bright_black"),
    ),
    "256": Palette(
        program="color(25)", eager="color(130)", mark="bold", muted="color(242)", bad="bold color(160)",
        warn="bold color(94)",
        series=("color(130)", "color(25)", "color(127)", "color(28)", "color(61)", "color(124)"),
    ),
    "truecolor": Palette(
        program="#0b6e8a", eager="#a35a00", mark="bold", muted="#66707c", bad="bold #b3261e", warn="bold #8a5a00",
        series=("#9a5200", "#00698c", "#8a2f96", "#22702a", "#3d4db7", "#a8324a"),
    ),
}  # fmt: skip


def palette(colours: Colours = "truecolor", *, dark: bool = True, unicode: bool = True) -> Palette:
    """Return the palette for a terminal's colours and a dark or light background; ASCII glyphs without ``unicode``."""
    chosen = (_DARK if dark else _LIGHT)[colours]
    return chosen if unicode else msgspec.structs.replace(chosen, glyphs=ASCII)
