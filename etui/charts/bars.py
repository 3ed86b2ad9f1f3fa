"""A horizontal bar for a share, for a cell of a table."""

from __future__ import annotations

_EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(share: float | None, width: int, *, unicode: bool) -> str:
    """Return a bar of at most ``width`` cells for a share from 0 to 1; a positive share is never empty."""
    if share is None or not share > 0 or width < 1:
        return ""
    share = min(1.0, share)
    if not unicode:
        return "#" * round(share * width) or "."
    eighths = max(1, round(share * width * 8))
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")
