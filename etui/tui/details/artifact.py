"""The details' page on the program: its size, how it was made, what the delegate took, and the memory it needs."""

from __future__ import annotations

from rich.text import Text

from etui import text
from etui.analysis import words
from etui.results import RunDocument
from etui.tui.details.sheet import Cell, Column, Sheet, Styles

_BAR = 24


def artifact_page(document: RunDocument, width: int, styles: Styles) -> Text:
    """The page as text."""
    sheet = Sheet(width, styles)
    if document.artifact is None:
        sheet.say("There is no program yet." if document.error is None else document.error, styles.muted)
    else:
        sheet.say(words.size(document), styles.strong)
        origin = "taken from the cache" if document.artifact.cached else "made for this run"
        sheet.fact("file", f"{document.artifact.kind}, {document.artifact.size_bytes:,} bytes, {origin}")
        sheet.fact("sha256", document.artifact.sha256)
        sheet.fact("cache key", document.artifact.key)
    _stages(sheet, document)
    _delegation(sheet, document)
    _memory(sheet, document)
    return sheet.text


def _stages(sheet: Sheet, document: RunDocument) -> None:
    if not document.stages:
        return
    styles = sheet.styles
    spent = sum(stage.seconds for stage in document.stages if not stage.cached)
    sheet.heading("Stages", f"{text.seconds(spent)} in this run; what is cached was spent before it")
    longest = max(stage.seconds for stage in document.stages) or 1.0
    rows: list[list[str | Cell]] = [
        [
            stage.name,
            text.seconds(stage.seconds),
            "cached" if stage.cached else "",
            Cell(styles.rule * max(1, round(stage.seconds / longest * _BAR)), styles.muted),
        ]
        for stage in document.stages
    ]
    columns = [
        Column("stage", right=False),
        Column("time"),
        Column("", right=False),
        Column("", right=False, optional=True),
    ]
    sheet.table(columns, rows)


def _delegation(sheet: Sheet, document: RunDocument) -> None:
    delegation = document.delegation
    if delegation is None:
        return
    total = delegation.delegated_nodes + delegation.undelegated_nodes
    pieces = "1 subgraph" if delegation.subgraphs == 1 else f"{delegation.subgraphs} subgraphs"
    sheet.heading("Delegation")
    if document.delegate == "portable":
        sheet.say(f"No delegate: all {total} nodes run on ExecuTorch's own kernels.")
    else:
        sheet.say(f"{document.delegate} took {delegation.delegated_nodes} of {total} nodes, in {pieces}.")
    if delegation.undelegated_operators:
        sheet.gap()
        by_count = sorted(delegation.undelegated_operators.items(), key=lambda item: (-item[1], item[0]))
        columns = [Column("operators outside it", right=False), Column("nodes")]
        sheet.table(columns, [[name, f"{count:,}"] for name, count in by_count])


def _memory(sheet: Sheet, document: RunDocument) -> None:
    ours, eager = document.memory, document.eager_memory
    if ours is None and eager is None:
        return
    sheet.heading("Memory", "of load and inference, in a pass of its own")
    rows = [
        [label, text.size(getattr(ours, field, None)), text.size(getattr(eager, field, None))]
        for label, field in (
            ("peak RSS", "peak_rss_bytes"),
            ("after load", "load_rss_bytes"),
            ("before anything", "baseline_rss_bytes"),
            ("planned", "planned_bytes"),
        )
    ]
    if ours is not None and None not in (ours.peak_rss_bytes, ours.baseline_rss_bytes):
        own = (ours.peak_rss_bytes or 0) - (ours.baseline_rss_bytes or 0)
        theirs = None
        if eager is not None and eager.peak_rss_bytes is not None and eager.baseline_rss_bytes is not None:
            theirs = eager.peak_rss_bytes - eager.baseline_rss_bytes
        rows.insert(1, ["of its own", text.size(own), text.size(theirs)])
    columns = [Column("", right=False), Column(f"{document.precision}/{document.delegate}"), Column("eager")]
    sheet.table(columns, rows)
    if ours is not None and ours.planned_bytes is not None:
        sheet.say(
            "Planned is what ExecuTorch reserves; a delegate's packed weights and workspace come on top.",
            sheet.styles.muted,
        )
