"""A split of a labelled data set: its categories, its images with their labels, and a hash of all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from etui.errors import UsageError

Kind = Literal["multi-label", "single-label"]


class LabelledImage(msgspec.Struct, frozen=True):
    """An image: its path relative to the folder of the data set, with ``/``, the indexes of its categories in
    ascending order, and the SHA-256 of the file's content."""

    path: str
    labels: tuple[int, ...]
    sha256: str = ""


class LabelledImages(msgspec.Struct, frozen=True):
    """The images of one split, sorted by their paths. ``name`` is that of the folder, ``split`` None if the data set
    has no splits. An image of single-label data has exactly one label, one of multi-label data any number.

    ``sha256`` depends on the kind, the categories, and the path, labels and content of each image; not on where the
    data set is.
    """

    kind: Kind
    name: str
    split: str | None
    categories: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    sha256: str


def labelled_images(
    kind: Kind, name: str, split: str | None, categories: Sequence[str], images: Sequence[LabelledImage]
) -> LabelledImages:
    """Return a split with its images sorted by path, and its hash."""
    ordered = tuple(sorted(images, key=lambda image: image.path))
    content = [kind, list(categories), [[image.path, list(image.labels), image.sha256] for image in ordered]]
    digest = hashlib.sha256(msgspec.json.encode(content)).hexdigest()
    return LabelledImages(kind, name, split, tuple(categories), ordered, digest)


def split_images(data: LabelledImages, fractions: Mapping[str, float], seed: int) -> dict[str, LabelledImages]:
    """Divide images into named parts, such as ``{"train": 0.8, "val": 0.1, "test": 0.1}``.

    The images are ordered by a hash of the seed and of their content, and the order is cut, so that the parts depend on
    nothing else. Identical files are in the same part.

    Raises:
        UsageError: the fractions are not positive or do not sum to 1, or there are too few images for a part.
    """
    if not fractions or any(share <= 0 for share in fractions.values()) or abs(sum(fractions.values()) - 1) > 1e-6:
        raise UsageError("the fractions of the splits are not positive numbers with the sum 1", "such as 0.8, 0.1, 0.1")

    def place(image: LabelledImage) -> tuple[str, str]:
        return hashlib.sha256(f"{seed}:{image.sha256 or image.path}".encode()).hexdigest(), image.path

    ordered = sorted(data.images, key=place)
    parts: dict[str, LabelledImages] = {}
    begin, until = 0, 0.0
    for number, (name, share) in enumerate(fractions.items(), 1):
        until += share
        end = len(ordered) if number == len(fractions) else max(begin, round(until * len(ordered)))
        while begin < end < len(ordered) and ordered[end - 1].sha256 == ordered[end].sha256 != "":
            end += 1
        if begin == end:
            raise UsageError(
                f"{data.name} has too few different images for the split {name} ({len(ordered)} in all)",
                "add images, or use fewer splits",
            )
        parts[name] = labelled_images(data.kind, data.name, name, data.categories, ordered[begin:end])
        begin = end
    return parts
