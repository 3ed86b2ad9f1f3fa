"""Name what is in photos: run a program on them, and return its tags."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from etui.errors import UsageError
from etui.files.data_files import IMAGE_SUFFIXES
from etui.jobs import ScoresResult
from etui.services.score_images import LIMIT_S, Program, Progress, score_images
from etui.task_data.program_metadata import DEFAULT_THRESHOLD, Outputs
from etui.task_data.tagging import Tag, TaggedPhoto, Tagging, ThresholdSource
from etui.text import plain

if TYPE_CHECKING:
    from etui.analysis.task_metrics import Floats

DEFAULT_TOP = 5


def tag_photos(
    program: Program,
    photos: Sequence[Path],
    *,
    top: int | None = None,
    threshold: float | None = None,
    threads: int | None = None,
    limit_s: float = LIMIT_S,
    outputs: Outputs | None = None,
    progress: Progress = lambda text, done, of: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Tagging:
    """Return the tags of photos in their order, prepared as for training and evaluation.

    ``threshold`` None is that of the program's metadata, else 0.5. ``top`` None is 5 for single-label programs; for
    multi-label programs all categories from the threshold on are tags.

    Raises:
        UsageError: a threshold for a single-label program, or the program does not take images or its categories are
            not known.
        ScoringTimedOut: it took longer than ``limit_s`` seconds.
        JobStopped: ``stopped`` returned True.
        EtuiError: the program cannot be loaded or run, or its scores are not numbers.
    """
    paths = [str(photo.absolute()) for photo in photos]
    scores, result = score_images(
        program, Path("/"), paths, threads=threads, limit_s=limit_s, outputs=outputs, skip_unreadable=True,
        progress=progress, stopped=stopped,
    )  # fmt: skip
    if result.kind == "single-label" and threshold is not None:
        raise UsageError(
            f"{plain(program.name)} has one label for each photo, which needs no threshold", "limit the tags with --top"
        )
    value, source = _threshold(result, threshold)
    most = top if top is not None else DEFAULT_TOP if result.kind == "single-label" else None
    duration_s, wait_s = result.start_s + result.duration_s, result.start_s + result.waiting_s
    rows = iter(scores)
    tagged = tuple(
        TaggedPhoto(path=str(photo), error=result.unreadable[place])
        if place in result.unreadable
        else _tagged(photo, next(rows), result.categories, value, most)
        for place, photo in enumerate(photos)
    )
    return Tagging(
        program=program.name,
        kind=result.kind,
        threshold=value,
        threshold_source=source,
        top=most,
        photos=tagged,
        photos_per_s=result.images / duration_s,
        duration_s=duration_s,
        read_s=result.read_s,
        prepare_s=result.prepare_s,
        infer_s=result.running_s,
        wait_s=wait_s,
        other_s=max(0.0, duration_s - result.running_s - wait_s),
        threads=result.threads,
        readers=result.readers,
        batch=result.batch,
    )


def find_photos(names: Sequence[Path]) -> list[Path]:
    """Return the files, and the images in folders and the folders below them, sorted; each once.

    Raises UsageError if one does not exist, or a folder has no image.
    """
    found: dict[Path, None] = {}
    for name in names:
        if name.is_dir():
            below = sorted(_images_below(name))
            if not below:
                raise UsageError(
                    f"{plain(str(name))} has no images",
                    f"name files, or a folder with {', '.join(sorted(IMAGE_SUFFIXES))}",
                )
            found |= dict.fromkeys(below)
        elif name.is_file():
            found[name] = None
        else:
            raise UsageError(f"{plain(str(name))} does not exist", "name photos, or a folder with photos")
    return list(found)


def _images_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(place, name)
            for name in files
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")
        ]
    return found


def _tagged(
    photo: Path, scores: Floats, categories: tuple[str, ...], threshold: float | None, top: int | None
) -> TaggedPhoto:
    # Stable, so that of equal probabilities the first category comes first.
    order = (-scores).argsort(kind="stable")
    tags = [Tag(categories[place], float(scores[place])) for place in order]
    return TaggedPhoto(
        path=str(photo),
        tags=tuple(tag for tag in tags if threshold is None or tag.probability >= threshold)[:top],
        best=tags[0],
    )


def _threshold(result: ScoresResult, given: float | None) -> tuple[float | None, ThresholdSource | None]:
    if result.kind == "single-label":
        return None, None
    if given is not None:
        return given, "given"
    if result.threshold is not None:
        return result.threshold, "metadata"
    return DEFAULT_THRESHOLD, "default"
