"""The columns of the runs table: content, width, sort key, and priority in a narrow terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from etui.results import LIVE_STATUSES
from etui.summary import RunSummary
from etui.table_columns import fitting_columns
from etui.text import agreement, moment, number, plain, width
from etui.tui.glyphs import Glyphs

Tone = Literal["", "faint", "good", "bad", "warn", "live"]
Cell = tuple[str, Tone]
GAP = 1


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column. ``title`` includes the unit; ``cells`` is its width, ``most`` its maximum width if there is room;
    ``order_by`` the database column it sorts by; ``spare`` the order in which columns are hidden when there is no room
    (highest first, 0 never); ``clips`` that its text is readable when cut off, and that it grows to ``most`` or not at
    all."""

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
    latency = run.latency_ms
    # A run imported without samples has a mean and no median, which the brackets mark.
    if latency.median is None and latency.mean is not None:
        return f"({number(latency.mean)})", "faint"
    return _number(latency.median)


def _interval(run: RunSummary, glyphs: Glyphs) -> Cell:
    latency = run.latency_ms
    if latency.median is None or latency.ci95 is None or latency.median == 0:
        return "", ""
    share = (latency.ci95[1] - latency.ci95[0]) / 2 / latency.median * 100
    return f"{glyphs.about}{share:.1f}%" if share < 99.95 else f"{glyphs.about}{share:.0f}%", "faint"


def _speedup(run: RunSummary, glyphs: Glyphs) -> Cell:
    value = run.speedup.value
    if value is None:
        return "", ""
    if run.speedup.verdict == "unreliable":
        # Two digits leave room for the glyph, and an unreliable ratio has no more.
        return number(value, 2) + glyphs.times + glyphs.flagged, "warn"
    shown = number(value) if value >= 0.1 else f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
    return shown + glyphs.times, "good" if value > 1.02 else "warn" if value < 0.98 else ""


def _verdict(run: RunSummary, glyphs: Glyphs) -> Cell:
    flag = f" {glyphs.flagged}" if run.flags else ""
    if run.status in LIVE_STATUSES:
        return run.status, "live"
    if run.status != "done":
        return run.status, "faint" if run.status == "cancelled" else "bad"
    verdict = run.accuracy.verdict
    if verdict is None:
        return f"done{flag}", "warn" if flag else "faint"
    return verdict + flag, "bad" if verdict == "FAIL" else "warn" if flag or verdict == "UNPROVEN" else "good"


def _error(value: float | None) -> Cell:
    """Two significant digits and the exponent, as short as possible: errors span many decades."""
    if value is None:
        return "", ""
    if value == 0:
        return "0", ""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}", ""


def _number(value: float | None) -> Cell:
    return ("", "") if value is None else (number(value), "")


def _share(value: float | None) -> Cell:
    return ("", "") if value is None else (agreement(value).removesuffix(" %"), "")


def _megabytes(value: int | None) -> Cell:
    return ("", "") if value is None else (number(value / 1e6), "")


def _note(run: RunSummary, _glyphs: Glyphs) -> Cell:
    return plain(run.note or (run.error or "")), "" if run.note else "faint"


COLUMNS: tuple[Column, ...] = (
    Column(name="when", title="when", about="When the run was queued", cells=5, most=11, clips=True,
           order_by="created_at", descends=True, spare=4, cell=_when),
    Column(name="model", title="model", about="Model", cells=10, most=26, order_by="model",
           cell=lambda run, _: (plain(run.model), "")),
    Column(name="precision", title="precision", about="Precision", cells=9, most=22, order_by="precision",
           cell=lambda run, _: (plain(run.precision), "")),
    Column(name="delegate", title="delegate", about="Delegate", cells=8, most=10, order_by="delegate", spare=1,
           cell=lambda run, _: (plain(run.delegate), "")),
    Column(name="p50", title="p50 ms", about="Median latency in ms", cells=8, right=True, order_by="latency_median_ms",
           cell=_median),
    Column(name="ci", title="95% ci", about="Half-width of the median's 95 % interval, in percent", cells=6, right=True,
           order_by="latency_ci95_low_ms", spare=5, cell=_interval),
    Column(name="p95", title="p95 ms", about="95th percentile in ms (needs 200 samples)", cells=7, right=True,
           order_by="latency_p95_ms", spare=9, cell=lambda run, _: _number(run.latency_ms.p95)),
    Column(name="speedup", title="×eager", about="Speedup over eager", cells=6, right=True,
           order_by="speedup", descends=True, spare=2, cell=_speedup),
    Column(name="mae", title="MAE", about="Mean absolute error of the outputs", cells=7, right=True, order_by="mae",
           spare=6, cell=lambda run, _: _error(run.accuracy.mae)),
    Column(name="sqnr", title="SQNR dB", about="Signal-to-quantization-noise ratio in dB", cells=7, right=True,
           order_by="sqnr_db", descends=True, spare=8, cell=lambda run, _: _number(run.accuracy.sqnr_db)),
    Column(name="verdict", title="verdict", about="Accuracy verdict, or how the run ended", cells=11,
           order_by="verdict", cell=_verdict),
    Column(name="size", title="size MB", about="Size of the program in MB", cells=7, right=True,
           order_by="size_bytes", spare=7, cell=lambda run, _: _megabytes(run.size_bytes)),
    Column(name="eager", title="eager ms", about="Median latency of eager in ms", cells=8, right=True,
           order_by="eager_latency_median_ms", spare=12, cell=lambda run, _: _number(run.eager_latency_ms.median)),
    Column(name="top1", title="top-1 %", about="Top-1 agreement with eager, in percent", cells=7, right=True,
           order_by="top1", descends=True, spare=13, cell=lambda run, _: _share(run.accuracy.top1)),
    Column(name="first", title="first ms", about="First inference in ms", cells=8, right=True,
           order_by="first_inference_ms", spare=16, cell=lambda run, _: _number(run.first_inference_ms)),
    Column(name="rss", title="RSS MB", about="Peak memory in MB", cells=6, right=True, order_by="peak_rss_bytes",
           spare=15, cell=lambda run, _: _megabytes(run.peak_rss_bytes)),
    Column(name="weights", title="weights", about="Source of the weights", cells=10, order_by="weights",
           spare=11, cell=lambda run, _: (run.weights or "", "faint")),
    Column(name="threads", title="thr", about="Threads", cells=3, right=True, order_by="threads", spare=10,
           cell=lambda run, _: ("" if run.threads is None else str(run.threads), "faint")),
    Column(name="preset", title="preset", about="Measurement preset", cells=8, order_by="preset", spare=17,
           cell=lambda run, _: (plain(run.preset), "faint")),
    Column(name="box", title="machine", about="Machine it ran on", cells=10, most=16, order_by="box", spare=18,
           cell=lambda run, _: (plain(run.box or ""), "faint")),
    Column(name="id", title="id", about="Run id", cells=6, order_by="id", spare=14,
           cell=lambda run, _: (plain(run.id)[:6], "faint")),
    Column(name="flags", title="flags", about="Warning flags", cells=14, most=30, order_by="flags", spare=13,
           cell=lambda run, _: (plain(", ".join(run.flags)), "warn")),
    Column(name="tags", title="tags", about="Tags", cells=8, most=20, order_by="tags", spare=20,
           cell=lambda run, _: (plain(", ".join(run.tags)), "")),
    Column(name="note", title="note", about="Note, or the error", cells=12, most=60, order_by="note",
           spare=19, cell=_note),
)  # fmt: skip
BY_NAME = {column.name: column for column in COLUMNS}


def sized_columns(columns: Sequence[Column], available: int) -> list[tuple[Column, int]]:
    """Return the columns that fit ``available`` cells, each with its width. Columns with the highest ``spare`` are
    hidden first; remaining room goes to columns that can grow, from the left."""
    fitting = fitting_columns(
        [column.cells for column in columns], [column.spare for column in columns], available, gap=GAP
    )
    shown = [columns[index] for index in fitting]
    room = available - (sum(column.cells + GAP for column in shown) - GAP)
    widths = []
    for column in shown:
        more = max(0, min(room, column.most - column.cells))
        if column.clips and column.cells + more < column.most:
            more = 0
        room -= more
        widths.append((column, column.cells + more))
    return widths


def arrowed(title: str, cells: int, glyphs: Glyphs, *, descending: bool) -> str:
    """Return the heading of the sort column; the arrow replaces the last letter if there is no room."""
    return title[: cells - 1] + (glyphs.down if descending else glyphs.up)


def fitted(text: str, cells: int, glyphs: Glyphs, *, right: bool = False, clips: bool = False) -> str:
    """Return a text of exactly ``cells`` cells; a longer one is cut off, with a mark for that unless it ``clips``."""
    if clips:
        text = text[:cells]
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
