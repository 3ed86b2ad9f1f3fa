"""Evaluate eager PyTorch or a program on the labelled images of a bundle, within a session."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import numpy
import torch

from etui.analysis.task_evaluation import task_metric
from etui.analysis.task_metrics import Bools, Floats, are_probabilities, evaluated_columns, probabilities
from etui.engine.measure.accuracy import Log
from etui.engine.measure.score_batches import Run, images_at_once, score_batches
from etui.engine.models.bundle import Bundle
from etui.engine.models.evaluation import Evaluation
from etui.engine.models.outputs import flat_outputs
from etui.engine.runtime.execution import load_program, set_threads
from etui.errors import UsageError
from etui.events import Event, utc_now
from etui.jobs import EvaluateJob, EvaluateResult
from etui.task_data.prefetch import Prefetch
from etui.task_data.program_metadata import DEFAULT_THRESHOLD


def run_evaluate(job: EvaluateJob, log: Log) -> EvaluateResult:
    """Run eager or a program on all images; compare a program with eager's probabilities.

    Raises:
        UsageError: the outputs are probabilities already.
        EtuiError: the program cannot be loaded or run, an image cannot be read, or a score is not a number.
    """
    set_threads(job.threads, cpus=None)
    bundle = Bundle.open(Path(job.bundle), job.model)
    evaluation = bundle.evaluation()
    with torch.inference_mode():
        logits = _scores(_runner(job, bundle), bundle.result.inputs.shapes[0][0], job, evaluation, log)
    scores, labels = _used(logits.numpy(), evaluation, job.label, is_eager=job.program is None)
    if job.program is None:
        numpy.save(job.scores, scores, allow_pickle=False)
        return EvaluateResult()
    multi = evaluation.data.kind == "multi-label"
    return EvaluateResult(
        task=task_metric(
            numpy.load(job.scores, allow_pickle=False),
            scores,
            labels,
            data=evaluation.data,
            names=evaluation.categories if multi else evaluation.outputs,
            paths=evaluation.paths,
            threshold=DEFAULT_THRESHOLD if evaluation.threshold is None else evaluation.threshold,
            threshold_from_metadata=evaluation.threshold is not None,
            preprocessing=msgspec.to_builtins(evaluation.preprocessing),
        )
    )


def _runner(job: EvaluateJob, bundle: Bundle) -> Run:
    """Return what gives the first output for one batch of images."""
    dtype = getattr(torch, bundle.result.inputs.dtypes[0])
    if job.program is None:
        call = bundle.structure.bound(bundle.eager())
        return lambda images: flat_outputs(call(images.to(dtype)))[0]
    program = load_program(Path(job.program), job.delegate, job.threads, bundle)
    return lambda images: flat_outputs(program.tensors(program(program.fit((images.to(dtype),)))))[0]


def _scores(run: Run, batch: int, job: EvaluateJob, evaluation: Evaluation, log: Log) -> torch.Tensor:
    """Return the first output for all images."""
    total, columns, begin_s = len(evaluation.paths), len(evaluation.outputs), time.monotonic()

    def refusal(shape: list[int]) -> UsageError:
        return UsageError(
            f"{job.label} has an output of shape {shape} instead of {[batch, columns]}",
            "see etui show for what the run was made of",
        )

    def progress(done: int) -> None:
        log(
            Event(
                kind="progress",
                stage="evaluate",
                message=f"evaluating {job.label}: image {done:,} of {total:,}",
                done=done,
                total=total,
                left_s=(time.monotonic() - begin_s) / done * (total - done + job.later * total),
                run_id=job.run_id,
                at=utc_now(),
            )
        )

    images = Prefetch(Path(job.folder), evaluation.paths, evaluation.preprocessing, images_at_once(batch), job.readers)
    return score_batches(run, images, batch, columns, refusal, progress).scores


def _used(logits: Floats, evaluation: Evaluation, label: str, *, is_eager: bool) -> tuple[Floats, Bools]:
    """Return probabilities and labels of the evaluated columns."""
    kind = evaluation.data.kind
    if is_eager and are_probabilities(logits, kind):
        # Decided once for all variants: a program of few different outputs may have none beyond 0 and 1 by chance.
        function = "sigmoid" if kind == "multi-label" else "softmax"
        raise UsageError(
            f"all outputs of {label} are from 0 to 1, so that they seem to be probabilities, not logits",
            f"measure the model without its last {function}",
        )
    used, labels = evaluated_columns(logits, evaluation.labels, evaluation.places, kind)
    return numpy.asarray(probabilities(used, kind), dtype=numpy.float64), labels
