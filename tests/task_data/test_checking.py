from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from etui.task_data.checking import DataCheck, check_data


@pytest.fixture
def copy(digits: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(digits, tmp_path / "copy"))


def found(check: DataCheck) -> list[tuple[str, str, str | None, int]]:
    return [(problem.level, problem.problem, problem.split, problem.count) for problem in check.problems]


def change(folder: Path, split: str, change: dict[str, Any]) -> None:
    path = folder / "annotations" / f"instances_{split}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_the_counts_are_those_of_the_annotations(digits: Path) -> None:
    check = check_data(digits)
    assert check.problems == [] and not check.has_errors
    assert check.kind == "multi-label" and check.categories == list("0123456789")
    facts = {one.split: one for one in check.splits}
    content = json.loads((digits / "annotations" / "instances_val.json").read_text())
    pairs = {(one["image_id"], one["category_id"]) for one in content["annotations"]}
    assert facts["val"].by_category == [sum(category == place + 1 for _, category in pairs) for place in range(10)]
    assert sum(labels * images for labels, images in facts["val"].by_labels.items()) == len(pairs)
    widths = sorted(image["width"] for image in content["images"])
    assert facts["val"].width is not None
    assert (facts["val"].width.least, facts["val"].width.most) == (widths[0], widths[-1])
    assert facts["val"].size_bytes == sum(file.stat().st_size for file in (digits / "val").iterdir())
    assert [one.images for one in check_data(digits, "te").splits] == [12]


def test_missing_truncated_and_wrong_images_are_errors(copy: Path) -> None:
    (copy / "val" / "000001.jpg").unlink()
    truncated = copy / "train" / "000002.jpg"
    truncated.write_bytes(truncated.read_bytes()[:-600])
    (copy / "train" / "000003.jpg").write_text("not an image")
    check = check_data(copy)
    assert found(check) == [("error", "unreadable", "train", 2), ("error", "missing", "val", 1)]
    assert check.has_errors
    assert check.problems[0].examples == [
        "train/000002.jpg (truncated)", "train/000003.jpg (not an image that can be read)",
    ]  # fmt: skip
    assert check.problems[1].examples == ["val/000001.jpg"]
    assert {one.split: one.readable for one in check.splits} == {"train": 54, "val": 11, "test": 12}


def test_unusable_annotations_of_one_split_do_not_hide_the_others(copy: Path) -> None:
    change(copy, "val", {"annotations": [{"image": 3}]})
    check = check_data(copy)
    assert found(check) == [("error", "annotations", "val", 1)]
    assert [one.split for one in check.splits] == ["test", "train"]


def test_different_categories_of_splits_are_an_error(copy: Path) -> None:
    content = json.loads((copy / "annotations" / "instances_val.json").read_text())
    change(copy, "val", {"categories": [*content["categories"], {"id": 11, "name": "ten"}]})
    check = check_data(copy)
    assert found(check) == [("error", "categories", "val", 1), ("warning", "no positives", "val", 1)]
    assert check.problems[0].examples == ["ten"]


def test_a_category_without_an_image_is_a_warning(copy: Path) -> None:
    content = json.loads((copy / "annotations" / "instances_train.json").read_text())
    change(copy, "train", {"annotations": [one for one in content["annotations"] if one["category_id"] != 4]})
    check = check_data(copy)
    assert found(check) == [("warning", "no positives", "train", 1)] and not check.has_errors
    assert check.problems[0].examples == ["3"]


def test_duplicates_within_and_across_splits_are_warnings(tmp_path: Path) -> None:
    for number, path in enumerate(("train/cat/a", "train/cat/b", "train/dog/c", "val/cat/d", "val/dog/e")):
        file = tmp_path / f"{path}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(file)
    shutil.copy(tmp_path / "train/cat/a.png", tmp_path / "train/dog/copy.png")
    shutil.copy(tmp_path / "train/cat/b.png", tmp_path / "val/cat/other name.png")
    check = check_data(tmp_path)
    assert check.kind == "single-label" and not check.has_errors
    assert found(check) == [
        ("warning", "duplicates", "train", 1), ("warning", "duplicates across splits", None, 1),
    ]  # fmt: skip
    assert check.problems[0].examples == ["train/cat/a.png = train/dog/copy.png"]
    assert "1 of them with different labels" in check.problems[0].message
    assert check.problems[1].examples == ["train/cat/b.png = val/cat/other name.png"]


def test_progress_counts_every_image(digits: Path) -> None:
    calls: list[tuple[int, int]] = []
    check_data(digits, progress=lambda done, of: calls.append((done, of)))
    assert calls == [(number + 1, 80) for number in range(80)]
