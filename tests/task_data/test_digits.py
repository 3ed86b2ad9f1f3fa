from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from etui.errors import UsageError
from etui.files.package_data import sample_photos
from etui.task_data.digits import make_digits, split_sources
from etui.task_data.reading import open_labelled_images, splits_of


def content_of(folder: Path, split: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "annotations" / f"instances_{split}.json").read_text())
    return content


def test_the_splits_are_valid_and_have_every_class(digits: Path) -> None:
    assert splits_of(digits) == ("test", "train", "val")
    counts = {}
    for split in splits_of(digits):
        data = open_labelled_images(digits, split)
        assert data.categories == tuple("0123456789") and data.kind == "multi-label"
        assert {label for image in data.images for label in image.labels} == set(range(10))
        assert all(list(image.labels) == sorted(image.labels) for image in data.images)
        counts[split] = len(data.images)
    assert counts == {"train": 56, "val": 12, "test": 12}


def test_sizes_and_numbers_of_digits_vary_and_boxes_are_inside_and_apart(digits: Path) -> None:
    sizes, numbers = set(), set()
    content = content_of(digits, "train")
    for image in content["images"]:
        with Image.open(digits / "train" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
            sizes.add(picture.size)
        boxes = [one["bbox"] for one in content["annotations"] if one["image_id"] == image["id"]]
        numbers.add(len(boxes))
        covered = np.zeros((image["height"], image["width"]), int)
        for x, y, width, height in boxes:
            assert x >= 0 and y >= 0 and x + width <= image["width"] and y + height <= image["height"]
            covered[y : y + height, x : x + width] += 1
        assert covered.max() == 1
    assert len(sizes) > 20 and numbers == {1, 2, 3}


def test_the_same_arguments_give_the_same_bytes(digits: Path, tmp_path: Path) -> None:
    def content(folder: Path) -> dict[str, bytes]:
        return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    make_digits(tmp_path / "again", images=80, size=48, seed=5)
    assert content(tmp_path / "again") == content(digits)
    make_digits(tmp_path / "other", images=80, size=48, seed=6)
    assert not set(content(tmp_path / "other").values()) & set(content(digits).values())


def test_splits_share_no_digit_and_no_pixel_of_a_photo() -> None:
    sources = split_sources(seed=5)
    seen: dict[bytes, str] = {}
    for split, source in sources.items():
        for mask in [mask for found in source.digits for mask in found]:
            assert seen.setdefault(mask.tobytes(), split) == split
    assert len(seen) > 1700
    for place, name in enumerate(("china.jpg", "flower.jpg")):
        parts = [np.asarray(source.photos[place]) for source in sources.values()]
        whole = np.concatenate(parts, axis=1)
        path = next(path for path in sample_photos() if path.name == name)
        with Image.open(path) as photo:
            np.testing.assert_array_equal(whole, np.asarray(photo.convert("RGB")))


def test_the_images_show_what_the_annotations_say(digits: Path) -> None:
    """Digits are cut out by their boxes and recognised by their nearest neighbours among the training split's."""

    def crops(split: str) -> tuple[np.ndarray, np.ndarray]:
        content = content_of(digits, split)
        values, labels = [], []
        for one in content["annotations"]:
            x, y, width, height = one["bbox"]
            with Image.open(digits / split / content["images"][one["image_id"] - 1]["file_name"]) as picture:
                cut = np.asarray(picture.convert("L").crop((x, y, x + width, y + height)).resize((8, 8)), float)
            cut = (cut - cut.mean()) / (cut.std() + 1)
            values.append(cut.ravel())
            labels.append(one["category_id"] - 1)
        return np.array(values), np.array(labels)

    train, train_labels = crops("train")
    test, test_labels = crops("test")
    # A digit may be brighter or darker than its background.
    nearest = np.abs(test @ train.T).argmax(axis=1)
    assert (train_labels[nearest] == test_labels).mean() > 0.4  # 0.1 by chance


def test_a_folder_with_files_is_not_touched(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_text("mine")
    with pytest.raises(UsageError, match="already exists"):
        make_digits(tmp_path / "mine", images=80, size=48, seed=0)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "photo.jpg"]
    with pytest.raises(UsageError, match="5 images"):
        make_digits(tmp_path / "few", images=5, size=48, seed=0)


def test_an_interrupted_data_set_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_digits(tmp_path / "digits", images=80, size=48, seed=0, progress=interrupt)
    assert not list(tmp_path.iterdir())
