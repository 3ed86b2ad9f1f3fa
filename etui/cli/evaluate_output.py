"""Print the evaluation of programs as text or CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from etui.cli.table import Column, table, wrapped_to_terminal
from etui.text import MISSING, number, percent, plain

if TYPE_CHECKING:
    from etui.analysis.task_metrics import Estimate
    from etui.services.evaluate import DataInfo, Evaluation, ProgramEvaluation

_NAMED = 5
_SOURCES = {
    "given": "as given with --outputs",
    "metadata": "as its metadata says",
    "program": "as its last operator shows",
}
_SHA = 12


def as_text(found: Evaluation, *, classes: bool) -> str:
    """Return the results as tables: one row for each program, and with ``classes`` one table of categories each."""
    return plain("\n".join(_lines(found, classes=classes)), keep_lines=True)


def _lines(found: Evaluation, *, classes: bool) -> Iterator[str]:
    yield wrapped_to_terminal(_data(found.data))
    yield ""
    yield table(*_multi_label(found)) if found.data.kind == "multi-label" else table(*_single_label(found))
    if len(found.programs) > 1:
        yield ""
        yield f"difference from {found.programs[0].program}, in percentage points, on the same images"
        yield table(*_differences(found))
    if classes and found.data.kind == "multi-label":
        for program in found.programs:
            yield ""
            yield program.program
            yield table(_CATEGORY_COLUMNS, list(_categories(program)))
    yield ""
    if found.threshold_data is not None:
        yield wrapped_to_terminal(f"thresholds: largest micro F1 on {_data(found.threshold_data)}")
    excluded = found.programs[0].metrics.excluded
    if excluded:
        names = [found.programs[0].categories[place] for place in excluded[:_NAMED]]
        more = f" and {len(excluded) - _NAMED} more" if len(excluded) > _NAMED else ""
        yield wrapped_to_terminal(f"without an image, and not in mAP and macro F1: {', '.join(names)}{more}")
    for one in found.programs:
        if one.outputs == "probabilities":
            yield wrapped_to_terminal(f"{one.program}: its outputs are probabilities, {_SOURCES[one.outputs_source]}")
    yield wrapped_to_terminal("in parentheses: 95 % intervals over images. img/s and waiting depend on what else runs.")


def _data(data: DataInfo) -> str:
    split = f" {data.split}" if data.split else ""
    of = f" of {data.of:,}" if data.images < data.of else ""
    return f"{data.name}{split}: {data.images:,}{of} images, {data.kind}, sha256 {data.sha256[:_SHA]}"


def _multi_label(found: Evaluation) -> tuple[tuple[Column, ...], list[list[str]]]:
    columns = (
        Column("program"),
        Column("mAP %"),
        Column("micro F1 %"),
        Column("macro F1 %"),
        Column("precision %", right=True, spare=1),
        Column("recall %", right=True, spare=2),
        Column("threshold", right=True),
        Column("ECE", right=True, spare=3),
        *_RATES,
    )
    rows = [
        [
            one.program,
            _estimate(one.metrics.mean_average_precision),
            _estimate(one.metrics.micro_f1),
            _estimate(one.metrics.macro_f1),
            _percent(one.metrics.micro_precision),
            _percent(one.metrics.micro_recall),
            number(one.metrics.threshold),
            f"{one.metrics.calibration_error:.3f}",
            *_rates(one),
        ]
        for one in found.programs
    ]
    return columns, rows


def _single_label(found: Evaluation) -> tuple[tuple[Column, ...], list[list[str]]]:
    columns = (Column("program"), Column("top-1 %"), Column("top-5 %"), Column("ECE", right=True), *_RATES)
    rows = [
        [
            one.program,
            _estimate(one.metrics.top1),
            _estimate(one.metrics.top5),
            f"{one.metrics.calibration_error:.3f}",
            *_rates(one),
        ]
        for one in found.programs
    ]
    return columns, rows


_RATES = (Column("img/s", right=True, spare=4), Column("waiting", right=True, spare=5))


def _rates(one: ProgramEvaluation) -> list[str]:
    return [number(one.images_per_s), percent(one.waiting_share)]


def _differences(found: Evaluation) -> tuple[tuple[Column, ...], list[list[str]]]:
    single = found.data.kind == "single-label"
    names = ("top-1", "top-5") if single else ("mAP", "micro F1", "macro F1")
    columns = (Column("program"), *map(Column, names))
    rows = []
    for one in found.programs[1:]:
        lost = one.difference
        values: list[Estimate | None]
        if lost is None:
            values = [None] * (len(columns) - 1)
        elif single:
            values = [lost.top1, lost.top5]
        else:
            values = [lost.mean_average_precision, lost.micro_f1, lost.macro_f1]
        rows.append([one.program, *(_estimate(value, sign="+") for value in values)])
    return columns, rows


_CATEGORY_COLUMNS = (
    Column("category"),
    Column("images", right=True),
    Column("predicted", right=True, spare=1),
    Column("AP %", right=True),
    Column("precision %", right=True),
    Column("recall %", right=True),
    Column("F1 %", right=True),
)


def _categories(one: ProgramEvaluation) -> Iterator[list[str]]:
    for name, category in zip(one.categories, one.metrics.categories, strict=True):
        values = (category.average_precision, category.precision, category.recall, category.f1)
        yield [name, f"{category.positives:,}", f"{category.predicted:,}", *map(_percent, values)]


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{100 * value:.1f}"


def _estimate(found: Estimate | None, sign: str = "") -> str:
    if found is None:
        return MISSING
    text = _points(found.value, sign)
    if found.interval is None:
        return text
    return f"{text} ({_points(found.interval.low, sign)} to {_points(found.interval.high, sign)})"


def _points(value: float, sign: str) -> str:
    return f"{round(100 * value, 1) + 0.0:{sign}.1f}"  # adding zero removes the sign of -0.0


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
