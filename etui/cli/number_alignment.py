"""Pads the numbers of a column of text so that their decimal points are below each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from etui.text import width

_MARK = re.compile(r"[!?] +(?=\S)")
"""A mark for the trust in a figure, before it."""

_NUMBER = re.compile(r"[^\w\s]{0,2}\d[\d,]*(?![-:/]?\d|[^\W\d_]{2})")
"""The integer part of a number with its sign or bracket; not the begin of a date, a time, a path or a word."""


_BETWEEN = ("to", "of", "and")
"""Words between two numbers; other words after a number are its unit or a remark."""


class NumberAlignment:
    """The widths of the parts of a column's cells, which grow with the cells that are added.

    A cell such as ``! 8.48 to 12.2`` consists of a mark and words. Of a word that begins with a number, the integer
    part is aligned to the right and the rest, with its unit, to the left.
    """

    def __init__(self) -> None:
        self._mark = 0
        self._slots: list[tuple[int, int, int]] = []
        """For each word: the cells before and after the end of the integer part, and of a word without a number."""

    def add(self, cells: Iterable[str]) -> None:
        """Make room for these cells, which are plain text."""
        for cell in cells:
            parts = _parts(cell)
            if parts is None:
                continue
            mark, words = parts
            self._mark = max(self._mark, len(mark))
            self._slots += [(0, 0, 0)] * (len(words) - len(self._slots))
            for place, (integer, rest) in enumerate(words):
                before, after, other = self._slots[place]
                is_number = integer is not None
                self._slots[place] = (
                    max(before, width(integer or "")),
                    max(after, width(rest) if is_number else 0),
                    max(other, 0 if is_number else width(rest)),
                )

    def padded(self, cell: str) -> str:
        """Return a cell with the spaces that align it, also after its end; unchanged if it has no number."""
        parts = _parts(cell)
        if parts is None:
            return cell
        mark, words = parts
        aligned = []
        for (integer, rest), (before, after, other) in zip(words, self._slots, strict=False):
            word = rest if integer is None else " " * (before - width(integer)) + integer + rest
            aligned.append(word + " " * (max(before + after, other) - width(word)))
        aligned += [" " * max(before + after, other) for before, after, other in self._slots[len(words) :]]
        return f"{mark:<{self._mark}}{' '.join(aligned)}"


def aligned(cells: Sequence[str]) -> list[str]:
    """Return the cells of a column with the spaces that align their numbers, all as wide as the widest: cells without
    a number are aligned to the right."""
    alignment = NumberAlignment()
    alignment.add(cells)
    padded = [alignment.padded(cell) for cell in cells]
    wide = max(map(width, padded), default=0)
    return [" " * (wide - width(cell)) + cell for cell in padded]


def _parts(cell: str) -> tuple[str, list[tuple[str | None, str]]] | None:
    """Return the mark of a cell and its words, each as the integer part of its number, or None, and the rest. None for
    a cell that begins with another word."""
    mark = _MARK.match(cell)
    rest = cell[mark.end() :] if mark is not None else cell
    words: list[tuple[str | None, str]] = []
    for word in rest.split():
        number = _NUMBER.match(word)
        if number is not None:
            words.append((number[0], word[number.end() :]))
        elif words and words[-1][0] is not None and word not in _BETWEEN:
            words[-1] = (words[-1][0], f"{words[-1][1]} {word}")
        else:
            words.append((None, word))
    if not words or words[0][0] is None:
        return None
    return (mark[0] if mark is not None else "", words)
