"""Evaluate programs on a split of labelled images, each in a process of its own, and compare them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from etui.analysis.program_evaluation import DataInfo, Evaluation, ProgramEvaluation, ThresholdSource
from etui.errors import UsageError
from etui.jobs import ScoresResult
from etui.services.score_images import LIMIT_S, Program, Progress, score_images
from etui.task_data.labelled_images import Kind, LabelledImages, labelled_images
from etui.task_data.program_metadata import DEFAULT_THRESHOLD, Outputs, read_metadata
from etui.task_data.reading import open_labelled_images, splits_of
from etui.text import plain

if TYPE_CHECKING:
    from etui.analysis.task_metrics import Bools, Floats


class _Scored(NamedTuple):
    """Probabilities and labels of the shape [N, C], and how they were made."""

    scores: Floats
    labels: Bools
    result: ScoresResult


def evaluate_programs(
    programs: Sequence[Program],
    folder: Path,
    split: str | None,
    *,
    threshold: float | Literal["auto"] | None = None,
    limit: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    limit_s: float = LIMIT_S,
    outputs: Outputs | None = None,
    progress: Progress = lambda text, done, of: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Evaluation:
    """Evaluate programs on a split of the data in ``folder``, one after the other.

    ``threshold`` "auto" chooses that of each program on another split; None uses that of its metadata, else 0.5.
    ``limit`` uses this number of images of each split, chosen by their content. ``limit_s`` is for each program.
    ``outputs`` is what all programs compute; None if their metadata or their last operators say it.

    Raises:
        UsageError: data, split, threshold and programs do not fit each other.
        JobStopped: ``stopped`` returned True.
        ScoringTimedOut: a program took longer than ``limit_s`` seconds.
        EtuiError: an image cannot be read, or a program cannot be loaded or run, or its scores are not numbers.
    """
    from etui.analysis import task_metrics

    kinds = {one: read_metadata(one.metadata).kind for one in programs if one.metadata is not None}
    whole = open_labelled_images(folder, split)
    data = _limited(whole, limit)
    for program, kind in kinds.items():
        _check_kind(program, kind, data)
    if threshold is not None and data.kind == "single-label":
        raise UsageError(f"{plain(data.name)} has one label for each image, which needs no threshold", "omit it")
    others: list[LabelledImages] = []
    others_of = 0
    if threshold == "auto":
        found = open_labelled_images(folder, _other_split(folder, data))
        others, others_of = [_limited(found, limit)], len(found.images)
        if found.categories != data.categories:
            raise UsageError(
                f"the splits {plain(str(found.split))} and {plain(str(data.split))} have different categories",
                "give a threshold such as 0.5",
            )
    evaluated: list[ProgramEvaluation] = []
    first: tuple[_Scored, float] | None = None
    for program in programs:
        done, *chosen_on = _score(program, folder, [data, *others], threads, limit_s, outputs, progress, stopped)
        value, source = _threshold(done.result, threshold)
        for chosen in chosen_on:
            best = task_metrics.best_threshold(chosen.scores, chosen.labels)
            if best is None:
                raise UsageError(
                    f"the split {plain(str(others[0].split))} has no labels", "give a threshold such as 0.5"
                )
            value, source = best, "split"
        difference = None
        if first is not None and done.labels.shape == first[0].labels.shape and (done.labels == first[0].labels).all():
            difference = task_metrics.differences(
                done.scores, first[0].scores, done.labels, data.kind, (value, first[1]), seed=seed
            )
        first = first or (done, value)
        result = done.result
        evaluated.append(
            ProgramEvaluation(
                program=program.name,
                metrics=task_metrics.evaluate(done.scores, done.labels, data.kind, value, seed=seed),
                categories=data.categories if data.kind == "multi-label" else result.categories,
                threshold_source=source if data.kind == "multi-label" else None,
                images_per_s=result.images / result.duration_s,
                waiting_share=result.waiting_s / result.duration_s,
                batch=result.batch,
                threads=result.threads,
                readers=result.readers,
                difference=difference,
                outputs=result.outputs or "logits",
                outputs_source=result.outputs_source or "default",
            )
        )
    return Evaluation(
        data=_info(data, len(whole.images)),
        threshold_data=_info(others[0], others_of) if others else None,
        seed=seed,
        programs=tuple(evaluated),
    )


def _score(
    program: Program,
    folder: Path,
    parts: Sequence[LabelledImages],
    threads: int | None,
    limit_s: float,
    outputs: Outputs | None,
    progress: Progress,
    stopped: Callable[[], bool],
) -> list[_Scored]:
    """Run a program on all images of some splits, which have the same categories, in a process of its own."""
    from etui.analysis.task_metrics import evaluated_columns

    images = tuple(image.path for data in parts for image in data.images)
    values, result = score_images(
        program, folder, images, parts[0].categories, threads=threads, limit_s=limit_s, outputs=outputs,
        kind=parts[0].kind, progress=progress,
    )  # fmt: skip
    found, at = [], 0
    for data in parts:
        _check_kind(program, result.kind, data)
        rows = values[at : at + len(data.images)]
        used = evaluated_columns(rows, [image.labels for image in data.images], result.places, data.kind)
        found.append(_Scored(*used, result))
        at += len(data.images)
    return found


def _check_kind(program: Program, kind: Kind, data: LabelledImages) -> None:
    if kind != data.kind:
        raise UsageError(
            f"{plain(program.name)} is {kind}, but the data {plain(data.name)} is {data.kind}",
            "choose data of its kind",
        )


def _threshold(result: ScoresResult, given: float | Literal["auto"] | None) -> tuple[float, ThresholdSource]:
    if isinstance(given, float):
        return given, "given"
    if result.threshold is not None:
        return result.threshold, "metadata"
    return DEFAULT_THRESHOLD, "default"


def _other_split(folder: Path, data: LabelledImages) -> str:
    """Return the split to choose thresholds on: the validation split, else the training split."""
    others = [split for split in splits_of(folder) if split != data.split]
    for beginning in ("val", "train"):
        for split in others:
            if split.startswith(beginning):
                return split
    raise UsageError(
        f"{plain(data.name)} has no other split val or train to choose the threshold on",
        "a threshold that is chosen on the evaluated images makes the result too good; give one, such as 0.5",
    )


def _limited(data: LabelledImages, limit: int | None) -> LabelledImages:
    if limit is None or limit >= len(data.images):
        return data
    chosen = sorted(data.images, key=lambda image: (image.sha256, image.path))[:limit]
    return labelled_images(data.kind, data.name, data.split, data.categories, chosen)


def _info(data: LabelledImages, of: int) -> DataInfo:
    return DataInfo(data.name, data.split, data.kind, len(data.images), of, data.sha256)
