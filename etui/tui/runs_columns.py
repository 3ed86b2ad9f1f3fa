"""The columns of the runs table, made from the facts of a run, and the text of their cells."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from etui.analysis import trust
from etui.analysis.trust import Trust
from etui.charts.sparkline import sparkline
from etui.facts import BY_SHORT, Fact, RunSummary, ScreenColumn, Tone
from etui.facts.kinds import MILLISECONDS, TIME
from etui.results import LIVE_STATUSES
from etui.spec import size_text
from etui.table_columns import fitting_columns
from etui.text import bare_ratio, in_ascii, moment, number, plain, width
from etui.tui.glyphs import TRUST_TONES, Glyphs

Cell = tuple[str, Tone]
GAP = 1
_KEPT = (5, 0)
"""Columns that are shown whole get room before columns with a higher ``spare`` than the first of these; if there is no
room for those up to it, the second."""
_LEAST_OF_BOTH = 8
"""In fewer cells, a text is cut at its end."""
_INTEGER_PART = re.compile(r"\D*\d[\d,]*")


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column. ``title`` includes the unit; ``cells`` is its width, ``most`` its maximum width if there is room;
    ``order_by`` the database column it sorts by; ``spare`` the order in which columns are hidden when there is no room
    (highest first, 0 never); ``clips`` that its text is readable when cut off, and that it grows to ``most`` or not at
    all; ``whole`` that it is as wide as its widest text, up to ``most``; ``narrow`` is its title if it is narrower than
    that; ``cuts_middle`` that a text keeps its end if it is cut; ``off`` that it is hidden unless chosen."""

    name: str
    title: str
    about: str
    cells: int
    order_by: str
    cell: Callable[[RunSummary, Glyphs], Cell]
    most: int = 0
    right: bool = False
    spare: int = 0
    descends: bool = False
    clips: bool = False
    whole: bool = False
    narrow: str = ""
    cuts_middle: bool = False
    off: bool = False

    def title_in(self, cells: int) -> str:
        """Return the heading in this number of cells."""
        return self.narrow if self.narrow and cells < len(self.title) else self.title


class LiveRow(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a run that is being measured: the median so far, that of each block, and the number of planned
    blocks."""

    median_ms: float
    medians_ms: tuple[float, ...]
    planned_blocks: int


def now() -> datetime:
    """The current time, which decides whether a run is from today; tests replace it."""
    return datetime.now(UTC)


def _when(run: RunSummary, _glyphs: Glyphs) -> Cell:
    local = moment(run.created_at)
    if local is None:
        return plain(run.created_at), "faint"
    today = now().astimezone()
    if local.date() == today.date():
        return f"{local:%H:%M:%S}", ""
    return (f"{local:%m-%d %H:%M}" if local.year == today.year else f"{local:%Y-%m-%d}"), "faint"


def _median(run: RunSummary, _glyphs: Glyphs) -> Cell:
    median, mean = run.latency_median_ms, run.latency_mean_ms
    # A run imported without samples has a mean and no median, which the brackets mark.
    if median is None and mean is not None:
        return f"({number(mean)})", "faint"
    return ("", "") if median is None else (number(median), "")


def _interval(run: RunSummary, glyphs: Glyphs) -> Cell:
    share = run.latency_ci95_percent
    if share is None:
        return "", ""
    # The two characters of ASCII do not fit, and the heading says what it is.
    sign = glyphs.about if len(glyphs.about) == 1 else ""
    shown = f"{sign}{share:.1f}%" if share < 9.95 else f"{sign}{share:.0f}%"
    return _marked(
        shown, trust.of_latency(run.latency_median_ms, run.latency_ci95_ms, run.flags or ()), "faint", glyphs
    )


def _speedup(run: RunSummary, glyphs: Glyphs) -> Cell:
    value = run.speedup
    if value is None:
        return "", ""
    trusted = trust.of_speedup(value, run.speedup_ci95, run.speed_verdict, run.flags or ())
    # A ratio that cannot be relied on has no more than two digits.
    shown = bare_ratio(value, 2 if trusted == "poor" or value < 1 else 3)
    # The sign is omitted where it does not fit.
    sign = glyphs.times if len(shown) < 5 else ""
    return _marked(shown + sign, trusted, "good" if value > 1.02 else "", glyphs)


def _marked(shown: str, trusted: Trust, good: Tone, glyphs: Glyphs) -> Cell:
    """Return a figure in the colour of the trust in it (``good``: its tone if it can be relied on), with a glyph."""
    # The space keeps the figures of a column aligned.
    return shown + glyphs.of_trust(trusted), TRUST_TONES[trusted] or good


def _verdict(run: RunSummary, glyphs: Glyphs) -> Cell:
    flag = f" {glyphs.flagged}" if run.flags else ""
    if run.status in LIVE_STATUSES:
        return run.status, "live"
    if run.status != "done":
        return run.status, "faint" if run.status == "cancelled" else "bad"
    verdict = run.verdict
    if verdict is None:
        return f"done{flag}", "warn" if flag else "faint"
    return verdict + flag, "bad" if verdict == "FAIL" else "warn" if flag or verdict == "UNPROVEN" else "good"


def _id(run: RunSummary, _glyphs: Glyphs) -> Cell:
    return plain(run.id)[:6], "faint"


def _delegate(run: RunSummary, _glyphs: Glyphs) -> Cell:
    # Variants of one session may differ in nothing else.
    parts = [run.delegate]
    if run.input_size is not None:
        height, width = run.input_size
        parts.append(str(height) if height == width else size_text(run.input_size))
    parts += [f"b{run.batch}"] if run.batch is not None else []
    parts += [f"s{run.sequence}"] if run.sequence is not None else []
    parts += [f"t{run.threads}"] if run.variant is not None and " threads " in run.variant else []
    return plain(" ".join([*parts, *(["dyn"] if run.dynamic else []), *([run.method] if run.method else [])])), ""


def _note(run: RunSummary, glyphs: Glyphs) -> Cell:
    note = plain(run.note or (run.error or ""))
    return note if glyphs.is_unicode else in_ascii(note), "" if run.note else "faint"


def live_cell(column: Column, run: RunSummary, live: LiveRow, cells: int, glyphs: Glyphs) -> Cell:
    """Return the cell of a run that is being measured: in place of the verdict a sparkline of its blocks' medians and
    their number."""
    if column.name == "p50":
        return _with_tail(number(live.median_ms), MILLISECONDS.tail), "live"
    if column.name == "verdict":
        count = f"{len(live.medians_ms)}/{live.planned_blocks}"
        return f"{sparkline(live.medians_ms, glyphs.levels, cells - len(count) - 1)} {count}", "live"
    return column.cell(run, glyphs)


_SPECIAL: dict[Fact[Any], Callable[[RunSummary, Glyphs], Cell]] = {
    RunSummary.created_at: _when,
    RunSummary.latency_median_ms: _median,
    RunSummary.latency_ci95_ms: _interval,
    RunSummary.speedup: _speedup,
    RunSummary.verdict: _verdict,
    RunSummary.id: _id,
    RunSummary.delegate: _delegate,
    RunSummary.note: _note,
}
"""Cells that show more than the value of their fact, or less."""

_FIRST = (
    "when", "model", "precision", "delegate", "p50", "ci", "p95", "speedup", "mae", "sqnr", "verdict", "size", "eager",
    "top1", "first", "rss", "weights", "threads", "preset", "box", "id", "flags", "tags", "note",
)  # fmt: skip
"""The columns that come first; the others follow in the order of the facts."""


def _plain_cell(fact: Fact[Any], tone: Tone) -> Callable[[RunSummary, Glyphs], Cell]:
    """Return a function that formats the value of a fact by its kind."""
    return lambda run, _glyphs: (fact.cell(fact.of(run)), tone)


def _aligned(cell: Callable[[RunSummary, Glyphs], Cell], tail: int) -> Callable[[RunSummary, Glyphs], Cell]:
    """Return a function that adds spaces to a cell, so that ``tail`` cells follow the integer part of its number and
    the decimal points of a column are below each other."""

    def padded(run: RunSummary, glyphs: Glyphs) -> Cell:
        text, tone = cell(run, glyphs)
        return _with_tail(text, tail), tone

    return padded


def _with_tail(text: str, tail: int) -> str:
    """Return a number with spaces, so that ``tail`` cells follow its integer part."""
    integer = _INTEGER_PART.match(text)
    return text if integer is None else text + " " * max(0, tail - (len(text) - integer.end()))


def _column(fact: Fact[Any], layout: ScreenColumn) -> Column:
    title = fact.cell_heading
    cell = _SPECIAL.get(fact) or _plain_cell(fact, layout.tone)
    tail = fact.kind.tail if layout.tail is None else layout.tail
    return Column(
        name=fact.short,
        title=title,
        about=layout.about or fact.about,
        cells=layout.cells or max(len(title), fact.kind.cells),
        most=layout.most,
        order_by=layout.order_by or fact.columns[0],
        cell=_aligned(cell, tail) if tail else cell,
        right=fact.kind.is_number,
        spare=layout.spare,
        descends=fact.better == "higher" or fact.kind is TIME,
        clips=layout.clips,
        whole=layout.whole,
        narrow=layout.narrow,
        cuts_middle=layout.cuts_middle,
        off=layout.off,
    )


def _columns() -> tuple[Column, ...]:
    columns = {name: _column(fact, fact.screen) for name, fact in BY_SHORT.items() if fact.screen is not None}
    return tuple(({name: columns[name] for name in _FIRST} | columns).values())


COLUMNS = _columns()
"""All columns, in the order of the table."""

USUAL = tuple(column for column in COLUMNS if not column.off)
"""The columns that are shown unless others are chosen."""

BY_NAME = {column.name: column for column in COLUMNS}


def sized_columns(
    columns: Sequence[Column], available: int, widest: Mapping[str, int] | None = None
) -> list[tuple[Column, int]]:
    """Return the columns that fit ``available`` cells, each with its width. Columns with the highest ``spare`` are
    hidden first; remaining room goes to columns that can grow, from the left. ``widest`` are the widths of the texts of
    columns that are shown ``whole``, by name."""
    cells = {column.name: column.cells for column in columns}
    for most_spare in _KEPT:
        kept = [column for column in columns if column.spare <= most_spare]
        room = available - (sum(column.cells + GAP for column in kept) - GAP)
        if room >= 0:
            break
    wholes = [column for column in columns if column.whole]
    # Texts in the width of a title come before longer ones.
    for column, most in [
        *((one, max(one.cells, len(one.title))) for one in wholes),
        *((one, one.most) for one in wholes),
    ]:
        wanted = min(most, (widest or {}).get(column.name, 0)) - cells[column.name]
        more = max(0, min(room, wanted))
        cells[column.name] += more
        room -= more
    for column in columns:
        # A whole title does not hide a column that would be kept.
        grown = cells | {column.name: max(cells[column.name], len(column.title))}
        if column.narrow and _kept_in(columns, grown, available) == _kept_in(columns, cells, available):
            cells = grown
    fitting = fitting_columns(list(cells.values()), [column.spare for column in columns], available, gap=GAP)
    shown = [columns[index] for index in fitting]
    room = available - (sum(cells[column.name] + GAP for column in shown) - GAP)
    widths = []
    for column in shown:
        more = 0 if column.whole and widest else max(0, min(room, column.most - cells[column.name]))
        if column.clips and cells[column.name] + more < column.most:
            more = 0
        room -= more
        widths.append((column, cells[column.name] + more))
    return widths


def _kept_in(columns: Sequence[Column], cells: Mapping[str, int], available: int) -> list[int] | None:
    """Return the indices of the columns to keep that fit ``available`` cells with these widths; None if even those
    that are never hidden do not fit."""
    kept = [column for column in columns if column.spare <= _KEPT[0]]
    shown = fitting_columns([cells[one.name] for one in kept], [one.spare for one in kept], available, gap=GAP)
    return shown if sum(cells[kept[index].name] + GAP for index in shown) - GAP <= available else None


def arrowed(title: str, cells: int, glyphs: Glyphs, *, right: bool, has_gap: bool, descending: bool) -> tuple[str, str]:
    """Return the heading of the sort column with the arrow, in ``cells`` cells, and what is in the cell after it: the
    arrow, unless there is room for it in the column. Without a gap, the arrow replaces the last letter if needed."""
    arrow = glyphs.down if descending else glyphs.up
    if len(title) < cells and not (right and has_gap):
        return fitted(title + arrow, cells, glyphs, right=right), ""
    if has_gap:
        return fitted(title, cells, glyphs, right=right), arrow
    return title[: cells - 1] + arrow, ""


def fitted(
    text: str, cells: int, glyphs: Glyphs, *, right: bool = False, clips: bool = False, middle: bool = False
) -> str:
    """Return a text of exactly ``cells`` cells; a longer one is cut off, with a mark for that unless it ``clips``.
    ``middle`` keeps a part of its end."""
    if clips:
        text = text[:cells]
    if middle and text.isascii() and len(text) > cells >= _LEAST_OF_BOTH:
        end = cells * 2 // 5
        text = text[: cells - 1 - end] + glyphs.cut + text[-end:]
    if len(text) > cells and text.endswith(" "):
        text = text[:cells] if not text[cells:].strip() else text.rstrip()
    if text.isascii():
        if len(text) > cells:
            text = text[: max(0, cells - 1)] + glyphs.cut if cells else ""
        return text.rjust(cells) if right else text.ljust(cells)
    if width(text) > cells:
        while text and width(text) > cells - 1:
            text = text[:-1]
        text += glyphs.cut
    padding = " " * max(0, cells - width(text))
    return padding + text if right else text + padding
