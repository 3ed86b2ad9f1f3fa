"""The rows and text of the Gap tab: the numerical error of each layer's output, and which layer causes most of it."""

from __future__ import annotations

from typing import Literal

import msgspec
from rich.text import Text

from etui import text
from etui.analysis.numeric_gap import exceeds_threshold
from etui.charts.drawing import Canvas, Palette, depth
from etui.insight import LayerGap, NumericGap
from etui.tui.details.bars import percent
from etui.tui.details.origins import origin_text
from etui.tui.details.tree_rows import Column, Node, Rows, Tone
from etui.tui.text_layout import Sheet, Styles

Figure = Literal["sqnr", "mse", "contribution"]
_TITLES: dict[Figure, tuple[str, str]] = {
    "sqnr": ("SQNR of each layer's output, first to last (low is bad)", "dB"),
    "mse": ("mean squared error of each layer's output (high is bad, log scale)", "MSE"),
    "contribution": ("contribution of each layer to the output error", "%"),
}


def figures_of(gap: NumericGap) -> list[Figure]:
    """Return the figures that can be drawn: contributions only if they were measured."""
    figures: list[Figure] = ["sqnr", "mse"]
    if any(layer.contribution is not None for layer in gap.layers):
        figures.append("contribution")
    return figures


def gap_rows(gap: NumericGap) -> Rows:
    """Return one row per layer, the largest contribution first; by depth if contributions are not known."""
    nodes = []
    for number, layer in enumerate(gap.layers):
        place = _place(layer)
        nodes.append(
            Node(
                f"layer {number}",
                layer.name,
                figures={
                    "depth": float(number), "sqnr": layer.sqnr_db, "mse": layer.mse, "max": layer.max_abs,
                    "contribution": layer.contribution, "elements": float(layer.elements),
                },
                search_text=" ".join(
                    (layer.name, layer.origin.module, layer.origin.module_type, place, *layer.origin.operators)
                ).casefold(),
                item=layer,
            )
        )  # fmt: skip
    known = any(layer.contribution is not None for layer in gap.layers)

    def tone(node: Node) -> Tone:
        return "bad" if exceeds_threshold(_layer(node), gap.threshold_db) else ""

    columns = [
        Column(name="depth", title="#", width=5, cell=_depth, sorts="depth", descends=False),
        Column(name="name", title="layer", width=0, right=False, cell=_name, tree=True),
        Column(name="where", title="where", width=9, right=False, spare=5, cell=lambda node: _place(_layer(node))),
        Column(name="sqnr", title="SQNR dB", width=8, sorts="sqnr", descends=False, cell=_sqnr, tone=tone),
        Column(name="mse", title="MSE", width=8, sorts="mse", cell=lambda node: text.number(_layer(node).mse)),
        Column(
            name="max", title="max", width=8, spare=7, sorts="max", cell=lambda node: text.number(_layer(node).max_abs)
        ),
        Column(name="elements", title="elements", width=10, spare=9, cell=lambda node: f"{_layer(node).elements:,}"),
    ]
    if known:
        columns += [
            Column(
                name="contribution", title="of error %", width=11, sorts="contribution",
                cell=lambda node: percent(_layer(node).contribution),
            ),
            Column(
                name="bar", title="", width=6, right=False, spare=3, cell=lambda _node: "",
                share=lambda node: _layer(node).contribution,
            ),
        ]  # fmt: skip
    return Rows(nodes, columns, sort="contribution" if known else "depth")


def gap_head(gap: NumericGap, figure: Figure, palette: Palette, width: int, height: int, styles: Styles) -> Text:
    """Return the text above the rows: the summary, then the chart over the layers, ``height`` lines high."""
    sheet = Sheet(width, styles)
    for number, sentence in enumerate(summary(gap)):
        sheet.say(sentence, styles.strong if not number else "")
    if gap.suggestion:
        press = " Press K to do so." if gap.keep_fp32 else ""
        sheet.say(f"{gap.suggestion}{press}", styles.warn, glyph=styles.flagged)
    lines = [sheet.text, Text(), _chart(gap, figure, Canvas(width=width, height=height, palette=palette)), Text()]
    return Text("\n", no_wrap=True).join(lines)


def gap_tail(gap: NumericGap, width: int, styles: Styles) -> Text:
    """Return the text below the rows: the method, and notes on it."""
    sheet = Sheet(width, styles)
    sheet.say("")
    sheet.heading("Method")
    sheet.say(_sentence(gap.method))
    sheet.say(f"{text.counted(gap.inputs, 'input')}, {text.local_time(gap.created_at)}.", styles.muted)
    for note in gap.notes:
        sheet.say(_sentence(note), glyph=styles.flagged)
    return sheet.text


def summary(gap: NumericGap) -> list[str]:
    """Return which layers deviate most, in up to three sentences."""
    if not gap.layers:
        return [f"No layer could be compared with {gap.against}."]
    sentences = []
    exact = sum(layer.exact for layer in gap.layers)
    if exact == len(gap.layers):
        return [f"All {exact:,} layers are bit-identical to {gap.against}."]
    if gap.first_past is not None and 0 <= gap.first_past < len(gap.layers):
        layer = gap.layers[gap.first_past]
        below = sum(exceeds_threshold(other, gap.threshold_db) for other in gap.layers)
        sentences.append(
            f"The first layer below {text.number(gap.threshold_db)} dB is {_called(layer)}"
            f" ({_decibels(layer)}), number {gap.first_past + 1:,} of {len(gap.layers):,}; {below:,} are below it."
        )
    else:
        worst = min((layer for layer in gap.layers if layer.sqnr_db is not None), key=_sqnr_of, default=None)
        lowest = f" The lowest is {_called(worst)} with {_decibels(worst)}." if worst else ""
        sentences.append(
            f"None of {len(gap.layers):,} layers is below {text.number(gap.threshold_db)} dB against {gap.against}."
            + lowest
        )
    contributions = [layer for layer in gap.layers if layer.contribution is not None]
    if contributions:
        most = max(contributions, key=lambda layer: layer.contribution or 0.0)
        sentences.append(f"{_called(most)} causes {percent(most.contribution)} % of the output error.")
    sentences[-1] += f" Compared with {gap.against}." if gap.first_past is not None else ""
    return sentences


def layer_page(node: Node | None, width: int, styles: Styles, most: int) -> Text:
    """Return the source of the layer under the cursor, in at most ``most`` lines."""
    sheet = Sheet(width, styles)
    if node is None:
        return sheet.text
    layer = _layer(node)
    sheet.say(f"{layer.name}: {layer.elements:,} elements, {_decibels(layer)}", styles.strong)
    return origin_text(sheet, layer.origin, most)


def module_of(gap: NumericGap, node: Node | None) -> str:
    """Return the module to keep in FP32: the suggested one, else that of the row under the cursor."""
    if gap.keep_fp32:
        return gap.keep_fp32
    return _layer(node).origin.module if node is not None else ""


def _chart(gap: NumericGap, figure: Figure, canvas: Canvas) -> Text:
    subject, unit = _TITLES[figure]
    canvas = msgspec.structs.replace(canvas, width=max(24, canvas.width))
    first = gap.first_past
    if figure == "sqnr":
        values: list[float | None] = [layer.sqnr_db for layer in gap.layers]
        return depth(values, canvas, threshold=gap.threshold_db, marked=first, unit=unit, subject=subject)
    if figure == "mse":
        values = [layer.mse for layer in gap.layers]
        return depth(values, canvas, worst="high", log=True, marked=first, unit=unit, subject=subject)
    values = [None if layer.contribution is None else 100 * layer.contribution for layer in gap.layers]
    return depth(values, canvas, worst="high", marked=first, unit=unit, subject=subject)


def _layer(node: Node) -> LayerGap:
    assert isinstance(node.item, LayerGap)
    return node.item


def _sqnr_of(layer: LayerGap) -> float:
    return layer.sqnr_db if layer.sqnr_db is not None else float("inf")


def _called(layer: LayerGap) -> str:
    return layer.origin.module or layer.name


def _decibels(layer: LayerGap) -> str:
    if layer.non_finite:
        return f"{layer.non_finite:,} elements are not finite"
    return "exact" if layer.exact else f"{text.number(layer.sqnr_db)} dB" if layer.sqnr_db is not None else "no SQNR"


def _place(layer: LayerGap) -> str:
    return {True: "delegate", False: "CPU", None: ""}[layer.delegated]


def _depth(node: Node) -> str:
    number = node.figures["depth"]
    return f"{int(number) + 1:,}" if isinstance(number, float) else ""


def _name(node: Node) -> str:
    layer = _layer(node)
    module = layer.origin.module
    return f"{module}  {layer.name}" if module and not layer.name.startswith(module) else layer.name


def _sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:]}{'' if note.endswith(('.', '!', '?')) else '.'}" if note else ""


def _sqnr(node: Node) -> str:
    layer = _layer(node)
    if layer.non_finite:
        return "not fin."
    return "exact" if layer.exact else text.MISSING if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}"
