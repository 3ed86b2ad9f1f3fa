"""Lower the best weights of a training to a program with its metadata, and evaluate it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from etui.catalog.find import find_model
from etui.engine.delegates import delegate_support
from etui.engine.lowering.graph_stages import GraphStages
from etui.engine.lowering.lower import lower_graph
from etui.engine.lowering.quantize import plain_graph
from etui.engine.models.call_structure import plain_structure
from etui.engine.runtime.execution import LoadedProgram
from etui.engine.training.checkpoints import Position
from etui.engine.training.qat import convert_qat
from etui.engine.training.training_data import TrainingData
from etui.events import utc_now
from etui.files.atomic import write_file
from etui.task_data.program_metadata import TaskMetadata, write_metadata
from etui.task_training import PROGRAM, TrainedModel


def lower_best(
    module: nn.Module, best: Position, end: Position, data: TrainingData, folder: Path, say: Callable[[str], Any]
) -> TrainedModel:
    """Write the program of ``module``, which has the weights of the position ``best``, and its metadata into the
    folder, and return the result of the training that has ended at the position ``end``.

    Raises:
        PreparationError: the module cannot be lowered.
        StoreError: a file cannot be written.
    """
    say("lowering the best checkpoint")
    settings = end.settings
    image = torch.zeros(1, 3, settings.size, settings.size)
    if isinstance(module, torch.fx.GraphModule) and settings.qat:
        graph = convert_qat(module, image)
    else:
        graph = plain_graph(module.eval(), (image,), plain_structure(1))
    # Registers the out variants of quantized operators, which lowering a quantized graph needs.
    import executorch.kernels.quantized  # noqa: F401

    manager, _ = lower_graph(graph, delegate_support("xnnpack"), "int8" if settings.qat else "fp32", GraphStages())
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
    done = max(best.epochs, key=lambda one: one.metric)
    return TrainedModel(
        settings=settings, folder=str(folder), kind=data.kind, metric=data.metric_name, categories=data.categories,
        training_images=len(data.training.images), validation_images=len(data.validation.images),
        training_sha256=data.training.sha256, validation_sha256=data.validation.sha256, epochs=end.epochs,
        best=done.metric, best_epoch=done.epoch, program_metric=metric, program_bytes=len(content),
        torch_version=torch.__version__.partition("+")[0], at=utc_now(),
    )  # fmt: skip
