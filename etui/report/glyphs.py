"""The signs that say in a report what a colour says, for readers and formats without colours."""

from __future__ import annotations

from etui.report.recommendation import Tone

CAVEAT = "⚠"
_MARKS: dict[Tone, str] = {"good": "✓", "bad": "✗", "warn": CAVEAT, "muted": ""}


def marked(words: str, tone: Tone) -> str:
    """Return words with the sign of their tone in front."""
    return f"{_MARKS[tone]} {words}".lstrip()
