"""Check that a text contains the required facts, whatever its wording (which is in the golden files)."""

from __future__ import annotations


def lacking(text: str, *facts: str) -> list[str]:
    """Return the facts (names, numbers with units, verdicts) that are missing from a text; an empty list if it has
    all."""
    joined = " ".join(text.split())
    return [fact for fact in facts if fact not in text and fact not in joined]
