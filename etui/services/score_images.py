"""Run a program on images in a process of its own, and return the probabilities of its categories."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from etui.errors import EXIT_TIMED_OUT, EtuiError, UsageError
from etui.events import Event
from etui.host.cpus import usable_cores
from etui.jobs import EagerModel, ScoresJob, ScoresResult
from etui.services.one_job import JobCrashed, JobFailed, JobTimedOut, run_job
from etui.task_data.labelled_images import Kind
from etui.task_data.program_metadata import Outputs
from etui.text import plain

if TYPE_CHECKING:
    from etui.analysis.task_metrics import Floats

LIMIT_S = 3600.0

_MOST_READERS = 16

Progress = Callable[[str, int, int], object]
"""Called with a description, and the number of images that are done and of all."""


class ScoringTimedOut(EtuiError):
    """Running the program on the images took too long."""

    exit_status = EXIT_TIMED_OUT


class Program(NamedTuple):
    """A program to run: its ``name`` in results, its file, and the delegate that it was lowered for. Its use is in the
    file ``metadata``; without it, in the header of the checkpoint ``trained``, or it is that of the catalog's
    ``model``. A model that is run in eager PyTorch is ``eager`` instead of a program; ``path`` is that of its
    weights. ``kind`` is that of the data, for checkpoints that do not say it."""

    name: str
    path: Path
    delegate: str
    metadata: Path | None = None
    model: str | None = None
    trained: Path | None = None
    eager: EagerModel | None = None
    kind: Kind | None = None


def score_images(
    program: Program,
    folder: Path,
    images: Sequence[str],
    categories: tuple[str, ...] = (),
    *,
    threads: int | None = None,
    limit_s: float = LIMIT_S,
    outputs: Outputs | None = None,
    kind: Kind | None = None,
    skip_unreadable: bool = False,
    progress: Progress = lambda text, done, of: None,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[Floats, ScoresResult]:
    """Return the probabilities that a program computes for images below ``folder``, of shape [N, C] with a column for
    each of its categories, and how they were computed. ``result.places`` are the columns of ``categories``, which must
    be among them.

    ``outputs`` is what the program computes; None if its metadata or its last operator says it. ``kind`` is that of the
    data, for checkpoints that do not say their own. With
    ``skip_unreadable`` there are no rows for the images of ``result.unreadable``.

    Raises:
        UsageError: the program does not take images, or its categories or outputs are not those that are named.
        ScoringTimedOut: it took longer than ``limit_s`` seconds.
        JobStopped: ``stopped`` returned True.
        EtuiError: an image cannot be read, or the program cannot be loaded or run, or its scores are not numbers.
    """
    import numpy

    from etui.analysis.task_metrics import checked_probabilities, probabilities

    name = plain(program.name)
    cores = usable_cores()
    running = threads or max(1, cores // 2)

    def log(event: Event) -> None:
        if event.kind == "progress":
            progress(f"{name}: {event.done:,.0f} of {event.total:,.0f} images", int(event.done or 0), len(images))

    with tempfile.TemporaryDirectory(prefix="etui-") as work:
        scores = Path(work) / "scores.npy"
        job = ScoresJob(
            program=None if program.eager is not None else str(program.path.absolute()),
            eager=program.eager,
            trained=None if program.trained is None else str(program.trained.absolute()),
            kind=kind or program.kind,
            delegate=program.delegate,
            folder=str(folder.absolute()),
            images=tuple(images),
            categories=categories,
            metadata=None if program.metadata is None else str(program.metadata.absolute()),
            model=program.model,
            scores=str(scores),
            threads=running,
            readers=max(1, min(_MOST_READERS, cores - running)),
            outputs=outputs,
            skip_unreadable=skip_unreadable,
        )
        progress(f"{name}: loading", 0, len(images))
        result = _done(job, name, limit_s, log, stopped)
        values: Floats = numpy.load(scores, allow_pickle=False)
    if not len(values):
        return values, result
    if result.outputs is None:
        _refuse_probabilities(name, values, result.kind)
    try:
        return (checked_probabilities if result.outputs == "probabilities" else probabilities)(
            values, result.kind
        ), result
    except UsageError as error:
        raise UsageError(f"{name} has {error.message}", error.hint) from error


def _refuse_probabilities(name: str, outputs: Floats, kind: Kind) -> None:
    from etui.analysis.task_metrics import are_probabilities

    if are_probabilities(outputs, kind):
        function = "sigmoid" if kind == "multi-label" else "softmax"
        raise UsageError(
            f"all outputs of {name} are from 0 to 1, so that they seem to be probabilities, not logits",
            f"use --outputs probabilities, or --outputs logits, to which etui applies the {function}",
        )


def _done(
    job: ScoresJob, name: str, limit_s: float, log: Callable[[Event], None], stopped: Callable[[], bool]
) -> ScoresResult:
    try:
        return run_job(job, limit_s=limit_s, log=log, stopped=stopped)
    except JobFailed as error:
        kind = UsageError if error.kind == "UsageError" else EtuiError
        raise kind(error.message, "" if "log has" in error.hint else error.hint) from error
    except JobTimedOut as error:
        raise ScoringTimedOut(
            f"running {name} took longer than {limit_s:g} s", "set a longer limit with --timeout, or use fewer images"
        ) from error
    except JobCrashed as error:
        raise EtuiError(
            error.message.replace("the program", name, 1),
            "free memory on the machine" if error.killed else f"check {name} with etui inspect",
        ) from error
