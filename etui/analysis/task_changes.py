"""Which categories and which images differ between two runs that were evaluated on the same labelled images."""

from __future__ import annotations

import msgspec

from etui.results import CategoryValues, ChangedImage, RunDocument, TaskEvaluation

_LEAST_LOSS = 0.0005
"""Smaller losses are shown as zero."""


class CategoryChange(msgspec.Struct, frozen=True, kw_only=True):
    """One category, of which ``positives`` images are: average precision of two programs, or the share of its images
    that each finds (single-label data), from 0 to 1; None if it is not defined."""

    name: str
    positives: int
    before: float | None
    now: float | None

    @property
    def change(self) -> float | None:
        """The second value minus the first; None if one is not defined."""
        return None if self.before is None or self.now is None else self.now - self.before


class ImageChange(msgspec.Struct, frozen=True, kw_only=True):
    """An image to which two programs give other categories."""

    path: str
    labels: list[str]
    before: list[str]
    now: list[str]


class TaskChanges(msgspec.Struct, frozen=True, kw_only=True):
    """The changes from one program to another on the same images. ``categories`` begin with the one that lost most;
    ``images`` are those known to differ, ``image_count`` their number; None if more may differ than are known."""

    evaluation: TaskEvaluation
    categories: list[CategoryChange]
    images: list[ImageChange]
    image_count: int | None

    @property
    def lost(self) -> list[CategoryChange]:
        """The categories whose value is smaller by at least 0.05 percentage points, the largest loss first."""
        return [one for one in self.categories if one.change is not None and one.change <= -_LEAST_LOSS]


def evaluation_of(document: RunDocument) -> TaskEvaluation | None:
    """Return the evaluation of a run on labelled images; None without one."""
    task = document.accuracy.task if document.accuracy is not None else None
    return task.evaluation if task is not None else None


def category_value(evaluation: TaskEvaluation, values: CategoryValues) -> float | None:
    """Return the metric of a category: average precision, or recall for single-label data, in which it is the share of
    the category's images that are recognized."""
    return values.average_precision if evaluation.metric == "mAP" else values.recall


def changes_within(evaluation: TaskEvaluation) -> TaskChanges:
    """Return the changes from eager PyTorch to the program of one run."""
    categories = [
        CategoryChange(
            name=one.name,
            positives=one.positives,
            before=category_value(evaluation, one.eager),
            now=category_value(evaluation, one.program),
        )
        for one in evaluation.categories
    ]
    images = [
        ImageChange(path=one.path, labels=one.labels, before=one.eager, now=one.program) for one in evaluation.changed
    ]
    return TaskChanges(
        evaluation=evaluation,
        categories=_most_lost_first(categories),
        images=images,
        image_count=evaluation.changed_count,
    )


def changes_between(base: RunDocument, other: RunDocument) -> TaskChanges | None:
    """Return the changes from the program of one run to that of another; None if they were not evaluated on the same
    images, or for another kind of task."""
    before, now = evaluation_of(base), evaluation_of(other)
    if before is None or now is None or before.metric != now.metric or before.data.sha256 != now.data.sha256:
        return None
    earlier = {one.name: one for one in before.categories}
    categories = [
        CategoryChange(
            name=one.name,
            positives=one.positives,
            before=category_value(before, earlier[one.name].program),
            now=category_value(now, one.program),
        )
        for one in now.categories
        if one.name in earlier
    ]
    images, count = _changed_images(before, now, same_eager=_have_same_eager(base, other, before, now))
    return TaskChanges(evaluation=now, categories=_most_lost_first(categories), images=images, image_count=count)


def _most_lost_first(categories: list[CategoryChange]) -> list[CategoryChange]:
    known = [category for category in categories if category.change is not None]
    return [
        *sorted(known, key=lambda category: category.change or 0.0),
        *(category for category in categories if category.change is None),
    ]


def _have_same_eager(base: RunDocument, other: RunDocument, before: TaskEvaluation, now: TaskEvaluation) -> bool:
    """Return whether eager PyTorch gives every image the same categories in both runs."""
    if base.weights is None or other.weights is None or base.weights.sha256 is None:
        return False
    return (
        base.model.identity == other.model.identity
        and base.weights.sha256 == other.weights.sha256
        and before.preprocessing == now.preprocessing
        and before.threshold == now.threshold
        and before.eager.value == now.eager.value
    )


def _changed_images(
    before: TaskEvaluation, now: TaskEvaluation, *, same_eager: bool
) -> tuple[list[ImageChange], int | None]:
    """Return the images known to differ between two programs, the largest changes first, and how many differ in all.

    An image that a run does not list has the categories of eager in it, if the list is complete.
    """
    listed = [{one.path: one for one in evaluation.changed} for evaluation in (before, now)]
    complete = [same_eager and len(evaluation.changed) == evaluation.changed_count for evaluation in (before, now)]
    found: list[tuple[float, ImageChange]] = []
    for path in dict.fromkeys([*listed[1], *listed[0]]):
        one, two = listed[0].get(path), listed[1].get(path)
        if (one is None and not complete[0]) or (two is None and not complete[1]):
            continue
        known = two or one
        assert known is not None
        tags = [_tags(one, known), _tags(two, known)]
        if tags[0] != tags[1]:
            change = max(each.change for each in (one, two) if each is not None)
            image = ImageChange(path=path, labels=known.labels, before=tags[0], now=tags[1])
            found.append((change, image))
    found.sort(key=lambda pair: -pair[0])
    return [image for _, image in found], len(found) if all(complete) else None


def _tags(own: ChangedImage | None, known: ChangedImage) -> list[str]:
    return own.program if own is not None else known.eager
