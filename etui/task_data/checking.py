"""Check a data set before training: what would stop it, and what would make its result wrong."""

from __future__ import annotations

import os
import statistics
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from etui.errors import PreparationError
from etui.files.hashing import file_hash
from etui.task_data.labelled_images import Kind, LabelledImage
from etui.task_data.preprocessing import open_picture
from etui.task_data.reading import Listing, list_images, splits_of
from etui.text import counted

_EXAMPLES = 100
"""The number of files or categories that a problem lists at most."""


class Problem(msgspec.Struct, frozen=True):
    """One kind of problem in one split, or between two (``split`` is None). An error stops training or evaluation; a
    warning makes results incomplete or too good. ``count`` is the number of files, pairs or categories, and
    ``examples`` lists up to 100 of them."""

    level: Literal["error", "warning"]
    problem: Literal[
        "annotations", "missing", "unreadable", "categories", "no positives", "duplicates", "duplicates across splits"
    ]
    split: str | None
    message: str
    count: int
    examples: list[str]


class Spread(msgspec.Struct, frozen=True):
    """The smallest, the median and the largest number of pixels."""

    least: int
    median: int
    most: int


class SplitFacts(msgspec.Struct, frozen=True):
    """Counts of one split. ``by_category`` is the number of images with each category, in the order of the categories;
    ``by_labels`` the number of images with each number of labels. ``readable`` images were decoded; width and height
    in pixels, after the rotation of EXIF, are theirs."""

    split: str | None
    images: int
    readable: int
    size_bytes: int
    by_category: list[int]
    by_labels: dict[int, int]
    width: Spread | None
    height: Spread | None


class DataCheck(msgspec.Struct, frozen=True):
    """What was found in a data set; splits with unusable annotations are only among the problems."""

    folder: str
    kind: Kind | None
    categories: list[str]
    splits: list[SplitFacts]
    problems: list[Problem]

    @property
    def has_errors(self) -> bool:
        """Whether training or evaluation would fail."""
        return any(problem.level == "error" for problem in self.problems)


class _Decoded(NamedTuple):
    """The result of reading one image: hash and size, or why it cannot be read; neither if it is missing."""

    image: LabelledImage
    sha256: str = ""
    size_bytes: int = 0
    width: int = 0
    height: int = 0
    reason: str = ""


def check_data(
    folder: Path, split: str | None = None, progress: Callable[[int, int], None] = lambda done, of: None
) -> DataCheck:
    """Read every image of a data set, or of one split, and return what is in it. ``progress`` is called with the
    number of images that were read and of all.

    Raises:
        UsageError: the folder has no labelled images, or not this split.
    """
    problems: list[Problem] = []
    listings: list[Listing] = []
    for name in [split] if split is not None else splits_of(folder) or [None]:
        try:
            listings.append(list_images(folder, name))
        except PreparationError as error:
            problems.append(Problem("error", "annotations", name, error.message, 1, []))
    every = sum(len(listing.images) for listing in listings)
    done = 0
    facts: list[SplitFacts] = []
    read: list[tuple[Listing, list[_Decoded]]] = []
    with _threads() as pool:
        for listing in listings:
            decoded: list[_Decoded] = []
            for one in pool.map(lambda image: _decode(folder, image), listing.images):
                decoded.append(one)
                done += 1
                progress(done, every)
            read.append((listing, decoded))
            facts.append(_facts(listing, decoded))
            problems += _problems(listing, decoded)
    problems += _differing_categories(listings)
    problems += _duplicates_across(read)
    problems.sort(key=lambda problem: problem.level)
    first = listings[0] if listings else None
    return DataCheck(
        str(folder), first.kind if first else None, list(first.categories) if first else [], facts, problems
    )


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    # Decoding runs without the interpreter's lock. Pillow's warnings about odd files are not problems of the data.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _decode(folder: Path, image: LabelledImage) -> _Decoded:
    path = folder / image.path
    try:
        sha256, size_bytes = file_hash(path), path.stat().st_size
        width, height = open_picture(path).size
    except (FileNotFoundError, NotADirectoryError):
        return _Decoded(image)
    except OSError as error:
        return _Decoded(image, reason=error.strerror or "cannot be read")
    except PreparationError as error:
        return _Decoded(image, sha256, size_bytes, reason=error.message.removeprefix(f"{path} ").removeprefix("is "))
    return _Decoded(image, sha256, size_bytes, width, height)


def _facts(listing: Listing, decoded: Sequence[_Decoded]) -> SplitFacts:
    by_category = Counter(label for image in listing.images for label in image.labels)
    sizes = [(one.width, one.height) for one in decoded if one.width]
    return SplitFacts(
        split=listing.split,
        images=len(listing.images),
        readable=len(sizes),
        size_bytes=sum(one.size_bytes for one in decoded),
        by_category=[by_category[place] for place in range(len(listing.categories))],
        by_labels=dict(sorted(Counter(len(image.labels) for image in listing.images).items())),
        width=_spread([width for width, _ in sizes]),
        height=_spread([height for _, height in sizes]),
    )


def _spread(values: Sequence[int]) -> Spread | None:
    return Spread(min(values), statistics.median_low(values), max(values)) if values else None


# Problems


def _problems(listing: Listing, decoded: Sequence[_Decoded]) -> Iterator[Problem]:
    split = listing.split
    missing = [one.image.path for one in decoded if not one.sha256 and not one.reason]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        yield _problem("error", "missing", split, f"{counted(len(missing), 'image')} {verb} missing", missing)
    unreadable = [f"{one.image.path} ({one.reason})" for one in decoded if one.reason]
    if unreadable:
        yield _problem("error", "unreadable", split, f"{counted(len(unreadable), 'image')} cannot be read", unreadable)
    used = {label for image in listing.images for label in image.labels}
    unused = [name for place, name in enumerate(listing.categories) if place not in used]
    if unused:
        count = f"{len(unused):,} {'category has' if len(unused) == 1 else 'categories have'}"
        yield _problem("warning", "no positives", split, f"{count} no image", unused)
    same: dict[str, list[_Decoded]] = {}
    for one in decoded:
        if one.width:
            same.setdefault(one.sha256, []).append(one)
    copies = [group for group in same.values() if len(group) > 1]
    if copies:
        contradicting = sum(len({one.image.labels for one in group}) > 1 for group in copies)
        extra = f", {contradicting:,} of them with different labels" if contradicting else ""
        count = f"{counted(len(copies), 'image')} {'is' if len(copies) == 1 else 'are'}"
        names = [" = ".join(one.image.path for one in group) for group in copies]
        yield _problem("warning", "duplicates", split, f"{count} there several times{extra}", names)


def _differing_categories(listings: Sequence[Listing]) -> Iterator[Problem]:
    for listing in listings[1:]:
        if listing.categories != listings[0].categories:
            differing = sorted(set(listing.categories) ^ set(listings[0].categories))
            yield _problem(
                "error",
                "categories",
                listing.split,
                f"the categories are not those of {listings[0].split}"
                + ("" if differing else ": their ids have another order"),
                differing,
            )


def _duplicates_across(read: Sequence[tuple[Listing, Sequence[_Decoded]]]) -> Iterator[Problem]:
    for place, (listing, decoded) in enumerate(read):
        known = {one.sha256: one.image.path for one in decoded if one.width}
        for other, others in read[place + 1 :]:
            shared = [f"{known[one.sha256]} = {one.image.path}" for one in others if one.width and one.sha256 in known]
            if shared:
                count = f"{counted(len(shared), 'image')} of {other.split} {'is' if len(shared) == 1 else 'are'}"
                message = f"{count} also in {listing.split}"
                yield _problem("warning", "duplicates across splits", None, message, shared)


def _problem(
    level: Literal["error", "warning"],
    problem: Literal["missing", "unreadable", "categories", "no positives", "duplicates", "duplicates across splits"],
    split: str | None,
    message: str,
    found: Sequence[str],
) -> Problem:
    return Problem(level, problem, split, message, len(found), list(found[:_EXAMPLES]))
