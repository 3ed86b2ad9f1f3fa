"""Run a program, or a model in eager PyTorch, on the images of a data set, and write the scores."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy
import torch
from torch import nn

from etui.catalog.find import find_model
from etui.catalog.models import ModelEntry
from etui.engine.measure.accuracy import Log
from etui.engine.measure.score_batches import images_at_once, score_batches
from etui.engine.models import weights
from etui.engine.models.bundle import weights_hash
from etui.engine.models.data_folder import file_preprocessing
from etui.engine.models.data_labels import category_places, class_names
from etui.engine.models.outputs import flat_outputs
from etui.engine.models.trained_checkpoint import trained_checkpoint
from etui.engine.runtime.execution import LoadedProgram, set_threads
from etui.errors import UsageError
from etui.events import Event, utc_now
from etui.jobs import EagerModel, ScoresJob, ScoresResult
from etui.programs.output_function import output_function
from etui.task_data.labelled_images import Kind
from etui.task_data.prefetch import Prefetch
from etui.task_data.preprocessing import Preprocessing
from etui.task_data.program_metadata import Outputs, read_metadata
from etui.text import counted, plain

_EAGER_BATCH = 8


class _Use(NamedTuple):
    """How a program is used."""

    names: list[tuple[str, ...]]
    kind: Kind
    preprocessing: Preprocessing
    threshold: float | None
    source: str
    outputs: Outputs | None = None


def run_scores(job: ScoresJob, log: Log) -> ScoresResult:
    """Run a program on all images of the job.

    Raises:
        UsageError: the program does not take images, or its outputs or the data's categories are not those that its
            metadata or model say.
        EtuiError: the program cannot be loaded or run, or an image cannot be read.
    """
    set_threads(job.threads, cpus=None)
    loaded = _load_program(job) if job.eager is None else _load_eager(job.eager, log)
    name, batch, size = loaded.name, loaded.batch, loaded.size
    use = _use(job, size, name)
    if use.preprocessing.size != size:
        raise UsageError(
            f"{name} takes images of {_pixels(size)}, but its metadata says {_pixels(use.preprocessing.size)}",
            "write the metadata again",
        )
    outputs, outputs_source = _outputs(job, use, name)
    places = category_places(job.categories, use.names, use.source, imagenet=job.metadata is None)
    images = Prefetch(
        Path(job.folder), job.images, use.preprocessing, images_at_once(batch), job.readers,
        skip_unreadable=job.skip_unreadable,
    )  # fmt: skip

    def refusal(shape: list[int]) -> UsageError:
        return UsageError(
            f"{name} has an output of shape {shape}, but it should have {counted(len(use.names), 'score')} for each of"
            f" {batch}",
            "check the categories of its metadata, or name its --model",
        )

    def progress(done: int) -> None:
        log(Event(kind="progress", message="images", done=done, total=len(job.images), at=utc_now()))

    before_s = time.perf_counter()
    with torch.inference_mode():
        scored = score_batches(loaded.run, images, batch, len(use.names), refusal, progress)
    numpy.save(job.scores, scored.scores.numpy(), allow_pickle=False)
    return ScoresResult(
        categories=tuple(names[0] for names in use.names),
        places=tuple(places[category] for category in job.categories),
        kind=use.kind,
        threshold=use.threshold,
        images=scored.images,
        batch=batch,
        threads=job.threads,
        readers=job.readers,
        start_s=scored.begin_s - before_s,
        duration_s=scored.end_s - scored.begin_s,
        waiting_s=images.waiting_s,
        running_s=scored.running_s,
        read_s=images.read_s,
        prepare_s=images.prepare_s,
        unreadable=images.unreadable,
        outputs=outputs,
        outputs_source=outputs_source,
    )


class _Loaded(NamedTuple):
    """What is run on images: its name in messages, the number and the height and width of its images, and the function
    that returns the first output for them."""

    name: str
    batch: int
    size: tuple[int, int]
    run: Callable[[torch.Tensor], torch.Tensor]


def _load_program(job: ScoresJob) -> _Loaded:
    assert job.program is not None
    program = LoadedProgram(Path(job.program), delegate=job.delegate)
    name = plain(Path(job.program).name)
    batch, size = _image_shape(program, name)
    return _Loaded(name, batch, size, lambda images: flat_outputs(program.tensors(program(program.fit((images,)))))[0])


def _load_eager(eager: EagerModel, log: Log) -> _Loaded:
    """Build a model with its weights; only a model that the user named runs code of a file."""
    model = find_model(eager.model)
    resolved = weights.resolve(model, eager.weights, eager.seed, Path(eager.cache_dir), log)
    name = plain(model.name if resolved.path is None or resolved.trained is None else resolved.path.name)
    if resolved.kind == "synthetic":
        raise UsageError(
            f"the published weights of {name} are not available, and accuracy with random ones means nothing",
            "download them with etui run, or name a checkpoint",
        )
    module = weights.load(model, resolved, eager.seed).module
    if eager.sha256 is not None and weights_hash(module) != eager.sha256:
        raise UsageError(f"the weights of {name} are not those of the run any more", "measure it again")
    size = eager.size
    if size is None and resolved.trained is not None:
        size = resolved.trained.preprocessing.size
    if size is None:
        assert isinstance(model, ModelEntry) and model.image is not None
        size = (model.image.size, model.image.size)
    return _Loaded(name, _EAGER_BATCH, size, lambda images: flat_outputs(module(images))[0])


def _image_shape(program: LoadedProgram, name: str) -> tuple[int, tuple[int, int]]:
    shapes = program.input_shapes
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][1] != 3 or min(shapes[0]) < 1:
        taken = ", ".join(str(list(shape)) for shape in shapes) or "nothing"
        raise UsageError(f"{name} takes {taken}, not images of shape [N, 3, H, W]", "evaluate a program for images")
    batch, _, height, width = shapes[0]
    return batch, (height, width)


def _use(job: ScoresJob, size: tuple[int, int], name: str) -> _Use:
    """Return how the program is used: as its metadata says, else as the catalog's model."""
    if job.metadata is not None:
        found = read_metadata(Path(job.metadata))
        names: list[tuple[str, ...]] = [(category,) for category in found.categories]
        return _Use(names, found.kind, found.preprocessing, found.threshold, name, found.outputs)
    trained = trained_checkpoint(Path(job.trained)) if job.trained is not None else None
    if trained is not None:
        kind = trained.kind or job.kind
        if kind is None:
            raise UsageError(f"{name} does not say whether an image has one label", "write its metadata")
        names = [(category,) for category in trained.categories]
        return _Use(names, kind, msgspec.structs.replace(trained.preprocessing, size=size), None, name, "logits")
    assert job.model is not None
    model = find_model(job.model)
    known: list[tuple[str, ...]] = []
    if isinstance(model, ModelEntry) and model.image is not None and model.source_kind == "torchvision":
        known = class_names(model, nn.Module())
    if not known or not isinstance(model, ModelEntry) or model.image is None:
        raise UsageError(
            f"the classes of {plain(model.name)} are not known", "write them to a file FILE.task.json next to FILE.pte"
        )
    return _Use(known, "single-label", file_preprocessing(model.image, model.resize, size), None, model.name)


def _outputs(
    job: ScoresJob, use: _Use, name: str
) -> tuple[Outputs | None, Literal["given", "metadata", "program"] | None]:
    """Return what the outputs of the program are, and what says so: the job, the metadata, or the operator that the
    program ends with."""
    if job.outputs is not None:
        return job.outputs, "given"
    if use.outputs is not None:
        return use.outputs, "metadata"
    last = output_function(Path(job.program)) if job.program is not None else None
    if last == "linear":
        return "logits", "program"
    if last not in ("sigmoid", "softmax"):
        return None, None
    if (last == "sigmoid") != (use.kind == "multi-label"):
        raise UsageError(
            f"{name} ends with a {last}, which does not give the probabilities of {use.kind} data",
            "check the kind in its metadata, or say what its outputs are with --outputs",
        )
    return "probabilities", "program"


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
