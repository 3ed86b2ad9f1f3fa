"""Lower the weights of a training to a program with its metadata, and evaluate it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from etui.catalog.find import find_model
from etui.engine.delegates import delegate_support
from etui.engine.lowering.graph_stages import GraphStages
from etui.engine.lowering.lower import lower_graph
from etui.engine.lowering.quantize import Graph, plain_graph
from etui.engine.models.call_structure import plain_structure
from etui.engine.runtime.execution import LoadedProgram
from etui.engine.training.checkpoints import Position
from etui.engine.training.qat import convert_qat
from etui.engine.training.training_data import TrainingData
from etui.events import utc_now
from etui.files.atomic import write_file
from etui.task_data.program_metadata import TaskMetadata, write_metadata
from etui.task_training import PROGRAM, RESULT, EpochFigures, TrainedModel, TrainingSettings


def lower_best(
    module: nn.Module, best: Position, end: Position, data: TrainingData, folder: Path, say: Callable[[str], Any]
) -> TrainedModel:
    """Write the program of ``module``, which has the weights of the position ``best``, its metadata and the result of
    the training, which has ended at the position ``end``, into the folder, and return the result.

    Raises:
        PreparationError: the module cannot be lowered.
        StoreError: a file cannot be written.
    """
    say("lowering the best checkpoint")
    settings = end.settings
    image = example_image(settings)
    if isinstance(module, torch.fx.GraphModule) and settings.qat:
        graph = convert_qat(module, image)
    else:
        graph = plain_graph(module.eval(), (image,), plain_structure(1))
    done = max(best.epochs, key=lambda one: one.metric)
    return write_program(graph, settings, data, folder, say, best=done.metric, epochs=end.epochs, best_epoch=done.epoch)


def example_image(settings: TrainingSettings) -> torch.Tensor:
    """Return an input of the program, [1, 3, H, W]."""
    return torch.zeros(1, 3, settings.size, settings.size)


def write_program(
    graph: Graph,
    settings: TrainingSettings,
    data: TrainingData,
    folder: Path,
    say: Callable[[str], Any],
    *,
    best: float,
    epochs: list[EpochFigures],
    best_epoch: int,
) -> TrainedModel:
    """Write the program of a graph, its metadata and the result, and return the result. ``best`` is the metric before
    lowering.

    Raises:
        PreparationError: the graph cannot be lowered.
        StoreError: a file cannot be written.
    """
    # Registers the out variants of quantized operators, which lowering a quantized graph needs.
    import executorch.kernels.quantized  # noqa: F401

    manager, _ = lower_graph(graph, delegate_support("xnnpack"), settings.precision.lower(), GraphStages())
    content = bytes(manager.buffer)
    write_file(folder / PROGRAM, content, force=True)
    metadata = TaskMetadata(
        categories=data.categories, kind=data.kind, preprocessing=data.preprocessing,
        model=find_model(settings.model).name, data_name=data.training.name, data_split=data.training.split or "",
        data_sha256=data.training.sha256, outputs="logits",
    )  # fmt: skip
    write_metadata(folder / PROGRAM, metadata, force=True)
    say("evaluating the program")
    program = LoadedProgram(folder / PROGRAM, delegate="xnnpack")
    metric = data.metric(lambda images: program(program.fit((images,)))[0], 1)
    result = TrainedModel(
        settings=settings, folder=str(folder), kind=data.kind, metric=data.metric_name, categories=data.categories,
        training_images=len(data.training.images), validation_images=len(data.validation.images),
        training_sha256=data.training.sha256, validation_sha256=data.validation.sha256, epochs=epochs,
        best=best, best_epoch=best_epoch, program_metric=metric, program_bytes=len(content),
        torch_version=torch.__version__.partition("+")[0], at=utc_now(),
    )  # fmt: skip
    write_file(folder / RESULT, msgspec.json.format(msgspec.json.encode(result), indent=2), force=True)
    return result
