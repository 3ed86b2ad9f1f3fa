"""The text of the Latency tab: statistics next to eager, start-up times, and the blocks."""

from __future__ import annotations

import statistics

from rich.text import Text

from etui import text
from etui.results import LIVE_STATUSES, Block, LatencyStats, RunDocument
from etui.tui.text_layout import Column, Sheet, Styles

_ROWS = (
    ("median", "median"),
    ("mean", "mean"),
    ("fastest", "min"),
    ("slowest", "max"),
    ("std. deviation", "std"),
    ("MAD", "mad"),
    ("p90", "p90"),
    ("p95", "p95"),
    ("p99", "p99"),
)
_FEWEST = {"p90": "100", "p95": "200", "p99": "1,000"}


def statistics_page(document: RunDocument, width: int, styles: Styles) -> Text:
    """Return the statistics of the program and of eager in two columns, and the start-up times."""
    sheet = Sheet(width, styles)
    ours, eager = document.latency_ms, document.eager_latency_ms
    if ours is None and eager is None:
        sheet.say(_why_empty(document), styles.muted)
        return sheet.text
    name = f"{document.precision}/{document.delegate}"
    columns = [Column("ms", right=False), Column(name), Column("eager"), Column("eager / program", optional=True)]
    rows = [[label, _figure(ours, field), _figure(eager, field), _ratio(document, field)] for label, field in _ROWS]
    rows.insert(1, ["95 % interval", _interval(ours), _interval(eager), _speed_interval(document)])
    rows.append(["inferences", _count(ours), _count(eager), ""])
    sheet.table(columns, rows)
    blank = [field for field in _FEWEST if ours is not None and getattr(ours, field) is None]
    if blank and ours is not None and not document.summary_only:
        needed = ", ".join(f"{field} needs {_FEWEST[field]}" for field in blank)
        sheet.say(f"Not shown, too few inferences: {needed}.", styles.muted)
    starts = [
        ["program load", text.number(document.program_load_ms), ""],
        ["method load", text.number(document.method_load_ms), ""],
        [
            "first inference",
            text.number(document.first_inference_ms),
            text.number(document.eager_first_inference_ms),
        ],
    ]
    if any(cell not in ("", text.MISSING) for row in starts for cell in row[1:]):
        sheet.heading("Start")
        sheet.table([Column("ms", right=False), Column(name), Column("eager")], starts)
    if (call := document.call) is not None:
        sheet.heading("Time of a call", "measured by extra calls after the samples")
        parts = [
            ["copying inputs in", text.number(call.inputs_ms)],
            ["execute", text.number(call.execute_ms)],
            ["copying outputs out", text.number(call.outputs_ms)],
            ["fixed cost of a Python call", text.number(call.fixed_ms)],
        ]
        sheet.table([Column("ms", right=False), Column(name)], parts)
    return sheet.text


def _why_empty(document: RunDocument) -> str:
    if document.status not in LIVE_STATUSES:
        return "No statistics: " + (document.error or f"the run is {document.status}") + "."
    if document.blocks or document.eager_blocks:
        return "The statistics appear when every block is measured; the finished blocks are listed below."
    return f"No measurements yet: the run is {document.status}."


def blocks_page(document: RunDocument, width: int, styles: Styles) -> Text:
    """Return a table of the blocks in the order measured: medians, spread, and disturbances."""
    sheet = Sheet(width, styles)
    blocks = sorted((*document.blocks, *document.eager_blocks), key=lambda block: (block.index, block.position))
    if not blocks:
        return sheet.text
    sheet.heading("Blocks", "each in a separate process, in random order")
    columns = [
        Column("block"),
        Column("variant", right=False),
        Column("median ms"),
        Column("fastest"),
        Column("slowest"),
        Column("inferences"),
        Column("warm-up", optional=True),
        Column("threads", optional=True),
        Column("first ms", optional=True),
        Column("load ms", optional=True),
        Column("other load", optional=True),
        Column("started", optional=True),
    ]
    sheet.table(columns, [_block(block) for block in blocks])
    return sheet.text


def _block(block: Block) -> list[str]:
    samples = block.samples_ms
    loads = [part for part in (block.program_load_ms, block.method_load_ms) if part is not None]
    stability = "" if block.warmup_settled is not False else " unsettled"
    foreign = block.foreign_cpu_cores
    return [
        str(block.index + 1),
        block.variant,
        text.number(statistics.median(samples), 4) if samples else text.MISSING,
        text.number(min(samples), 4) if samples else text.MISSING,
        text.number(max(samples), 4) if samples else text.MISSING,
        f"{len(samples):,}",
        f"{block.warmup_count}{stability}",
        str(block.threads),
        text.number(block.first_inference_ms),
        text.number(sum(loads)) if loads else text.MISSING,
        text.MISSING if foreign is None else f"{max(0.0, foreign):.2f} cores",
        block.started_at[11:19],
    ]


def _figure(stats: LatencyStats | None, field: str) -> str:
    return text.MISSING if stats is None else text.number(getattr(stats, field), 4)


def _count(stats: LatencyStats | None) -> str:
    return text.MISSING if stats is None or stats.count is None else f"{stats.count:,}"


def _interval(stats: LatencyStats | None) -> str:
    return text.MISSING if stats is None else text.interval(stats.ci95)


def _speed_interval(document: RunDocument) -> str:
    return text.interval(document.speedup.ci95) if document.speedup else text.MISSING


def _ratio(document: RunDocument, field: str) -> str:
    ours, eager = document.latency_ms, document.eager_latency_ms
    if field in ("std", "mad") or ours is None or eager is None:
        return ""
    if field == "median" and document.speedup is not None:
        return text.speedup(document.speedup.value, document.speedup.verdict)
    own, other = getattr(ours, field), getattr(eager, field)
    return text.ratio(other / own) if own and other else ""
