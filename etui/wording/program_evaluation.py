"""The evaluation of programs on labelled images as rows and texts, the same for every front end."""

from __future__ import annotations

from collections.abc import Iterator

from etui.analysis.program_evaluation import DataInfo, Evaluation, ProgramEvaluation
from etui.analysis.task_metrics import Estimate
from etui.text import MISSING, number, percent

CATEGORY_HEADINGS = ("category", "images", "predicted", "AP %", "precision %", "recall %", "F1 %")
"""The headings of ``category_rows``."""

_NAMED = 5
_SHA = 12
_SOURCES = {
    "given": "as given with --outputs",
    "metadata": "as its metadata says",
    "program": "as its last operator shows",
}
_RATES = ("img/s", "waiting")


def headings(found: Evaluation) -> tuple[str, ...]:
    """Return the headings of ``rows``."""
    if found.data.kind == "single-label":
        return ("program", "top-1 %", "top-5 %", "ECE", *_RATES)
    return (
        "program", "mAP %", "micro F1 %", "macro F1 %", "precision %", "recall %", "threshold", "ECE", *_RATES,
    )  # fmt: skip


def rows(found: Evaluation) -> list[list[str]]:
    """Return a row for each program; intervals are in parentheses."""
    return [list(_row(found, one)) for one in found.programs]


def difference_heading(found: Evaluation) -> str:
    """Return what is above ``difference_rows``."""
    return f"difference from {found.programs[0].program}, in percentage points, on the same images"


def difference_headings(found: Evaluation) -> tuple[str, ...]:
    """Return the headings of ``difference_rows``."""
    return ("program", "top-1", "top-5") if found.data.kind == "single-label" else (
        "program", "mAP", "micro F1", "macro F1",
    )  # fmt: skip


def difference_rows(found: Evaluation) -> list[list[str]]:
    """Return a row for each program but the first, from which they differ."""
    made = []
    for one in found.programs[1:]:
        lost = one.difference
        values: list[Estimate | None] = [None] * (len(difference_headings(found)) - 1)
        if lost is not None and found.data.kind == "single-label":
            values = [lost.top1, lost.top5]
        elif lost is not None:
            values = [lost.mean_average_precision, lost.micro_f1, lost.macro_f1]
        made.append([one.program, *(_estimate(value, sign="+") for value in values)])
    return made


def category_rows(one: ProgramEvaluation) -> list[list[str]]:
    """Return a row for each category of a multi-label program."""
    return [
        [
            name, f"{each.positives:,}", f"{each.predicted:,}",
            *map(_percent, (each.average_precision, each.precision, each.recall, each.f1)),
        ]
        for name, each in zip(one.categories, one.metrics.categories, strict=True)
    ]  # fmt: skip


def data_text(data: DataInfo) -> str:
    """Return name, split, number and hash of the images."""
    split = f" {data.split}" if data.split else ""
    of = f" of {data.of:,}" if data.images < data.of else ""
    return f"{data.name}{split}: {data.images:,}{of} images, {data.kind}, sha256 {data.sha256[:_SHA]}"


def notes(found: Evaluation) -> Iterator[str]:
    """Yield what the tables do not say."""
    if found.threshold_data is not None:
        yield f"thresholds: largest micro F1 on {data_text(found.threshold_data)}"
    excluded = found.programs[0].metrics.excluded
    if excluded:
        names = [found.programs[0].categories[place] for place in excluded[:_NAMED]]
        more = f" and {len(excluded) - _NAMED} more" if len(excluded) > _NAMED else ""
        yield f"without an image, and not in mAP and macro F1: {', '.join(names)}{more}"
    for one in found.programs:
        if one.outputs == "probabilities":
            yield f"{one.program}: its outputs are probabilities, {_SOURCES[one.outputs_source]}"
    yield "in parentheses: 95 % intervals over images. img/s and waiting depend on what else runs."


def _row(found: Evaluation, one: ProgramEvaluation) -> Iterator[str]:
    metrics = one.metrics
    yield one.program
    if found.data.kind == "single-label":
        yield _estimate(metrics.top1)
        yield _estimate(metrics.top5)
    else:
        yield _estimate(metrics.mean_average_precision)
        yield _estimate(metrics.micro_f1)
        yield _estimate(metrics.macro_f1)
        yield _percent(metrics.micro_precision)
        yield _percent(metrics.micro_recall)
        yield number(metrics.threshold)
    yield f"{metrics.calibration_error:.3f}"
    yield number(one.images_per_s)
    yield percent(one.waiting_share)


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
