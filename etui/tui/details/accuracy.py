"""The details' page on accuracy: the verdict in words, both errors, and every output of every input."""

from __future__ import annotations

from rich.text import Text

from etui import text
from etui.results import Accuracy, Comparison, Metrics, OutputAccuracy, RunDocument
from etui.tui.text_layout import Cell, Column, Sheet, Styles
from etui.wording import run as words

_METRICS = ("MAE", "max", "RMSE", "SQNR dB", "cosine", "top-1", "top-5")


def accuracy_page(document: RunDocument, width: int, styles: Styles) -> Text:
    """The page as text."""
    sheet = Sheet(width, styles)
    found = document.accuracy
    if found is None:
        sheet.say("The outputs of this run were not compared with anything.", styles.muted)
        return sheet.text
    glyph, style = {
        "PASS": (styles.ok, styles.good),
        "FAIL": (styles.failed, styles.bad),
        "UNPROVEN": (styles.flagged, styles.warn),
    }[found.verdict]
    sheet.say(words.accuracy(document), style, glyph=glyph)
    if apart := words.two_errors(found):
        sheet.say(apart)
    sheet.gap()
    sheet.fact("tolerance", words.tolerance(found.tolerance))
    sheet.fact("reason", found.reason)
    if document.weights is not None and document.weights.kind == "synthetic":
        about = "these errors are about the arithmetic, not about the trained model"
        sheet.fact("mind", f"the weights are synthetic: {about}", styles.warn)
    _errors(sheet, found)
    _outputs(sheet, "End to end, output by output", found.end_to_end)
    if found.lowering is not None:
        _outputs(sheet, "Lowering alone, output by output", found.lowering)
    return sheet.text


def _errors(sheet: Sheet, found: Accuracy) -> None:
    rows: list[list[str | Cell]] = []
    for name, comparison in (("end to end", found.end_to_end), ("lowering", found.lowering)):
        if comparison is not None:
            rows.append([name, "all", *_metrics(comparison.overall)])
            rows.append(["", "worst", *_metrics(comparison.worst)])
    sheet.heading("Errors", "in the outputs' own unit; all elements together, and the worst output")
    columns = [Column("error", right=False), Column("of", right=False), *_metric_columns()]
    sheet.table(columns, rows)
    sheet.gap()
    sheet.fact("end to end", f"against {found.end_to_end.against}", label_width=12)
    if found.lowering is not None:
        sheet.fact("lowering", f"against {found.lowering.against}", label_width=12)


def _outputs(sheet: Sheet, heading: str, comparison: Comparison) -> None:
    if not comparison.outputs:
        return
    sheet.heading(heading)
    styles = sheet.styles
    columns = [
        Column("input"),
        Column("output", right=False),
        *_metric_columns(),
        Column("shape", right=False, optional=True),
        Column("type", right=False, optional=True),
    ]
    rows: list[list[str | Cell]] = []
    for one in comparison.outputs:
        rows.append([str(one.input + 1), _named(one), *_metrics(one.metrics), "x".join(map(str, one.shape)), one.dtype])
    sheet.table(columns, rows)
    for one in comparison.outputs:
        if one.problem:
            sheet.say(f"input {one.input + 1}, {one.name}: {one.problem}", styles.bad, glyph=styles.failed)
        elif not one.informative:
            told = "carries no information (constant, or of no magnitude)"
            sheet.say(f"input {one.input + 1}, {one.name}: {told}", styles.warn, glyph=styles.flagged)


def _named(one: OutputAccuracy) -> str:
    return one.name or str(one.output)


def _metric_columns() -> list[Column]:
    return [Column(name, optional=name in ("top-1", "top-5", "max", "RMSE")) for name in _METRICS]


def _metrics(metrics: Metrics | None) -> list[str]:
    if metrics is None:
        return [text.MISSING] * len(_METRICS)
    return [
        text.number(metrics.mae),
        text.number(metrics.max_abs),
        text.number(metrics.rmse),
        "exact" if metrics.exact else text.number(metrics.sqnr_db),
        text.number(metrics.cosine, 5),
        text.number(metrics.top1),
        text.number(metrics.top5),
    ]
