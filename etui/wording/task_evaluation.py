"""Texts about the evaluation of a run on labelled images: metrics, categories, and images whose categories changed."""

from __future__ import annotations

from collections.abc import Sequence

from etui import text
from etui.analysis.task_changes import CategoryChange, TaskChanges, changes_between, changes_within, evaluation_of
from etui.results import RunDocument, TaskEstimate, TaskEvaluation
from etui.wording.run_sections import Entry, RunSection, SectionTable

_SHA = 12
_NAMED = 3
_CATEGORIES = 12
_IMAGES = 8
_TAGS = 4


def evaluation_section(document: RunDocument) -> RunSection:
    """Return the metric of the program and of eager with the difference, and what they were evaluated on."""
    found = evaluation_of(document)
    if found is None:
        return RunSection(title="Task")
    rows = [
        [document.configuration, *_cells(found.program)],
        ["eager", *_cells(found.eager)],
        ["difference", *_cells(found.difference, sign="+")],
    ]
    return RunSection(
        title="Task",
        remark="on the same images, the difference in percentage points",
        table=SectionTable([f"{found.metric} %", "value", "95 % interval"], rows),
        entries=[Entry(label, value) for label, value in facts(found)],
    )


def facts(found: TaskEvaluation) -> list[tuple[str, str]]:
    """Return labels and texts of what an evaluation was made with."""
    data = found.data
    split = f" {data.split}" if data.split else ""
    of = f" of {data.of:,}" if data.images < data.of else ""
    pairs = [
        ("data", f"{data.name}{split}: {data.images:,}{of} images, {data.kind}"),
        ("SHA-256", data.sha256[:_SHA]),
    ]
    if found.threshold is not None:
        source = {"metadata": ", from the metadata", "default": ", the default"}.get(found.threshold_source or "", "")
        pairs.append(("threshold", f"{found.threshold:.3g}{source}"))
    return pairs


def category_section(document: RunDocument) -> RunSection:
    """Return the categories that change most from eager to the program."""
    found = evaluation_of(document)
    if found is None or not found.categories:
        return RunSection(title="Categories")
    changes = changes_within(found)
    ordered = sorted(changes.categories, key=_size, reverse=True)
    rows = [
        [one.name, f"{one.positives:,}", points(one.now), points(one.before), points(one.change, "+")]
        for one in ordered[:_CATEGORIES]
    ]
    more = len(ordered) - len(rows)
    remark = f"{metric_of_category(found)}, the largest changes from eager first"
    return RunSection(
        title="Categories",
        remark=remark,
        table=SectionTable(["category", "images", "program %", "eager %", "change"], rows, frozenset({"eager %"})),
        entries=[Entry("", f"and {more:,} {'category' if more == 1 else 'categories'} more", "muted")] if more else [],
    )


def image_section(document: RunDocument) -> RunSection:
    """Return the images that have other categories in the program than in eager."""
    found = evaluation_of(document)
    if found is None or not found.changed_count:
        return RunSection(title="Changed images")
    changes = changes_within(found)
    entries = [
        Entry(one.path, f"eager: {tags(one.before)}; program: {tags(one.now)}; labels: {tags(one.labels)}")
        for one in changes.images[:_IMAGES]
    ]
    more = found.changed_count - len(entries)
    if more:
        entries.append(Entry("", f"and {text.counted(more, 'image')} more", "muted"))
    return RunSection(
        title="Changed images",
        remark=f"{found.changed_count:,} of {found.data.images:,} have other categories in the program than in eager",
        entries=entries,
    )


def compared(base: RunDocument, other: RunDocument, named: dict[str, str]) -> str:
    """Return which categories lost most from one run to another, and how many images changed theirs; empty if the runs
    were not both evaluated on labelled images."""
    before, now = evaluation_of(base), evaluation_of(other)
    if before is None or now is None:
        return ""
    one, two = named[base.id], named[other.id]
    changes = changes_between(base, other)
    if changes is None:
        return f"{two} and {one} were evaluated on different images, so that their categories are not compared."
    metric = "AP" if now.metric == "mAP" else "recall"
    lost = changes.lost
    if lost:
        most = ", ".join(f"{each.name} ({points(each.change, '+')})" for each in lost[:_NAMED])
        more = f"; {len(lost):,} of {len(changes.categories):,} lost" if len(lost) > _NAMED else ""
        about = f"{two} loses most {metric}, in percentage points, in {most}{more}."
    else:
        about = f"No category has a lower {metric} in {two} than in {one}."
    return f"On {_place(now)}: {about} {images_changed(changes)}"


def images_changed(changes: TaskChanges) -> str:
    """Return how many images have other categories in the second program."""
    images = f"{changes.evaluation.data.images:,} images"
    if changes.image_count is None:
        if not changes.images:
            return "Which images changed their categories is not known."
        return f"At least {len(changes.images):,} of {images} changed their categories."
    if not changes.image_count:
        return "No image changed its categories."
    return f"{changes.image_count:,} of {images} changed their categories."


def metric_of_category(found: TaskEvaluation) -> str:
    """Return the name of the metric of a category."""
    return "average precision" if found.metric == "mAP" else "recall"


def estimate(found: TaskEstimate, sign: str = "") -> str:
    """Return a metric in percent, or with a ``sign`` a difference in points, with its interval."""
    value, bounds = _cells(found, sign)
    unit = "" if sign else " %"
    return f"{value}{unit} ({bounds})" if bounds else f"{value}{unit}"


def points(value: float | None, sign: str = "") -> str:
    """Return a share in percent with one decimal; ``sign`` "+" also signs positive ones."""
    return text.MISSING if value is None else f"{round(100 * value, 1) + 0.0:{sign}.1f}"


def counted_images(count: int) -> str:
    """Return the number of images of a category."""
    return text.counted(count, "image")


def tags(names: Sequence[str]) -> str:
    """Return the names of categories of an image, as many as fit a line."""
    more = f" +{len(names) - _TAGS}" if len(names) > _TAGS else ""
    return (", ".join(names[:_TAGS]) + more) or "none"


def _cells(found: TaskEstimate, sign: str = "") -> list[str]:
    bounds = ""
    if found.ci95 is not None:
        bounds = f"{points(found.ci95[0], sign)} to {points(found.ci95[1], sign)}"
    return [points(found.value, sign), bounds]


def _place(found: TaskEvaluation) -> str:
    split = f" {found.data.split}" if found.data.split else ""
    return f"{found.data.name}{split}"


def _size(category: CategoryChange) -> float:
    return -1.0 if category.change is None else abs(category.change)
