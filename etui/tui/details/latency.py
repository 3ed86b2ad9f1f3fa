"""The text of the Latency tab: statistics next to eager, start-up times, and the blocks."""

from __future__ import annotations

import statistics

from rich.text import Text

from etui import text
from etui.results import LIVE_STATUSES, Block, RunDocument
from etui.tui.details.section_view import add_section
from etui.tui.text_layout import Column, Sheet, Styles
from etui.wording import run_sections


def statistics_page(document: RunDocument, width: int, styles: Styles) -> Text:
    """Return the statistics of the program and of eager, the start-up times, and the parts of a call."""
    sheet = Sheet(width, styles)
    if document.latency_ms is None and document.eager_latency_ms is None:
        sheet.say(_why_empty(document), styles.muted)
        return sheet.text
    add_section(sheet, run_sections.latency(document), heading=False)
    add_section(sheet, run_sections.start(document))
    add_section(sheet, run_sections.call(document))
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
        Column("min"),
        Column("max"),
        Column("samples"),
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
