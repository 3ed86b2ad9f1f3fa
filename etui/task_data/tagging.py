"""The tags of photos: what a program found in them, and what took the time."""

from __future__ import annotations

from typing import Literal

import msgspec

from etui.task_data.labelled_images import Kind

ThresholdSource = Literal["given", "metadata", "default"]


class Tag(msgspec.Struct, frozen=True):
    """A category with its probability."""

    category: str
    probability: float


class TaggedPhoto(msgspec.Struct, frozen=True, kw_only=True):
    """A photo with its tags, the most probable first. ``best`` is the most probable category, also if it is not a tag;
    None if the photo could not be read, with the reason in ``error``."""

    path: str
    tags: tuple[Tag, ...] = ()
    best: Tag | None = None
    error: str | None = None


class Tagging(msgspec.Struct, frozen=True, kw_only=True):
    """The tags of photos. Of a multi-label program they are the categories with at least the probability ``threshold``,
    of a single-label program the most probable ones; ``top`` is the largest number of tags of a photo.

    ``duration_s`` is the time for all photos, in which the program ran for ``infer_s`` and waited for photos for
    ``wait_s``, also while the first were read; ``other_s`` is the rest. ``readers`` processes decoded (``read_s``) and
    prepared (``prepare_s``) photos at the same time; both are sums over these processes. Loading the program is in none
    of them.
    """

    program: str
    kind: Kind
    threshold: float | None
    threshold_source: ThresholdSource | None
    top: int | None
    photos: tuple[TaggedPhoto, ...]
    photos_per_s: float
    duration_s: float
    read_s: float
    prepare_s: float
    infer_s: float
    wait_s: float
    other_s: float
    threads: int
    readers: int
    batch: int

    @property
    def unreadable(self) -> int:
        """The number of photos without tags because they could not be read."""
        return sum(photo.error is not None for photo in self.photos)
