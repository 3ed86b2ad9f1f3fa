"""Train a classifier on labelled images, resume it exactly, and lower the best checkpoint to a program."""

from __future__ import annotations

import contextlib
import importlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from etui.analysis.task_metrics import average_precision, probabilities
from etui.catalog.find import Model, UserModel, find_model
from etui.engine.delegates import delegate_support
from etui.engine.lowering.graph_stages import GraphStages
from etui.engine.lowering.lower import lower_graph
from etui.engine.lowering.quantize import plain_graph
from etui.engine.models.build import build
from etui.engine.models.call_structure import plain_structure
from etui.engine.models.torchvision_shim import prepare_torchvision
from etui.engine.runtime.execution import LoadedProgram
from etui.engine.training.batches import Batch, Batches
from etui.engine.training.checkpoints import (
    OWN,
    Position,
    load_optimizer,
    model_tensors,
    optimizer_tensors,
    read_checkpoint,
    write_checkpoint,
)
from etui.engine.training.initial_weights import initialize, load_weights
from etui.engine.training.losses import LOSSES
from etui.engine.training.qat import convert_qat, prepare_qat, to_evaluation, to_training
from etui.errors import PreparationError
from etui.events import Event, Level, utc_now
from etui.files.atomic import write_file
from etui.jobs import TrainJob
from etui.task_data.labelled_images import LabelledImages, split_images
from etui.task_data.preprocessing import Preprocessing
from etui.task_data.program_metadata import TaskMetadata, write_metadata
from etui.task_data.reading import open_labelled_images, splits_of
from etui.task_training import BEST, LAST, LOGS, PROGRAM, RESULT, EpochFigures, MetricName, StepFigures, TrainedModel
from etui.text import plain

Log = Callable[[Event], None]

_PROGRESS_S = 0.5
_FRACTIONS = {"train": 0.8, "val": 0.2}
"""The parts of a data set without splits."""


def run_train(job: TrainJob, log: Log) -> TrainedModel:
    """Train the model of a job, and return what came out.

    Raises:
        UsageError: the data set does not have the splits.
        PreparationError: a package is missing, an image or a checkpoint cannot be read, the model does not fit the
            data, or the loss is not finite.
        StoreError: a checkpoint cannot be written.
    """
    torch.set_num_threads(job.threads)
    return _Training(job, log).run()


class _Training:
    """One training: the data, the model, and the position."""

    def __init__(self, job: TrainJob, log: Log) -> None:
        self._job, self._log = job, log
        self._settings = settings = job.settings
        self._folder = Path(job.folder)
        self._say("reading the data set")
        data = Path(job.data)
        if splits_of(data):
            self._training_data = open_labelled_images(data, settings.train_split)
            self._validation_data = open_labelled_images(data, settings.validation_split)
        else:
            parts = split_images(open_labelled_images(data, None), _FRACTIONS, settings.seed)
            self._training_data, self._validation_data = parts["train"], parts["val"]
        _check_data(self._training_data, self._validation_data)
        self._kind = self._training_data.kind
        self._categories = self._training_data.categories
        self._preprocessing = Preprocessing((settings.size, settings.size))
        self._batches = Batches(data, self._training_data, self._preprocessing, job.threads)
        self._validation = Batches(data, self._validation_data, self._preprocessing, job.threads)
        count = len(self._training_data.images)
        self._per_epoch = max(1, count // settings.batch)
        self._position = Position(
            settings=settings, categories=self._categories, training_sha256=self._training_data.sha256,
            epoch=0, batch=0, loss_sum=0.0, epochs=[],
        )  # fmt: skip

    def run(self) -> TrainedModel:
        accelerator = _accelerator()
        self._say("loading the model")
        saved = self._saved()
        if saved is None:
            _refuse_existing(self._folder)
        module = self._module(saved[1] if saved else None)
        optimizer = self._optimizer(module)
        if saved is not None:
            self._position = saved[0]
            load_optimizer(optimizer, _named(saved[1], f"{OWN}optimizer."))
            torch.set_rng_state(saved[1][f"{OWN}random"])
            for figures in self._position.epochs:
                self._log(Event(kind="log", level="debug", message=f"epoch {figures.epoch} was before", epoch=figures))
        self._module_ = module
        prepared: Any = accelerator.prepare_model(module)
        self._optimizer_: Any = accelerator.prepare_optimizer(optimizer)
        self._loss = LOSSES[self._settings.loss or ("bce" if self._kind == "multi-label" else "cross-entropy")]
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
        batches: Any = self._batches.training(
            settings.batch, seed=settings.seed, epoch=epoch, first=first, flip=settings.flip
        )
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
            metric_name=self._metric,
        )  # fmt: skip
        epochs = [*self._position.epochs, figures]
        best = all(metric > one.metric for one in self._position.epochs)
        self._position = msgspec.structs.replace(self._position, epoch=epoch + 1, batch=0, loss_sum=0.0, epochs=epochs)
        if best:
            self._write(BEST)
        self._write(LAST)
        for name, value in (
            ("loss", figures.loss), (self._metric, metric), ("learning rate", rate),
            ("images per second", figures.images_per_second),
        ):  # fmt: skip
            writer.add_scalar(name, value, epoch + 1)
        self._log(
            Event(
                kind="log", stage="training", at=utc_now(),
                message=f"epoch {epoch + 1} of {settings.epochs}: loss {figures.loss:.4f}, {self._metric}"
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

    @property
    def _metric(self) -> MetricName:
        return "mAP" if self._kind == "multi-label" else "top-1"

    def _evaluate(self, prepared: Callable[[torch.Tensor], torch.Tensor]) -> float:
        """Return the metric of the module on the validation split."""
        self._say("evaluating", level="debug")
        self._to_evaluation(self._module_)
        device = next(self._module_.parameters()).device
        with torch.no_grad(), self._precision(device):
            return self._metric_of(lambda images: prepared(images.to(device)).float().cpu(), self._settings.batch)

    def _metric_of(self, compute: Callable[[torch.Tensor], torch.Tensor], size: int) -> float:
        logits, targets = [], []
        for batch in self._validation.evaluation(size):
            logits.append(compute(batch.images))
            targets.append(batch.targets)
        return metric_of(torch.cat(logits).numpy(), torch.cat(targets).numpy(), multi_label=self._kind == "multi-label")

    # The model

    def _module(self, saved: dict[str, torch.Tensor] | None) -> nn.Module:
        settings = self._settings
        model = find_model(settings.model)
        torch.manual_seed(settings.seed)
        module = build_classifier(model, len(self._categories), settings.seed)
        if settings.initial is not None and saved is None:
            self._say("loading the initial weights")
            initialize(model, module, settings.initial, self._categories, Path(self._job.cache_dir), self._log)
        for parameter in module.parameters():
            parameter.requires_grad_(True)
        images = next(self._validation.evaluation(max(2, min(settings.batch, 32)))).images
        _check_output(model, module, images[:2], len(self._categories))
        if settings.qat is not None:
            self._say("inserting fake quantization")
            if len(images) < 2:
                images = images.repeat(2, 1, 1, 1)
            module = prepare_qat(module, images, settings.qat, settings.keep_fp32)
        if saved is not None:
            load_weights(module, model_tensors(saved), LAST)
        return module

    def _optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        settings = self._settings
        scales = [one for name, one in module.named_parameters() if name.endswith("log_scale")]
        groups: list[dict[str, Any]] = [
            {"params": [one for name, one in module.named_parameters() if not name.endswith("log_scale")]},
            *([{"params": scales, "weight_decay": 0.0}] if scales else []),
        ]
        if settings.optimizer == "adamw":
            return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        return torch.optim.SGD(
            groups, lr=settings.learning_rate, momentum=settings.momentum, weight_decay=settings.weight_decay,
            nesterov=settings.momentum > 0,
        )  # fmt: skip

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
            ("categories", position.categories, self._categories),
            ("training images", position.training_sha256, self._training_data.sha256),
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
            tensors |= {f"{OWN}optimizer.{key}": value for key, value in state.items()}
            tensors[f"{OWN}random"] = torch.get_rng_state()
        write_checkpoint(self._folder / name, self._position, tensors)

    def _finished(self) -> TrainedModel:
        self._say("lowering the best checkpoint")
        best, tensors = read_checkpoint(self._folder / BEST)
        module = self._module_.cpu()
        load_weights(module, model_tensors(tensors), BEST)
        image = torch.zeros(1, 3, self._settings.size, self._settings.size)
        if isinstance(module, torch.fx.GraphModule) and self._settings.qat:
            graph = convert_qat(module, image)
        else:
            graph = plain_graph(module.eval(), (image,), plain_structure(1))
        # Registers the out variants of quantized operators, which lowering a quantized graph needs.
        import executorch.kernels.quantized  # noqa: F401

        precision = "int8" if self._settings.qat else "fp32"
        manager, _ = lower_graph(graph, delegate_support("xnnpack"), precision, GraphStages())
        content = bytes(manager.buffer)
        write_file(self._folder / PROGRAM, content, force=True)
        metadata = TaskMetadata(
            categories=self._categories, kind=self._kind, preprocessing=self._preprocessing,
            model=find_model(self._settings.model).name, data_name=self._training_data.name,
            data_split=self._training_data.split or "", data_sha256=self._training_data.sha256,
        )  # fmt: skip
        write_metadata(self._folder / PROGRAM, metadata, force=True)
        self._say("evaluating the program")
        program = LoadedProgram(self._folder / PROGRAM, delegate="xnnpack")
        metric = self._metric_of(lambda images: program(program.fit((images,)))[0], 1)
        done = max(best.epochs, key=lambda one: one.metric)
        result = TrainedModel(
            settings=self._settings, folder=str(self._folder), kind=self._kind,
            metric=self._metric, categories=self._categories,
            training_images=len(self._training_data.images), validation_images=len(self._validation_data.images),
            training_sha256=self._training_data.sha256, validation_sha256=self._validation_data.sha256,
            epochs=self._position.epochs, best=done.metric, best_epoch=done.epoch, program_metric=metric,
            program_bytes=len(content), torch_version=torch.__version__.partition("+")[0], at=utc_now(),
        )  # fmt: skip
        write_file(self._folder / RESULT, msgspec.json.format(msgspec.json.encode(result), indent=2), force=True)
        return result

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


def build_classifier(model: Model, categories: int, seed: int) -> nn.Module:
    """Build a model of torchvision with an output for each category, or a user's model as it is, with random weights.

    Raises:
        PreparationError: it is neither.
    """
    torch.manual_seed(seed)
    if isinstance(model, UserModel):
        return build(model, seed=seed, freeze=False).module
    if model.source_kind != "torchvision":
        raise PreparationError(
            f"{model.name} cannot be trained", "select a classifier of torchvision or FILE.py:FACTORY"
        )
    prepare_torchvision()
    models = importlib.import_module("torchvision.models")
    try:
        module: nn.Module = models.get_model(model.source_id, weights=None, num_classes=categories)
    except TypeError as error:
        raise PreparationError(f"{model.name} is not a classifier", "select another model") from error
    return module


def metric_of(logits: NDArray[np.float32], targets: NDArray[Any], *, multi_label: bool) -> float:
    """Return mAP over the categories with positives, or top-1: the share of images whose own category has the highest
    logit and no other has the same."""
    if not multi_label:
        own = logits[np.arange(len(logits)), targets]
        return float(((logits >= own[:, None]).sum(axis=1) == 1).mean())
    scores = probabilities(logits.astype(np.float64), "multi-label")
    every = [average_precision(scores[:, place], targets[:, place] > 0) for place in range(scores.shape[1])]
    return float(np.mean([one for one in every if one is not None]))


def _check_data(training: LabelledImages, validation: LabelledImages) -> None:
    if training.kind != validation.kind or training.categories != validation.categories:
        raise PreparationError("the splits have different categories", "see etui data check")
    if not any(image.labels for image in validation.images):
        raise PreparationError("no image of the validation split has a label", "see etui data check")


def _check_output(model: Model, module: nn.Module, images: torch.Tensor, categories: int) -> None:
    module.eval()
    with torch.no_grad():
        try:
            output = module(images)
        except (RuntimeError, TypeError, ValueError) as error:
            raise PreparationError(f"{model.name} does not take images [N, 3, H, W]: {error}", "see --size") from error
    shape = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    if shape != [len(images), categories]:
        raise PreparationError(
            f"the output of {model.name} is {shape}, and the data set needs [N, {categories}]",
            "return one logit for each category",
        )


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
