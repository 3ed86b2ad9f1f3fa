"""Train a classifier on labelled images, epoch by epoch, with checkpoints from which it is resumed exactly."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from etui.catalog.find import find_model
from etui.engine.training.batches import Batch
from etui.engine.training.build_classifier import build_classifier, check_output, optimizer_for
from etui.engine.training.checkpoints import (
    Position,
    load_optimizer,
    model_tensors,
    optimizer_tensors,
    read_checkpoint,
    write_checkpoint,
)
from etui.engine.training.initial_weights import initialize, load_weights
from etui.engine.training.losses import LOSSES
from etui.engine.training.lower_checkpoint import lower_best
from etui.engine.training.ptq import quantize_initial
from etui.engine.training.qat import prepare_qat, to_evaluation, to_training
from etui.engine.training.training_data import TrainingData
from etui.errors import PreparationError
from etui.events import Event, Level, utc_now
from etui.host.environment import cpu_flags
from etui.jobs import TrainJob
from etui.task_data.checkpoint_header import OWN_TENSORS
from etui.task_training import BEST, LAST, LOGS, EpochFigures, StepFigures, TrainedModel
from etui.text import plain

Log = Callable[[Event], None]

_PROGRESS_S = 0.5
_SCALE_IMAGES = 32
"""The largest number of training images that the first scales of QAT are set from."""

_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
_NO_BF16 = "this CPU has no instructions for BF16, without which --amp saves no time"


def run_train(job: TrainJob, log: Log) -> TrainedModel:
    """Train the model of a job, or quantize its initial weights, and return what came out.

    Raises:
        UsageError: the data set does not have the splits.
        PreparationError: a package is missing, an image or a checkpoint cannot be read, the model does not fit the
            data, or the loss is not finite.
        StoreError: a checkpoint cannot be written.
    """
    torch.set_num_threads(job.threads)
    return _Training(job, log).run() if job.settings.calibration is None else quantize_initial(job, log)


class _Training:
    """One training: the data, the model, and the position."""

    def __init__(self, job: TrainJob, log: Log) -> None:
        self._job, self._log = job, log
        self._settings = settings = job.settings
        self._folder = Path(job.folder)
        self._say("reading the data set")
        self._data = TrainingData(Path(job.data), settings, job.threads)
        self._per_epoch = max(1, len(self._data.training.images) // settings.batch)
        self._position = Position(
            settings=settings, categories=self._data.categories, training_sha256=self._data.training.sha256,
            epoch=0, batch=0, loss_sum=0.0, epochs=[], kind=self._data.training.kind,
        )  # fmt: skip

    def run(self) -> TrainedModel:
        accelerator = _accelerator()
        self._say("loading the model")
        saved = self._saved()
        if saved is None:
            _refuse_existing(self._folder)
        module = self._module(saved[1] if saved else None)
        optimizer = optimizer_for(module, self._settings)
        if saved is not None:
            self._position = saved[0]
            load_optimizer(optimizer, _named(saved[1], f"{OWN_TENSORS}optimizer."))
            torch.set_rng_state(saved[1][f"{OWN_TENSORS}random"])
            for figures in self._position.epochs:
                self._log(Event(kind="log", level="debug", message=f"epoch {figures.epoch} was before", epoch=figures))
        self._module_ = module
        if self._settings.amp and accelerator.device.type == "cpu" and not _BF16_FLAGS & set(cpu_flags()):
            self._log(Event(kind="warning", level="warning", stage="training", at=utc_now(), message=_NO_BF16))
        prepared: Any = accelerator.prepare_model(module)
        self._optimizer_: Any = accelerator.prepare_optimizer(optimizer)
        self._loss = LOSSES[self._settings.loss or self._data.default_loss]
        with _logs(self._folder / LOGS, len(self._position.epochs)) as writer:
            for epoch in range(self._position.epoch, self._settings.epochs):
                self._epoch(epoch, accelerator, prepared, writer)
        self._module_ = accelerator.unwrap_model(prepared)
        return self._finished()

    # One epoch

    def _epoch(self, epoch: int, accelerator: Any, prepared: Any, writer: Any) -> None:
        settings, begun = self._settings, time.perf_counter()
        self._to_training(self._module_)
        waited, images, last_told, first = 0.0, 0, 0.0, self._position.batch
        batches: Any = self._data.training_batches(epoch, first)
        rate = settings.learning_rate
        with contextlib.closing(batches):
            for number, batch in enumerate(batches, first):
                waited, images = waited + batch.waited_s, images + len(batch.images)
                rate = self._rate(epoch * self._per_epoch + number)
                loss = self._step(batch, accelerator, prepared, rate, epoch, number)
                self._position = msgspec.structs.replace(
                    self._position, batch=number + 1, loss_sum=self._position.loss_sum + loss
                )
                every = self._job.checkpoint_batches
                if every and (number + 1) % every == 0 and number + 1 < self._per_epoch:
                    self._write(LAST)
                now = time.perf_counter()
                if now - last_told >= _PROGRESS_S:
                    last_told = now
                    self._progress(
                        epoch, number + 1, (now - begun) / (number + 1 - first),
                        StepFigures(
                            epoch=epoch + 1, loss=loss, learning_rate=rate, images_per_second=images / (now - begun)
                        ),
                    )  # fmt: skip
        seconds = time.perf_counter() - begun
        metric = self._evaluate(prepared)
        figures = EpochFigures(
            epoch=epoch + 1, loss=self._position.loss_sum / self._per_epoch, metric=metric, learning_rate=rate,
            images_per_second=images / seconds, waiting_share=min(1.0, waited / seconds),
            metric_name=self._data.metric_name,
        )  # fmt: skip
        epochs = [*self._position.epochs, figures]
        best = all(metric > one.metric for one in self._position.epochs)
        self._position = msgspec.structs.replace(self._position, epoch=epoch + 1, batch=0, loss_sum=0.0, epochs=epochs)
        if best:
            self._write(BEST)
        self._write(LAST)
        for name, value in (
            ("loss", figures.loss), (self._data.metric_name, metric), ("learning rate", rate),
            ("images per second", figures.images_per_second),
        ):  # fmt: skip
            writer.add_scalar(name, value, epoch + 1)
        self._log(
            Event(
                kind="log", stage="training", at=utc_now(),
                message=f"epoch {epoch + 1} of {settings.epochs}: loss {figures.loss:.4f}, {self._data.metric_name}"
                f" {metric:.4f}, {figures.images_per_second:.0f} images/s,"
                f" {100 * figures.waiting_share:.0f} % waiting for data",
                epoch=figures,
            )
        )  # fmt: skip

    def _step(self, batch: Batch, accelerator: Any, prepared: Any, rate: float, epoch: int, number: int) -> float:
        for group in self._optimizer_.param_groups:
            group["lr"] = rate
        self._optimizer_.zero_grad()
        with self._precision(accelerator.device):
            logits = prepared(batch.images.to(accelerator.device))
        loss = self._loss(logits.float(), batch.targets.to(accelerator.device))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise PreparationError(
                f"the loss is not finite in epoch {epoch + 1}, batch {number + 1}",
                "use a lower --lr; the checkpoints are those before",
            )
        accelerator.backward(loss)
        self._optimizer_.step()
        return value

    def _precision(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=self._settings.amp)

    def _rate(self, step: int) -> float:
        """Return the learning rate of a step: cosine annealing to zero (Loshchilov and Hutter, 2017, equation 5)."""
        total = self._per_epoch * self._settings.epochs
        return self._settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / total))

    def _evaluate(self, prepared: Callable[[torch.Tensor], torch.Tensor]) -> float:
        """Return the metric of the module on the validation split."""
        self._say("evaluating", level="debug")
        self._to_evaluation(self._module_)
        device = next(self._module_.parameters()).device
        with torch.no_grad(), self._precision(device):
            return self._data.metric(lambda images: prepared(images.to(device)).float().cpu(), self._settings.batch)

    # The model

    def _module(self, saved: dict[str, torch.Tensor] | None) -> nn.Module:
        settings = self._settings
        model = find_model(settings.model)
        torch.manual_seed(settings.seed)
        module = build_classifier(model, len(self._data.categories), settings.seed)
        if settings.initial is not None and saved is None:
            self._say("loading the initial weights")
            initialize(model, module, settings.initial, self._data.categories, Path(self._job.cache_dir), self._log)
        for parameter in module.parameters():
            parameter.requires_grad_(True)
        check_output(model, module, self._data.example(2), len(self._data.categories))
        if settings.qat is not None:
            self._say("inserting fake quantization")
            images = torch.cat(self._data.calibration(max(2, min(settings.batch, _SCALE_IMAGES))))
            if len(images) < 2:
                images = images.repeat(2, 1, 1, 1)
            module = prepare_qat(module, images, settings.qat, settings.keep_fp32)
        if saved is not None:
            load_weights(module, model_tensors(saved), LAST)
        return module

    def _to_training(self, module: Any) -> None:
        to_training(module) if self._settings.qat else module.train()

    def _to_evaluation(self, module: Any) -> None:
        to_evaluation(module) if self._settings.qat else module.eval()

    # Files

    def _saved(self) -> tuple[Position, dict[str, torch.Tensor]] | None:
        if not self._job.resume:
            return None
        path = self._folder / LAST
        position, tensors = read_checkpoint(path)
        for what, before, now in (
            ("settings", position.settings, self._settings),
            ("categories", position.categories, self._data.categories),
            ("training images", position.training_sha256, self._data.training.sha256),
        ):
            if before != now:
                raise PreparationError(
                    f"{plain(str(path))} was trained with other {what}",
                    "resume with the same options and data, or train into another folder",
                )
        return position, tensors

    def _write(self, name: str) -> None:
        tensors = dict(self._module_.state_dict())
        if name == LAST:
            state = optimizer_tensors(getattr(self._optimizer_, "optimizer", self._optimizer_))
            tensors |= {f"{OWN_TENSORS}optimizer.{key}": value for key, value in state.items()}
            tensors[f"{OWN_TENSORS}random"] = torch.get_rng_state()
        write_checkpoint(self._folder / name, self._position, tensors)

    def _finished(self) -> TrainedModel:
        best, tensors = read_checkpoint(self._folder / BEST)
        module = self._module_.cpu()
        load_weights(module, model_tensors(tensors), BEST)
        return lower_best(module, best, self._position, self._data, self._folder, self._say)

    # Messages

    def _say(self, message: str, level: Level = "info") -> None:
        self._log(Event(kind="stage", stage="training", message=message, at=utc_now(), level=level))

    def _progress(self, epoch: int, batches: int, seconds: float, step: StepFigures) -> None:
        done, total = epoch * self._per_epoch + batches, self._settings.epochs * self._per_epoch
        self._log(
            Event(
                kind="progress", stage="training", done=done, total=total, left_s=(total - done) * seconds,
                message=f"epoch {epoch + 1} of {self._settings.epochs}: loss {step.loss:.4f}", at=utc_now(), step=step,
            )
        )  # fmt: skip


def _refuse_existing(folder: Path) -> None:
    if (folder / LAST).exists() or (folder / BEST).exists():
        raise PreparationError(
            f"{plain(str(folder))} has the checkpoints of a training", "continue it with --resume, or use another -o"
        )


def _named(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _accelerator() -> Any:
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise PreparationError("training needs the package accelerate", "pip install 'etui[train]'") from error
    return Accelerator(step_scheduler_with_optimizer=False)


class _NoLogs:
    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Do nothing."""


@contextlib.contextmanager
def _logs(folder: Path, epochs: int) -> Iterator[Any]:
    """Yield a writer of TensorBoard's logs, from the epoch after ``epochs`` on; one that does nothing if the package is
    not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        yield _NoLogs()
        return
    writer: Any = SummaryWriter(str(folder), purge_step=epochs + 1)
    try:
        yield writer
    finally:
        writer.close()
