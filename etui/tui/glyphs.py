"""Symbols for states and table marks, in Unicode and in ASCII."""

from __future__ import annotations

from typing import Literal

import msgspec
from textual.dom import DOMNode

from etui.analysis.trust import Trust


class Glyphs(msgspec.Struct, frozen=True, kw_only=True):
    """A set of symbols, distinguishable without colour; each is one cell wide, except ``about`` in ASCII."""

    live: str = "●"
    waiting: str = "·"
    done: str = "✓"
    failed: str = "✗"
    cancelled: str = "–"
    flagged: str = "!"
    doubted: str = "?"
    baseline: str = "◆"
    cursor: str = "▌"
    marked: str = "■"
    up: str = "▲"
    down: str = "▼"
    times: str = "x"
    about: str = "±"
    cut: str = "…"
    dot: str = "·"
    bar_full: str = "━"
    bar_rest: str = "─"
    drop: str = "▾"
    cycle: str = "↔"
    folded: str = "▸"
    unfolded: str = "▾"
    degree: str = "°"
    levels: str = "▁▂▃▄▅▆▇█"
    """The levels of a sparkline, lowest first."""

    @property
    def is_unicode(self) -> bool:
        """Whether the terminal has more than ASCII."""
        return not self.cut.isascii()

    def of_status(self, status: str) -> str:
        """Return the symbol of a run's status."""
        return {
            "queued": self.waiting,
            "preparing": self.live,
            "measuring": self.live,
            "done": self.done,
            "cancelled": self.cancelled,
        }.get(status, self.failed)

    def of_trust(self, trust: Trust) -> str:
        """Return the symbol after a figure for the trust in it; a space if it can be relied on."""
        return {"good": " ", "caution": self.flagged, "poor": self.doubted}[trust]


TRUST_TONES: dict[Trust, Literal["", "warn", "bad"]] = {"good": "", "caution": "warn", "poor": "bad"}
"""The tone of a figure in a table by the trust in it; that of one that can be relied on is up to the table."""

UNICODE = Glyphs()
ASCII = Glyphs(
    live="*", waiting=".", done="v", failed="x", cancelled="-", flagged="!", doubted="?", baseline="@", cursor=">",
    marked="#", up="^", down="v", times="x", about="+-", cut="~", dot="|", bar_full="=", bar_rest="-",
    drop="v", cycle="~", folded="+", unfolded="-", degree=" ", levels="_-=#",
)  # fmt: skip


def glyphs_of(node: DOMNode) -> Glyphs:
    """Return the symbols for a mounted widget: its app's ``glyphs``, else Unicode."""
    glyphs = getattr(node.app, "glyphs", UNICODE)
    return glyphs if isinstance(glyphs, Glyphs) else UNICODE
