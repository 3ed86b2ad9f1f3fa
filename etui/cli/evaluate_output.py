"""Print the evaluation of programs as text or CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from etui.cli.table import Column, table, wrapped_to_terminal
from etui.text import plain
from etui.wording import program_evaluation as wording

if TYPE_CHECKING:
    from etui.analysis.program_evaluation import Evaluation

_INTERVALS = ("mAP", "micro F1", "macro F1", "top-1", "top-5")
_LEFT = {"program", "category", *_INTERVALS, *(f"{name} %" for name in _INTERVALS)}
"""The columns of texts, and of values with their intervals."""

_SPARE = {"predicted": 1, "precision %": 1, "recall %": 2, "ECE": 3, "img/s": 4, "waiting": 5}


def as_text(found: Evaluation, *, classes: bool) -> str:
    """Return the results as tables: one row for each program, and with ``classes`` one table of categories each."""
    return plain("\n".join(_lines(found, classes=classes)), keep_lines=True)


def _lines(found: Evaluation, *, classes: bool) -> Iterator[str]:
    yield wrapped_to_terminal(wording.data_text(found.data))
    yield ""
    yield table(_columns(wording.headings(found)), wording.rows(found))
    if len(found.programs) > 1:
        yield ""
        yield wording.difference_heading(found)
        yield table(_columns(wording.difference_headings(found)), wording.difference_rows(found))
    if classes and found.data.kind == "multi-label":
        for program in found.programs:
            yield ""
            yield program.program
            yield table(_columns(wording.CATEGORY_HEADINGS, spare=("predicted",)), wording.category_rows(program))
    yield ""
    yield from map(wrapped_to_terminal, wording.notes(found))


def _columns(headings: Sequence[str], spare: Sequence[str] = tuple(_SPARE)) -> list[Column]:
    return [
        Column(name, right=name not in _LEFT, spare=_SPARE.get(name, 0) if name in spare else 0) for name in headings
    ]


def as_csv(found: Evaluation) -> bytes:
    """Return one row for each program and metric of the whole split, and for each category of multi-label data."""
    from etui.formats.csv_tables import csv_bytes

    rows: list[list[object]] = []
    for one in found.programs:
        metrics = one.metrics
        named = {
            "mean_average_precision": metrics.mean_average_precision,
            "micro_f1": metrics.micro_f1,
            "macro_f1": metrics.macro_f1,
            "top1": metrics.top1,
            "top5": metrics.top5,
        }
        for name, value in named.items():
            if value is not None:
                bounds = (value.interval.low, value.interval.high) if value.interval else (None, None)
                rows.append([one.program, "", name, value.value, *bounds])
        rows.append([one.program, "", "calibration_error", metrics.calibration_error, None, None])
        for category, figures in zip(one.categories, metrics.categories, strict=False):
            each = {
                "images": figures.positives,
                "average_precision": figures.average_precision,
                "precision": figures.precision,
                "recall": figures.recall,
                "f1": figures.f1,
            }
            rows += [[one.program, category, name, value, None, None] for name, value in each.items()]
    return csv_bytes(("program", "category", "metric", "value", "low", "high"), rows)
