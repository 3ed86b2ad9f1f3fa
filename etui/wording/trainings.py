"""A training as labels and texts, its epochs, and the files that it wrote; the same for every front end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from etui import text
from etui.task_training import BEST, LAST, PROGRAM, EpochFigures, QueuedTraining, TrainingSettings
from etui.wording.run_sections import Entry

LIST_HEADINGS = ("id", "queued", "model", "status", "epochs", "best", "folder", "error")
"""The headings of ``list_cells``."""

EPOCH_HEADINGS = ("epoch", "loss", "metric", "learning rate", "images/s", "waiting")
"""The headings of ``epoch_cells``."""

FILE_HEADINGS = ("file", "size", "metric", "written")
"""The headings of ``file_cells``."""


def model_name(settings: TrainingSettings) -> str:
    """Return the model as shown: its name, or file and factory without the folder."""
    path, colon, factory = settings.model.rpartition(":")
    return f"{Path(path).name}{colon}{factory}" if colon and path.endswith(".py") else settings.model


def best_epoch(epochs: list[EpochFigures]) -> EpochFigures | None:
    """Return the epoch with the best metric, the first of several; None without epochs."""
    return max(epochs, key=lambda one: one.metric, default=None)


def metric_text(figures: EpochFigures | None) -> str:
    """Return the metric of an epoch with its name."""
    if figures is None:
        return text.MISSING
    return f"{figures.metric_name or ''} {figures.metric:.4f}".strip()


def list_cells(training: QueuedTraining) -> list[str]:
    """Return the cells of a training in a list."""
    settings = training.request.settings
    quantized = f" {settings.qat}" if settings.qat else " PTQ" if settings.calibration else ""
    return [
        training.id,
        text.local_time(training.created_at),
        f"{model_name(settings)}{quantized}",
        training.status,
        f"{len(training.epochs)}/{settings.epochs}" if settings.calibration is None else text.MISSING,
        _best_text(training),
        training.request.folder,
        training.error or "",
    ]


def _best_text(training: QueuedTraining) -> str:
    """Return the best metric of a training; with PTQ, that of the program."""
    result = training.result
    if training.request.settings.calibration is not None and result is not None:
        return f"{result.metric} {result.program_metric:.4f}"
    return metric_text(best_epoch(training.epochs))


def epoch_cells(figures: EpochFigures) -> list[str]:
    """Return the cells of an epoch."""
    return [
        str(figures.epoch),
        f"{figures.loss:.4f}",
        metric_text(figures),
        text.number(figures.learning_rate),
        f"{figures.images_per_second:.0f}",
        text.percent(figures.waiting_share),
    ]


def file_cells(training: QueuedTraining, path: Path, count: int, written_at: float) -> list[str]:
    """Return the cells of a file of a training: the metric is that of the weights that it has."""
    written = datetime.fromtimestamp(written_at, UTC).isoformat().replace("+00:00", "Z")
    return [path.name, text.size(count), _metric_of(training, path.name), text.local_time(written)]


def entries(training: QueuedTraining) -> Iterator[Entry]:
    """Yield what is trained, how, and what came out."""
    request, settings = training.request, training.request.settings
    yield Entry("status", training.status + (f": {training.error}" if training.error else ""))
    yield Entry("data", f"{request.data} ({settings.train_split}, {settings.validation_split})")
    yield Entry("folder", request.folder)
    yield Entry("settings", _settings_text(settings))
    if settings.initial is not None:
        yield Entry("begins with", settings.initial)
    best = best_epoch(training.epochs)
    if best is not None:
        yield Entry("best", f"{metric_text(best)} after epoch {best.epoch}")
    if training.result is not None:
        result = training.result
        if settings.calibration is not None:
            yield Entry("before", f"{result.metric} {result.best:.4f}, FP32")
        yield Entry(
            "program",
            f"{result.metric} {result.program_metric:.4f}, {settings.precision}, XNNPACK,"
            f" {text.size(result.program_bytes)}",
        )
    if training.started_at is not None:
        until = training.finished_at
        spent = f", {text.seconds(_elapsed_s(training.started_at, until))}" if until is not None else ""
        yield Entry("began", f"{text.local_time(training.started_at)}{spent}")


def _settings_text(settings: TrainingSettings) -> str:
    if settings.calibration is not None:
        images = text.counted(settings.calibration, "image")
        return f"PTQ, calibrated on {images}; {settings.size} pixels; seed {settings.seed}"
    quantized = f"; QAT {settings.qat}" if settings.qat else ""
    precision = "; BF16" if settings.amp else ""
    return (
        f"{text.counted(settings.epochs, 'epoch')}; batch {settings.batch:,}; {settings.size} pixels;"
        f" {settings.optimizer}, learning rate {text.number(settings.learning_rate)}, weight decay"
        f" {text.number(settings.weight_decay)}; loss {settings.loss or 'auto'}; seed {settings.seed}"
        f"{quantized}{precision}"
    )


def _metric_of(training: QueuedTraining, name: str) -> str:
    if name == BEST:
        return metric_text(best_epoch(training.epochs))
    if name == LAST:
        return metric_text(training.epochs[-1] if training.epochs else None)
    if name == PROGRAM and training.result is not None:
        return f"{training.result.metric} {training.result.program_metric:.4f}"
    return text.MISSING


def _elapsed_s(begun: str, ended: str) -> float:
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds()
