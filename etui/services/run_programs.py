"""The program of a run, as it is run on images."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from etui.errors import UsageError
from etui.paths import cache_dir, program_path
from etui.results import RunDocument
from etui.runner.rebuild_program import origin_of
from etui.services.executorch_only import require_executorch
from etui.services.score_images import Program
from etui.task_data.checkpoint_header import CHECKPOINT_SUFFIX
from etui.task_data.labelled_images import Kind


def program_of_run(
    document: RunDocument, *, imported: bool, metadata: Path | None = None, model: str | None = None
) -> Program:
    """Return the program of a run from the program cache. Its use is in the file ``metadata``, or that of ``model``, in
    the header of its checkpoint, or that of the run's model. The checkpoint that an ``imported`` run names is not read.

    Raises UsageError if the run has no ExecuTorch program, it is not in the cache, or its weights are synthetic and
    nothing says how to use it.
    """
    require_executorch(document, "running on images")
    artifact = document.artifact
    path = program_path(cache_dir(), artifact.key) if artifact is not None else None
    if path is None or not path.is_file():
        raise UsageError(f"the program of run {document.id} is not in the cache", "measure it again, or name a .pte")
    if metadata is None and model is None and document.weights and document.weights.kind == "synthetic":
        raise UsageError(
            f"run {document.id} has synthetic weights, so its outputs mean nothing",
            "use a run with --weights pretrained or a checkpoint",
        )
    name = f"{document.id} {document.model.name} {document.configuration}"
    trained = None if imported else _checkpoint(document)
    return Program(name, path, document.delegate, metadata, model or document.model.name, trained, kind=_kind(document))


def _kind(document: RunDocument) -> Kind | None:
    """Return the kind of the labelled images that a run was evaluated on; None if it was not."""
    task = document.accuracy.task if document.accuracy is not None else None
    return task.evaluation.data.kind if task is not None and task.evaluation is not None else None


def _checkpoint(document: RunDocument) -> Path | None:
    """Return the checkpoint that a run was made from, if it is known, still there and has not been written since."""
    try:
        path = Path(origin_of(document).weights)
    except UsageError:
        return None
    if path.suffix.lower() != CHECKPOINT_SUFFIX or not path.is_file():
        return None
    created = datetime.fromisoformat(document.created_at).timestamp()
    return path if path.stat().st_mtime <= created else None
