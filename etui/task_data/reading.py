"""Open a folder with labelled images: COCO's annotations of objects, or a folder for each category."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from etui.errors import PreparationError, UsageError
from etui.files.data_files import IMAGE_SUFFIXES
from etui.files.hashing import file_hash
from etui.files.walk import files_below
from etui.task_data.coco_annotations import read_coco
from etui.task_data.labelled_images import Kind, LabelledImage, LabelledImages, labelled_images
from etui.text import counted, plain

_ANNOTATIONS = "annotations"
_PREFIX, _SUFFIX = "instances_", ".json"
_LAYOUTS = "give a folder with annotations/instances_SPLIT.json, with SPLIT/CATEGORY/*.jpg or with CATEGORY/*.jpg"


class Listing(NamedTuple):
    """The images that a data set lists, which need not exist, with the fields of ``LabelledImages``."""

    kind: Kind
    name: str
    split: str | None
    categories: tuple[str, ...]
    images: tuple[LabelledImage, ...]


def open_labelled_images(folder: Path, split: str | None) -> LabelledImages:
    """Return the images of a split, and hash them. ``split`` is a name of ``splits_of`` or the beginning of exactly
    one, as ``train`` of ``train2017``; None if the data set has one split or none.

    Raises:
        UsageError: the folder has no labelled images, or not this split.
        PreparationError: annotations are not valid, or an image is missing or cannot be read.
    """
    listing = list_images(folder, split)
    if not listing.images:
        raise PreparationError(f"{plain(str(folder))} has no images", _LAYOUTS)
    images = with_hashes(folder, listing.images)
    missing = [image.path for image in images if not image.sha256]
    if missing:
        raise PreparationError(
            f"{plain(str(folder))} lacks {counted(len(missing), 'image')} that it lists, such as {plain(missing[0])}",
            f"see etui data check {plain(str(folder))}",
            screen_hint="add the files, or remove them from the annotations",
        )
    return labelled_images(listing.kind, listing.name, listing.split, listing.categories, images)


def splits_of(folder: Path) -> tuple[str, ...]:
    """Return the names of a data set's splits, sorted; empty if it has none.

    Raises:
        UsageError: the folder has no labelled images.
    """
    coco = _coco_splits(folder)
    return coco if coco else _folder_splits(folder)


def check_split(folder: Path, split: str) -> None:
    """Check that a data set with splits has this one, without reading its images or annotations.

    Raises:
        UsageError: the folder has no labelled images, or not this split.
    """
    if splits_of(folder):
        _found_split(folder, split)


def list_images(folder: Path, split: str | None) -> Listing:
    """Return the images of a split without reading them. ``split`` is as for ``open_labelled_images``.

    Raises:
        UsageError: the folder has no labelled images, or not this split.
        PreparationError: its annotations are not valid.
    """
    found = _found_split(folder, split)
    if found is not None and _coco_splits(folder):
        return _list_coco(folder, found)
    return _list_folders(folder, found)


def with_hashes(folder: Path, images: Sequence[LabelledImage]) -> list[LabelledImage]:
    """Return images with the hash of their content, which stays empty if a file is missing.

    Raises:
        PreparationError: a file cannot be read.
    """

    def hashed(image: LabelledImage) -> LabelledImage:
        try:
            return LabelledImage(image.path, image.labels, file_hash(folder / image.path))
        except (FileNotFoundError, NotADirectoryError):
            return LabelledImage(image.path, image.labels)
        except OSError as error:
            raise PreparationError(
                f"cannot read {plain(str(folder / image.path))} ({error.strerror or error})", "check the file"
            ) from error

    # Hashing runs without the interpreter's lock.
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(hashed, images))


def _found_split(folder: Path, wanted: str | None) -> str | None:
    splits = splits_of(folder)
    name = plain(str(folder))
    known = f"its splits: {plain(', '.join(splits))}" if splits else "it has none"
    if wanted is None:
        if len(splits) > 1:
            raise UsageError(f"{name} has {counted(len(splits), 'split')}, and none was selected", known)
        return splits[0] if splits else None
    if wanted in splits:
        return wanted
    matching = [split for split in splits if wanted and split.startswith(wanted)]
    if len(matching) == 1:
        return matching[0]
    raise UsageError(f"{name} has {'several splits' if matching else 'no split'} {plain(wanted)}", known)


# COCO


def _coco_splits(folder: Path) -> tuple[str, ...]:
    files = _entries(folder / _ANNOTATIONS) if (folder / _ANNOTATIONS).is_dir() else []
    return tuple(
        sorted(
            file.name[len(_PREFIX) : -len(_SUFFIX)]
            for file in files
            if file.name.startswith(_PREFIX)
            and file.name.endswith(_SUFFIX)
            and len(file.name) > len(_PREFIX + _SUFFIX)
            and file.is_file()
        )
    )


def _list_coco(folder: Path, split: str) -> Listing:
    annotations = read_coco(folder / _ANNOTATIONS / f"{_PREFIX}{split}{_SUFFIX}")
    base = _image_folder(folder, split, next(iter(annotations.labels)))
    images = [LabelledImage((base / name).as_posix(), labels) for name, labels in annotations.labels.items()]
    images.sort(key=lambda image: image.path)
    return Listing("multi-label", _name(folder), split, annotations.categories, tuple(images))


def _image_folder(folder: Path, split: str, first: str) -> Path:
    """Return the folder of a split's images, relative to that of the data set: the one that has the first image."""
    places = [Path(split), Path("images") / split, Path("images"), Path()]
    for place in places:
        if (folder / place / first).is_file():
            return place
    return next((place for place in places if (folder / place).is_dir()), places[0])


# A folder for each category


def _folder_splits(folder: Path) -> tuple[str, ...]:
    below = [entry for entry in _entries(folder) if entry.is_dir()]
    categories = [entry.name for entry in below if any(_is_image(file) for file in _entries(entry))]
    if categories:
        return ()
    splits = [
        entry.name
        for entry in below
        if any(_is_image(file) for part in _entries(entry) if part.is_dir() for file in _entries(part))
    ]
    if not splits:
        raise UsageError(f"{plain(str(folder))} has no labelled images", _LAYOUTS)
    return tuple(splits)


def _list_folders(folder: Path, split: str | None) -> Listing:
    # All splits have the categories of all, so that a category has the same index in each.
    roots = [folder / name for name in splits_of(folder)] or [folder]
    categories = sorted({entry.name for root in roots for entry in _entries(root) if entry.is_dir()})
    root = folder if split is None else folder / split
    images = []
    for place, category in enumerate(categories):
        if not (root / category).is_dir():
            continue
        try:
            # Hidden folders, which this leaves out, have thumbnails and copies, as .ipynb_checkpoints.
            files = [file for file in files_below(root / category) if file.suffix.lower() in IMAGE_SUFFIXES]
        except OSError as error:
            raise _unreadable(root / category, error) from error
        images += [LabelledImage(file.relative_to(folder).as_posix(), (place,)) for file in files]
    images.sort(key=lambda image: image.path)
    return Listing("single-label", _name(folder), split, tuple(categories), tuple(images))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _entries(folder: Path) -> list[Path]:
    """Return the entries of a folder that are not hidden, sorted."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except FileNotFoundError as error:
        raise UsageError(f"{plain(str(folder))} does not exist", _LAYOUTS) from error
    except NotADirectoryError as error:
        raise UsageError(f"{plain(str(folder))} is not a folder", _LAYOUTS) from error
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"cannot read {plain(str(error.filename or folder))} ({error.strerror or error})", "check its permissions"
    )


def _name(folder: Path) -> str:
    return folder.resolve().name
