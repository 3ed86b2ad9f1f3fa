"""A training check as text, with a chart of the losses on a terminal."""

from __future__ import annotations

from etui import text
from etui.charts.grid import Canvas
from etui.charts.loss_curves import loss_curves
from etui.charts.palette import palette
from etui.cli.section_text import section_lines
from etui.cli.table import Column, ascii_only, table, terminal_width, wrapped_to_terminal
from etui.training_check import TrainingCheck
from etui.wording import training_check as wording
from etui.wording.run_sections import RunSection

_COLUMNS = (
    Column("optimizer"),
    Column("rate", right=True, spare=4),
    Column("verdict"),
    Column("steps", right=True, spare=3),
    Column("first loss", right=True),
    Column("last loss", right=True),
    Column("time per step", right=True, spare=2),
    Column("peak memory", right=True, spare=1),
)
_CHART_WIDTH, _CHART_HEIGHT = 80, 14


def as_text(check: TrainingCheck) -> str:
    """Return how the model was trained, the optimizers, the failures, and on a terminal the chart."""
    lines = [f"{check.model}  {check.title}"]
    lines += section_lines(RunSection(title="", entries=wording.entries(check)))
    lines += ["", table(_COLUMNS, [wording.cells(one) for one in check.optimizers]), ""]
    lines += [wrapped_to_terminal(f"{entry.label}: {entry.value}") for entry in wording.failures(check)]
    for one in check.optimizers:
        lines += [wrapped_to_terminal(f"{one.optimizer}: {sentence}") for sentence in wording.sentences(one)]
    room = terminal_width()
    if room is not None:
        canvas = Canvas(
            width=min(room - 1, _CHART_WIDTH),
            height=_CHART_HEIGHT,
            palette=palette("none", unicode=not ascii_only()),
        )
        curves = [(one.optimizer, one.losses) for one in check.optimizers]
        lines += ["", loss_curves(curves, canvas).plain]
    lines += ["", wrapped_to_terminal(wording.CRITERION)]
    return text.plain("\n".join(lines), keep_lines=True)
