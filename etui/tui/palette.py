"""The command palette: the actions of the present screen, the models and the themes, found by title or synonym."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.markup import escape

_WHOLE_WORD, _START_OF_WORD, _INSIDE = 3.0, 2.0, 1.0
_SYNONYM = 0.5
"""The weight of a match in a synonym, compared with one in the title."""


class Entry(NamedTuple):
    """A line of the palette. ``group`` is where the action belongs, ``keys`` are its keys as they are displayed."""

    group: str
    title: str
    run: Callable[[], Awaitable[None]]
    keys: str = ""
    about: str = ""
    synonyms: str = ""


class PaletteHost:
    """An app that has a palette."""

    def palette_entries(self) -> Iterable[Entry]:
        """Return the entries for the present screen, grouped."""
        raise NotImplementedError


class Entries(Provider):
    """Finds entries. Each word of the query must be in the title, in a synonym or in the group."""

    async def startup(self) -> None:
        """Take the entries of the screen below the palette."""
        assert isinstance(self.app, PaletteHost)
        self._entries = list(self.app.palette_entries())

    async def discover(self) -> Hits:
        """Return all entries, grouped by where they belong."""
        for entry in self._entries:
            yield DiscoveryHit(_display(entry, ()), entry.run, text=entry.title, help=_help(entry))

    async def search(self, query: str) -> Hits:
        """Return the entries that match, the best first; of equal ones the first of the registry."""
        words = query.lower().split()
        for place, entry in enumerate(self._entries):
            if found := score(entry, words):
                # The palette orders hits by their score alone.
                rank = found - place / 10_000
                yield Hit(rank, _display(entry, words), entry.run, text=entry.title, help=_help(entry))


def score(entry: Entry, words: Sequence[str]) -> float:
    """Return how well an entry matches the words of a query, in lower case; 0 if one of them does not match."""
    total = 0.0
    for word in words:
        in_title, elsewhere = _match(word, entry.title), _match(word, f"{entry.synonyms} {entry.group}")
        best = max(in_title, _SYNONYM * elsewhere)
        if not best:
            return 0.0
        total += best
    return total / len(words) if words else 0.0


def _match(word: str, text: str) -> float:
    text = text.lower()
    if word not in text:
        return 0.0
    if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text):
        return _WHOLE_WORD
    return _START_OF_WORD if re.search(rf"(?<!\w){re.escape(word)}", text) else _INSIDE


def _display(entry: Entry, words: Iterable[str]) -> Text:
    """Return the title with the matching parts underlined, after its group and before its keys."""
    title = Text(entry.title)
    title.highlight_words(words, "bold underline", case_sensitive=False)
    line = Text.assemble((f"{entry.group}: ", "dim"), title)
    if entry.keys:
        line.append(f"  {entry.keys}", "bold")
    return line


def _help(entry: Entry) -> str | None:
    return escape(entry.about) if entry.about != entry.title else None
