"""A training check as a page: its verdict, optimizers and failures, the curves of the losses, and how it was made."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from etui.charts.grid import Canvas
from etui.charts.loss_curves import loss_curves
from etui.charts.palette import Palette
from etui.training_check import OptimizerCheck, TrainingCheck, TrainingStep
from etui.tui.text_layout import Cell, Column, Sheet, Styles
from etui.wording import training_check as wording

_SHOWN = tuple(place for place, heading in enumerate(wording.HEADINGS) if heading != "steps")
"""The steps are also a fact below the chart, and the end of the curve if a loop ended early."""
_COLUMNS = tuple(
    Column(
        wording.HEADINGS[place],
        right=wording.HEADINGS[place] not in {"optimizer", "verdict"},
        optional=wording.HEADINGS[place] in {"rate", "time per step"},
    )
    for place in _SHOWN
)
_VERDICT = wording.HEADINGS.index("verdict")
LEAST_CHART = 8
"""The fewest lines of a chart that can be read."""

Curve = tuple[str, Sequence[float | None]]


def check_page(check: TrainingCheck, width: int, height: int, palette: Palette, styles: Styles) -> Text:
    """Return a check that has ended. The chart is as high as leaves the verdict and it visible in ``height`` lines."""
    sheet = Sheet(width, styles)
    good = check.passed
    sheet.say(wording.verdict(check), styles.good if good else styles.bad, glyph=styles.ok if good else styles.failed)
    sheet.gap()
    sheet.table(_COLUMNS, [_row(one, styles) for one in check.optimizers])
    for entry in wording.failures(check):
        sheet.gap()
        sheet.say(f"{entry.label}: {entry.value}", styles.bad, glyph=styles.failed)
    chart = _chart([(one.optimizer, one.losses) for one in check.optimizers], sheet, height, palette)
    below = Sheet(width, styles)
    for entry in wording.entries(check):
        below.fact(entry.label, entry.value)
    below.gap()
    for one in check.optimizers:
        for sentence in wording.sentences(one):
            below.say(f"{one.optimizer}: {sentence}")
    below.gap()
    below.say(wording.CRITERION, styles.muted)
    return Text("\n", no_wrap=True).join([sheet.text, Text(), chart, Text(), below.text])


def live_page(
    state: str,
    step: TrainingStep | None,
    curves: Sequence[Curve],
    width: int,
    height: int,
    palette: Palette,
    styles: Styles,
) -> Text:
    """Return a check in progress: what is done, and the losses so far."""
    sheet = Sheet(width, styles)
    sheet.say(state if step is None else wording.step_text(step), styles.strong)
    if not curves:
        return sheet.text
    chart = _chart(curves, sheet, height, palette)
    return Text("\n", no_wrap=True).join([sheet.text, Text(), chart])


def _row(one: OptimizerCheck, styles: Styles) -> list[str | Cell]:
    cells: list[str | Cell] = list(wording.cells(one))
    cells[_VERDICT] = Cell("PASS" if one.passed else "FAIL", styles.good if one.passed else styles.bad)
    return [cells[place] for place in _SHOWN]


def _chart(curves: Sequence[Curve], above: Sheet, height: int, palette: Palette) -> Text:
    room = height - len(above.text.split()) - 1
    return loss_curves(curves, Canvas(width=above.width, height=max(LEAST_CHART, room), palette=palette))
