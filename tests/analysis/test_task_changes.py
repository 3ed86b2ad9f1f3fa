"""Categories and images that differ between two evaluated runs: what is not known is not stated."""

from __future__ import annotations

import msgspec
import pytest

from etui.analysis.task_changes import changes_between, changes_within
from etui.results import ChangedImage, RunDocument, TaskEvaluation
from tests.documents import make_document, make_evaluation, with_evaluation


def run(run_id: str, evaluation: TaskEvaluation) -> RunDocument:
    return with_evaluation(make_document(run_id), evaluation)


def changed(path: str, program: list[str], change: float = 0.3) -> ChangedImage:
    return ChangedImage(path=path, labels=["cat"], eager=["cat"], program=program, change=change)


def with_images(*images: ChangedImage, count: int | None = None) -> TaskEvaluation:
    found = make_evaluation(changed=0)
    return msgspec.structs.replace(found, changed=list(images), changed_count=len(images) if count is None else count)


def test_the_category_that_lost_most_comes_first() -> None:
    changes = changes_within(make_evaluation(drop=0.2))
    first = changes.categories[0]
    assert first.name == "cat" and first.change == pytest.approx(-0.2)
    assert [one.name for one in changes.lost] == ["cat"]
    single = changes_within(make_evaluation(drop=0.2, multi_label=False))
    assert [one.name for one in single.lost] == ["cat"]


def test_images_that_a_run_does_not_list_have_the_categories_of_eager() -> None:
    base = run("aaaa", with_images(changed("same.jpg", ["dog"]), changed("back.jpg", ["dog"], 0.1)))
    other = run("bbbb", with_images(changed("same.jpg", ["dog"]), changed("new.jpg", [], 0.2)))
    found = changes_between(base, other)
    assert found is not None and found.image_count == 2
    assert [(one.path, one.before, one.now) for one in found.images] == [
        ("new.jpg", ["cat"], []),
        ("back.jpg", ["dog"], ["cat"]),
    ]


def test_what_an_incomplete_list_leaves_open_is_not_counted() -> None:
    base = run("aaaa", with_images(changed("both.jpg", ["dog"]), changed("one.jpg", ["dog"])))
    cut = run("bbbb", with_images(changed("both.jpg", []), count=70))
    found = changes_between(base, cut)
    assert found is not None and found.image_count is None
    # The second image may be among those that are not listed.
    assert [one.path for one in found.images] == ["both.jpg"]


def test_images_of_other_weights_are_compared_only_if_both_runs_list_them() -> None:
    base = run("aaaa", with_images(changed("a.jpg", ["dog"])))
    other = run("bbbb", with_images(changed("a.jpg", []), changed("b.jpg", [])))
    assert other.weights is not None
    other = msgspec.structs.replace(other, weights=msgspec.structs.replace(other.weights, sha256="cd" * 32))
    found = changes_between(base, other)
    assert found is not None and found.image_count is None and [one.path for one in found.images] == ["a.jpg"]


def test_runs_on_other_images_are_not_compared() -> None:
    evaluation = make_evaluation()
    data = msgspec.structs.replace(evaluation.data, sha256="ff" * 32)
    assert changes_between(run("a", evaluation), run("b", msgspec.structs.replace(evaluation, data=data))) is None
    assert changes_between(run("a", evaluation), make_document("b")) is None
