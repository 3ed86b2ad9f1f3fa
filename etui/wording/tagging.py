"""The tags of photos and the time they took, as text."""

from __future__ import annotations

from collections.abc import Iterator

from etui.task_data.tagging import Tag, TaggedPhoto, Tagging
from etui.text import counted, number, percent, plain, seconds


def tags_text(photo: TaggedPhoto, threshold: float | None) -> str:
    """Return the tags of a photo with their probabilities; without a tag, the most probable category."""
    if photo.tags or photo.best is None:
        return ", ".join(map(_tag, photo.tags))
    return f"no category reaches {threshold:g}; the best is {_tag(photo.best)}"


def _tag(tag: Tag) -> str:
    return f"{plain(tag.category)} {tag.probability:.2f}"


def notes(made: Tagging) -> Iterator[str]:
    """Yield what tagged the photos, how many could not be read, and what took the time."""
    threshold = f", threshold {made.threshold:g} ({made.threshold_source})" if made.threshold is not None else ""
    yield f"{plain(made.program)}, {made.kind}{threshold}"
    tagged = len(made.photos) - made.unreadable
    if made.unreadable:
        yield f"{counted(made.unreadable, 'photo')} could not be read"
    if not tagged:
        return
    shares = [("inference", made.infer_s), ("waiting for photos", made.wait_s), ("other", made.other_s)]
    parts = ", ".join(f"{name} {seconds(value)} ({percent(value / made.duration_s)})" for name, value in shares)
    yield (
        f"{counted(tagged, 'photo')} in {seconds(made.duration_s)}, {number(made.photos_per_s)} photos/s: {parts}."
        f" At the same time, {counted(made.readers, 'reader')} decoded ({seconds(made.read_s)}) and prepared"
        f" ({seconds(made.prepare_s)}) photos. This is not a measurement of the program."
    )
