"""One training as a page: its state, charts over its epochs, its checkpoints, and how it is trained."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from etui.charts.epoch_curve import LEAST_HEIGHT, LEAST_WIDTH, epoch_curve, epochs_shown
from etui.charts.grid import Canvas
from etui.charts.palette import Palette
from etui.events import Event
from etui.services.train import TrainingFile, can_resume
from etui.task_training import QueuedTraining
from etui.text import about_seconds, number, plain
from etui.tui.text_layout import Column, Sheet, Styles
from etui.wording import trainings as wording

_GAP = 2
_ABOVE = 2
"""Lines above the charts."""

_MOST_HEIGHT = 12
_FILES = tuple(Column(heading, right=heading == "size") for heading in wording.FILE_HEADINGS)


def training_page(
    training: QueuedTraining,
    progress: Event | None,
    steps: Sequence[tuple[float, float]],
    files: Sequence[TrainingFile],
    width: int,
    height: int,
    palette: Palette,
    styles: Styles,
) -> Text:
    """Return the page for ``width`` cells and ``height`` visible lines. ``progress`` is the last event of progress of a
    training that runs, ``steps`` the losses (epoch, loss) of its batches that were seen since the last epoch."""
    sheet = Sheet(width, styles)
    sheet.say(state_line(training, progress), _tone(training, styles))
    parts = [sheet.text]
    if training.epochs or steps:
        parts += [Text(), _charts(training, progress, steps, width, height - _ABOVE, palette)]
    below = Sheet(width, styles)
    if files:
        below.table(_FILES, [wording.file_cells(training, file.path, file.bytes, file.written_at) for file in files])
        below.gap()
    for entry in wording.entries(training):
        if entry.label != "status":
            below.fact(entry.label, plain(entry.value))
    return Text("\n", no_wrap=True).join([*parts, Text(), below.text])


def state_line(training: QueuedTraining, progress: Event | None) -> str:
    """Return what a training does, with the figures of the present batch and the time left, or how it ended."""
    if training.status == "queued":
        return "queued: waits for the machine"
    if not training.live:
        error = f": {plain(training.error)}" if training.error else ""
        more = "; c continues it" if can_resume(training) else ""
        return f"{training.status}{error}{more}"
    if progress is None or progress.step is None:
        return "running" if progress is None else plain(progress.message)
    step = progress.step
    left = f", about {about_seconds(progress.left_s)} left" if progress.left_s is not None else ""
    return (
        f"epoch {step.epoch} of {training.request.settings.epochs}: loss {step.loss:.4f}, learning rate"
        f" {number(step.learning_rate)}, {step.images_per_second:.0f} images/s{left}"
    )


def _tone(training: QueuedTraining, styles: Styles) -> str:
    if training.live:
        return styles.strong
    return styles.good if training.status == "done" else styles.bad if training.status == "failed" else styles.warn


def _charts(
    training: QueuedTraining,
    progress: Event | None,
    steps: Sequence[tuple[float, float]],
    width: int,
    height: int,
    palette: Palette,
) -> Text:
    epochs, now = training.epochs, position(training, progress)
    shown = epochs_shown(now or float(len(epochs)), training.request.settings.epochs)
    step = progress.step if progress is not None and now is not None else None
    metric = next((one.metric_name for one in reversed(epochs) if one.metric_name), None) or "metric"
    rates = [(float(one.epoch), one.learning_rate) for one in epochs]
    speeds = [(float(one.epoch), one.images_per_second) for one in epochs]
    if step is not None and now is not None:
        rates.append((now, step.learning_rate))
        speeds.append((now, step.images_per_second))
    figures = (
        ("loss", [*((float(one.epoch), one.loss) for one in epochs), *steps]),
        (metric, [(float(one.epoch), one.metric) for one in epochs]),
        ("learning rate", rates),
        ("images/s", speeds),
    )
    columns = 2 if width >= 2 * LEAST_WIDTH + _GAP else 1
    rows = len(figures) // columns
    canvas = Canvas(
        width=(width - _GAP * (columns - 1)) // columns,
        height=max(LEAST_HEIGHT, min(_MOST_HEIGHT, height // rows)),
        palette=palette,
    )
    charts = [epoch_curve(title, points, shown, canvas, log=title == "loss") for title, points in figures]
    return Text("\n", no_wrap=True).join(
        _beside(charts[first : first + columns], canvas.width) for first in range(0, len(charts), columns)
    )


def position(training: QueuedTraining, progress: Event | None) -> float | None:
    """Return the epochs that are done, with the part of the present one; None without progress of a live training."""
    if not training.live or progress is None or progress.step is None or not progress.total:
        return None
    return (progress.done or 0.0) / progress.total * training.request.settings.epochs


def _beside(charts: Sequence[Text], width: int) -> Text:
    """Return charts of the same number of lines next to each other."""
    lines = []
    for parts in zip(*(chart.split("\n", allow_blank=True) for chart in charts), strict=True):
        line = Text(no_wrap=True)
        for place, part in enumerate(parts):
            if place:
                line.append(" " * _GAP)
            if place < len(parts) - 1:
                part.pad_right(max(0, width - part.cell_len))
            line.append_text(part)
        lines.append(line)
    return Text("\n", no_wrap=True).join(lines)
