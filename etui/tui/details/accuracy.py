"""The Accuracy tab of the details: the verdict, both errors, and every output of every input."""

from __future__ import annotations

from rich.text import Text

from etui import text
from etui.results import Accuracy, Comparison, Metrics, OutputAccuracy, RunDocument
from etui.tui.text_layout import Cell, Column, Sheet, Styles
from etui.wording import run as run_wording

_METRICS = ("MAE", "max", "RMSE", "SQNR dB", "cosine", "top-1", "top-5")


def accuracy_page(document: RunDocument, width: int, styles: Styles) -> Text:
    """Return the tab's text."""
    sheet = Sheet(width, styles)
    accuracy = document.accuracy
    if accuracy is None:
        sheet.say("The accuracy of this run was not measured.", styles.muted)
        return sheet.text
    glyph, style = {
        "PASS": (styles.ok, styles.good),
        "FAIL": (styles.failed, styles.bad),
        "UNPROVEN": (styles.flagged, styles.warn),
    }[accuracy.verdict]
    sheet.say(run_wording.accuracy(document), style, glyph=glyph)
    if explanation := run_wording.two_errors(accuracy):
        sheet.say(explanation)
    sheet.gap()
    sheet.fact("tolerance", run_wording.tolerance(accuracy.tolerance))
    sheet.fact("reason", accuracy.reason)
    if document.weights is not None and document.weights.kind == "synthetic":
        meaning = "these errors describe the arithmetic, not the trained model"
        sheet.fact("caution", f"the weights are synthetic: {meaning}", styles.warn)
    _errors(sheet, accuracy)
    _outputs(sheet, "End to end, per output", accuracy.end_to_end)
    if accuracy.lowering is not None:
        _outputs(sheet, "Lowering only, per output", accuracy.lowering)
    return sheet.text


def _errors(sheet: Sheet, accuracy: Accuracy) -> None:
    rows: list[list[str | Cell]] = []
    for name, comparison in (("end to end", accuracy.end_to_end), ("lowering", accuracy.lowering)):
        if comparison is not None:
            rows.append([name, "all", *_metrics(comparison.overall)])
            rows.append(["", "worst", *_metrics(comparison.worst)])
    sheet.heading("Errors", "in the unit of the outputs; over all elements, and of the worst output")
    columns = [Column("error", right=False), Column("of", right=False), *_metric_columns()]
    sheet.table(columns, rows)
    sheet.gap()
    sheet.fact("end to end", f"against {accuracy.end_to_end.against}", label_width=12)
    if accuracy.lowering is not None:
        sheet.fact("lowering", f"against {accuracy.lowering.against}", label_width=12)


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
    for output in comparison.outputs:
        shape = "x".join(map(str, output.shape))
        rows.append([str(output.input + 1), _name(output), *_metrics(output.metrics), shape, output.dtype])
    sheet.table(columns, rows)
    for output in comparison.outputs:
        where = f"input {output.input + 1}, {output.name}"
        if output.problem:
            sheet.say(f"{where}: {output.problem}", styles.bad, glyph=styles.failed)
        elif not output.informative:
            sheet.say(f"{where}: not informative (constant or all zero)", styles.warn, glyph=styles.flagged)


def _name(output: OutputAccuracy) -> str:
    return output.name or str(output.output)


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
