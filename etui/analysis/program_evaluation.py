"""The evaluation of programs on the same labelled images: what it found, and on which images."""

from __future__ import annotations

from typing import Literal

import msgspec

from etui.analysis.task_metrics import Kind, TaskDifferences, TaskMetrics

ThresholdSource = Literal["given", "metadata", "default", "split"]
OutputsSource = Literal["given", "metadata", "program", "default"]


class DataInfo(msgspec.Struct, frozen=True):
    """The images that were used: ``images`` of the ``of`` images of a split; the hash is that of the used ones."""

    name: str
    split: str | None
    kind: Kind
    images: int
    of: int
    sha256: str


class ProgramEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one program. ``difference`` is from the first program; None for the first, and for programs with
    other categories. ``outputs`` is what the program computes, as ``outputs_source`` says; "default" if nothing does.

    ``images_per_s`` is the rate from the first batch to the last, while reading images; ``waiting_share`` the part of
    that time in which the program waited for images. Both depend on what else the machine does: they are not a
    measurement of the program.
    """

    program: str
    metrics: TaskMetrics
    categories: tuple[str, ...]
    threshold_source: ThresholdSource | None
    images_per_s: float
    waiting_share: float
    batch: int
    threads: int
    readers: int
    difference: TaskDifferences | None = None
    outputs: Literal["logits", "probabilities"] = "logits"
    outputs_source: OutputsSource = "default"


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The results of programs on the same images. ``threshold_data`` are the images that thresholds were chosen on,
    None if they were not chosen. Intervals are of bootstrap resamples drawn with ``seed``."""

    data: DataInfo
    threshold_data: DataInfo | None
    seed: int
    programs: tuple[ProgramEvaluation, ...]
