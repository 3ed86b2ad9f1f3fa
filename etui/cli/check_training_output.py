"""A training check as text, with a chart of the losses on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from etui import text
from etui.charts.grid import Canvas
from etui.charts.loss_curves import loss_curves
from etui.charts.palette import palette
from etui.cli.section_text import section_lines
from etui.cli.table import Column, ascii_only, table, terminal_width, wrapped_to_terminal
from etui.training_check import CheckSummary, StoredCheck, TrainingCheck
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
_LIST_COLUMNS = tuple(
    Column(heading, spare=spare) for heading, spare in zip(wording.LIST_HEADINGS, (0, 1, 0, 0, 2, 3), strict=True)
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


def list_text(found: Sequence[CheckSummary]) -> str:
    """Return stored checks as a table."""
    return text.plain(table(_LIST_COLUMNS, [wording.list_cells(one) for one in found]), keep_lines=True)


def stored_text(stored: StoredCheck) -> str:
    """Return a stored check: its result or its error, and where it was made."""
    versions = ", ".join(f"{name} {version}" for name, version in stored.versions.items())
    lines = [f"training check {stored.id} of {text.local_time(stored.created_at)} on {stored.box} ({stored.cpu})"]
    lines += filter(None, [versions and f"with {versions}"])
    head = wrapped_to_terminal(text.plain("; ".join(lines)))
    if stored.check is not None:
        return f"{as_text(stored.check)}\n\n{head}"
    return f"{head}\n{wrapped_to_terminal(text.plain(f'{stored.model}: error: {stored.error}'))}"


def stored_fields(stored: StoredCheck) -> dict[str, Any]:
    """Return a stored check as JSON: the fields of its result, if it has one, and those of the stored check."""
    fields: dict[str, Any] = {} if stored.check is None else check_fields(stored.check)
    return fields | {name: value for name, value in msgspec.to_builtins(stored).items() if name != "check"}


def check_fields(check: TrainingCheck) -> dict[str, Any]:
    """Return a check as JSON."""
    return {"passed": check.passed, **msgspec.to_builtins(check)}
