"""Tags of runs: check their names, and work out what an edit adds and removes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from etui.errors import UsageError
from etui.text import plain


class TagEdit(NamedTuple):
    """What an edit makes of the tags of one run: all tags after it, and those that it really added and removed."""

    tags: list[str]
    added: list[str]
    removed: list[str]


def tag_name(typed: str) -> str:
    """Return a tag with single spaces. Raises UsageError if it is empty, or contains a comma, which separates tags on
    the screen, or characters that are not printable."""
    tag = " ".join(typed.split())
    if not tag:
        raise UsageError("a tag must not be empty", "write +TAG or -TAG, without a space between")
    if "," in tag:
        raise UsageError(f"the tag {tag!a} contains a comma", "write each tag as a separate argument: +one +two")
    if plain(tag) != tag or not tag.isprintable():
        raise UsageError(f"the tag {tag!a} contains characters that are not printable", "type it again")
    return tag


def edited(tags: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> TagEdit:
    """Return what remains of ``tags`` if some are removed and others are appended."""
    removed = [tag for tag in tags if tag in remove]
    kept = [tag for tag in tags if tag not in remove]
    added = [tag for tag in dict.fromkeys(add) if tag not in kept]
    return TagEdit([*kept, *added], added, removed)
