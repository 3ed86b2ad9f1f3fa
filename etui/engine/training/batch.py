"""The batch that a training check trains on, with labels if there are any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from etui.catalog.find import Model
from etui.catalog.models import ModelEntry
from etui.engine.models.build import Built
from etui.engine.models.bundle import target_of
from etui.engine.models.call_structure import CallStructure, Inputs, plain_structure
from etui.engine.models.data_folder import Target, read_folder
from etui.engine.models.input_shapes import changed_to
from etui.engine.models.inputs import catalog_inputs, catalog_target, example_inputs
from etui.errors import PreparationError
from etui.files.data_files import data_files
from etui.jobs import TrainingJob
from etui.spec import Shape

DEFAULT_BATCH = 4


class Batch(NamedTuple):
    """Tensors of one call with their structure. ``labels`` has one row per item; None: targets are drawn. ``detail``
    describes where the targets come from."""

    tensors: Inputs
    structure: CallStructure
    labels: torch.Tensor | None
    detail: str

    @property
    def items(self) -> int:
        """The number of items: the first dimension of the first tensor."""
        return self.tensors[0].shape[0] if self.tensors[0].dim() else 1


def make_batch(model: Model, built: Built, job: TrainingJob, accepts: Callable[[Inputs, CallStructure], bool]) -> Batch:
    """Return the batch of a job. ``accepts`` is whether the model runs on an input.

    Raises:
        PreparationError: there are no inputs, or they cannot be made a batch of the requested size.
        UsageError: the folder has no usable files.
    """
    drawn = f"drawn with seed {job.seed}"
    if job.data is not None:
        return _from_folder(model, built, job, Path(job.data), drawn)
    if isinstance(model, ModelEntry):
        count = job.batch or DEFAULT_BATCH
        tensors = catalog_inputs(model, 1, 0, job.seed, None, Shape(batch=count)).accuracy[0]
        return Batch(tensors, plain_structure(len(tensors)), None, drawn)
    if built.example is None:
        raise PreparationError(f"{model.name} has no example inputs", "return them with the module")
    made = example_inputs(built.example, max(job.batch or 0, DEFAULT_BATCH), 0, job.seed, accepts)
    structure = made.structure or plain_structure(len(made.accuracy[0]))
    labels = _label_rows(made.labels, model)
    single = Batch(made.accuracy[0], structure, labels[0] if labels else None, drawn)
    if job.batch is not None:
        batch = single if built.rest.batch is None else _joined(model, made.accuracy, structure, labels, job.batch)
    else:
        batch = single
        if single.tensors[0].dim() and single.tensors[0].shape[0] == 1:
            several = _joined(model, made.accuracy, structure, labels, DEFAULT_BATCH)
            batch = several if accepts(several.tensors, structure) else single
    return batch._replace(detail="the labels of your examples" if batch.labels is not None else drawn)


def _joined(
    model: Model, inputs: Sequence[Inputs], structure: CallStructure, labels: Sequence[torch.Tensor] | None, count: int
) -> Batch:
    tensors = changed_to(Shape(batch=count), inputs, model.name)[0]
    if labels is None:
        return Batch(tensors, structure, None, "")
    rows = [labels[index % len(labels)] for index in range(-(-count // max(1, inputs[0][0].shape[0])))]
    return Batch(tensors, structure, torch.cat(rows)[:count], "")


def _label_rows(labels: Sequence[object] | None, model: Model) -> list[torch.Tensor] | None:
    """Return the labels of examples as tensors of one row per item; None without labels."""
    if labels is None:
        return None
    try:
        tensors = [torch.as_tensor(label) for label in labels]
    except (TypeError, ValueError, RuntimeError) as error:
        raise PreparationError(
            f"the labels of {model.name} are not numbers or tensors", "return classes or tensors as labels"
        ) from error
    return [tensor.unsqueeze(0) if tensor.dim() == 0 else tensor for tensor in tensors]


def _from_folder(model: Model, built: Built, job: TrainingJob, folder: Path, drawn: str) -> Batch:
    """Return a batch of the files of a folder. Images in subfolders are labelled with the folder's position."""
    target = (
        catalog_target(model, None, job.seed) if isinstance(model, ModelEntry) else target_of(model, built, job.seed)
    )
    count = job.batch or DEFAULT_BATCH
    kind, files = data_files(folder)
    classes = sorted({file.relative_to(folder).parts[0] for file in files if file.parent != folder})
    if kind != "images" or any(file.parent == folder for file in files) or len(classes) < 2:
        inputs = read_folder(folder, target, max(2, count), job.seed).inputs
        return _joined(model, inputs[:count], target.structure, None, count)._replace(detail=drawn)
    used = classes[:count]
    examples = _by_class(folder, used, target, count, job.seed)
    tensors = [tensors for tensors, _ in examples]
    labels = [torch.tensor([label] * tensors[0].shape[0]) for tensors, label in examples]
    joined = _joined(model, tensors, target.structure, labels, count)
    some = "" if used == classes else f"{len(used)} of "
    return joined._replace(detail=f"{some}the {len(classes)} subfolders of {folder}, as classes")


def _by_class(folder: Path, classes: Sequence[str], target: Target, count: int, seed: int) -> list[tuple[Inputs, int]]:
    """Return inputs with their class, the classes in turn."""
    each = max(2, -(-count // len(classes)))
    found = [read_folder(folder / name, target, each, seed).inputs for name in classes]
    longest = max(map(len, found))
    turns = [(inputs[place], label) for place in range(longest) for label, inputs in enumerate(found)
             if place < len(inputs)]  # fmt: skip
    return turns[:count]
