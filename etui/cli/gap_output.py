"""A numeric gap as text with a chart along the depth, as CSV and as JSON."""

from __future__ import annotations

import msgspec

from etui import text
from etui.analysis.numeric_gap import Order, exceeds_threshold, ordered
from etui.cli.table import Column, table, wrapped_to_terminal
from etui.formats.csv_tables import csv_bytes
from etui.formats.json_text import printable_json
from etui.insight import LayerGap, NumericGap
from etui.results import RunDocument

BAR = 20
_LAYER = 44
_COLUMNS = (
    Column("", right=True, spare=1),
    Column("layer", most=_LAYER, cut="start"),
    Column("operator", spare=4),
    Column("SQNR dB", right=True),
    Column("noise", spare=3),
    Column("MSE", right=True, spare=5),
    Column("max error", right=True, spare=6),
    Column("contribution", right=True, spare=2),
)
CSV_HEAD = (
    "depth", "layer", "module", "module_type", "operator", "elements", "mse", "max_abs", "sqnr_db", "exact",
    "non_finite", "below_threshold", "delegated", "contribution", "source",
)  # fmt: skip


def as_text(document: RunDocument, gap: NumericGap, *, order: Order, limit: int, ascii_only: bool) -> str:
    """Return the method, the first layer below the threshold, the suggestion, and the layers with one bar each."""
    name = text.shortened(document.model.name, text.WHOLE_CELLS)
    lines = [
        f"{name} {document.configuration}, run {document.id[:6]}: "
        f"numeric gap against {gap.against} on {text.counted(gap.inputs, 'input')}",
        f"{_sentence(gap.method)}",
        "",
        first_below(gap),
    ]
    if gap.suggestion:
        lines.append(gap.suggestion)
    if gap.keep_fp32:
        lines.append(f"To do so: etui run with --keep-fp32 {gap.keep_fp32}")
    lines += [f"! {note}" for note in gap.notes]
    places = ordered(gap, order)
    shown = places[:limit] if limit else places
    lines = list(map(wrapped_to_terminal, lines))
    lines += ["", table(_COLUMNS, [_row(gap, place, ascii_only) for place in shown])]
    if len(shown) < len(places):
        lines.append(f"{len(shown)} of {len(places)} layers; --limit 0 shows all")
    lines.append(
        f"noise: from the best layer to the worst, longer is worse; !: below {text.number(gap.threshold_db)} dB"
    )
    return "\n".join(text.plain(line, keep_lines=True) for line in lines)


def first_below(gap: NumericGap) -> str:
    """Return a sentence about the first layer below the threshold."""
    threshold = text.number(gap.threshold_db)
    if gap.first_past is None:
        return f"No layer is below {threshold} dB."
    layer = gap.layers[gap.first_past]
    silent = "not finite" if layer.non_finite else "an error where the reference is zero"
    db = f"{text.number(layer.sqnr_db)} dB" if layer.sqnr_db is not None else silent
    many = sum(exceeds_threshold(one, gap.threshold_db) for one in gap.layers)
    return (
        f"The first layer below {threshold} dB is {layer.name} ({db}); {many} of {len(gap.layers)} layers are below it."
    )


def as_json(document: RunDocument, gap: NumericGap) -> str:
    """Return the numeric gap with its run, in the format of the run's document."""
    value = {
        "run": document.id,
        "model": document.model.name,
        "precision": document.precision,
        "delegate": document.delegate,
        **msgspec.to_builtins(gap),
    }
    return printable_json(value).decode()


def as_csv(gap: NumericGap) -> bytes:
    """Return every layer in the order of the graph; unknown values are empty."""
    return csv_bytes(
        CSV_HEAD,
        (
            (
                place, layer.name, layer.origin.module, layer.origin.module_type, _operator(layer),
                layer.elements, layer.mse, layer.max_abs, layer.sqnr_db, layer.exact, layer.non_finite,
                exceeds_threshold(layer, gap.threshold_db), layer.delegated, layer.contribution,
                layer.origin.stack[-1] if layer.origin.stack else "",
            )
            for place, layer in enumerate(gap.layers)
        ),
    )  # fmt: skip


def _row(gap: NumericGap, place: int, ascii_only: bool) -> tuple[str, ...]:
    layer = gap.layers[place]
    mark = "!" if exceeds_threshold(layer, gap.threshold_db) else ""
    if layer.exact:
        sqnr = "exact"
    elif layer.non_finite:
        sqnr = "NaN or inf"
    else:
        sqnr = text.number(layer.sqnr_db)
    return (
        str(place + 1),
        layer.name,
        _operator(layer).removeprefix("aten."),
        f"{mark}{sqnr}",
        _bar(gap, layer, ascii_only),
        text.number(layer.mse),
        text.number(layer.max_abs),
        text.MISSING if layer.contribution is None else text.percent(layer.contribution, 1),
    )


def _operator(layer: LayerGap) -> str:
    return layer.origin.operators[0] if layer.origin.operators else ""


def _bar(gap: NumericGap, layer: LayerGap, ascii_only: bool) -> str:
    """Return a bar for the noise of a layer, on a dB scale from the best layer to the worst."""
    known = [one.sqnr_db for one in gap.layers if one.sqnr_db is not None]
    if layer.sqnr_db is None or not known:
        return ""
    best, worst = max(known), min(known)
    part = (best - layer.sqnr_db) / (best - worst) if best > worst else 1.0
    return ("#" if ascii_only else "█") * max(1, round(min(1.0, max(0.0, part)) * BAR))


def _sentence(clause: str) -> str:
    clause = clause[:1].upper() + clause[1:] if not clause.startswith("-") else clause
    return clause if clause.endswith((".", "!")) else f"{clause}."
