"""Quantize a trained classifier after its training (PTQ), calibrated on images of the training split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from etui.catalog.find import find_model
from etui.engine.lowering.quantize import plain_graph, quantize
from etui.engine.models.call_structure import plain_structure
from etui.engine.training.build_classifier import build_classifier, check_output
from etui.engine.training.initial_weights import initialize
from etui.engine.training.lower_checkpoint import example_image, write_program
from etui.engine.training.training_data import TrainingData
from etui.errors import PreparationError
from etui.events import Event, utc_now
from etui.jobs import TrainJob
from etui.task_training import TrainedModel

_RECIPE = "int8-static"


def quantize_initial(job: TrainJob, log: Callable[[Event], None]) -> TrainedModel:
    """Write the INT8 program of the initial weights of a job, with its metadata and its result, and return the result.

    Raises:
        UsageError: the data set does not have the splits.
        PreparationError: there are no initial weights or they do not fit, or an image cannot be read.
        StoreError: a file cannot be written.
    """

    def say(message: str) -> None:
        log(Event(kind="stage", stage="training", message=message, at=utc_now()))

    settings = job.settings
    if settings.initial is None or settings.calibration is None:
        raise PreparationError("there are no weights to quantize", "give a checkpoint with --init")
    say("reading the data set")
    data = TrainingData(Path(job.data), settings, job.threads)
    say("loading the model")
    model = find_model(settings.model)
    module = build_classifier(model, len(data.categories), settings.seed)
    initialize(model, module, settings.initial, data.categories, Path(job.cache_dir), log)
    check_output(model, module, data.example(2), len(data.categories))
    module.eval()
    say("evaluating")
    with torch.no_grad():
        before = data.metric(module, settings.batch)
    say("quantizing")
    inputs = (example_image(settings),)
    exported = plain_graph(module, inputs, plain_structure(1)).program
    calibration = [(image,) for image in data.calibration(settings.calibration)]
    graph = quantize(module, exported, inputs, calibration, _RECIPE)
    return write_program(graph, settings, data, Path(job.folder), say, best=before, epochs=[], best_epoch=0)
