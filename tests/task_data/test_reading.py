from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from etui.errors import PreparationError, UsageError
from etui.task_data.labelled_images import LabelledImages, split_images
from etui.task_data.reading import open_labelled_images, splits_of


def picture(path: Path, colour: tuple[int, int, int] = (10, 20, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), colour).save(path)
    return path


def coco(folder: Path, split: str, content: dict[str, object]) -> None:
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def example(folder: Path, split: str = "val2017", images: str = "val2017") -> dict[str, object]:
    for number in (1, 2, 3):
        picture(folder / images / f"{number}.png", (number, 0, 0))
    content: dict[str, object] = {
        "images": [{"id": number, "file_name": f"{number}.png", "width": 8, "height": 6} for number in (3, 1, 2)],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 90, "bbox": [0, 0, 2, 2], "iscrowd": 0},
            {"id": 2, "image_id": 1, "category_id": 7, "bbox": [0, 0, 2, 2], "iscrowd": 1},
            {"id": 3, "image_id": 1, "category_id": 90, "bbox": [1, 0, 2, 2]},
            {"id": 4, "image_id": 3, "category_id": 7, "bbox": [0, 0, 2, 2]},
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 7, "name": "train"}, {"id": 8, "name": "boat"}],
    }
    coco(folder, split, content)
    return content


def labels(data: LabelledImages) -> dict[str, tuple[int, ...]]:
    return {image.path: image.labels for image in data.images}


@pytest.mark.parametrize("place", ["val2017", "images/val2017", "images", "."])
def test_coco_annotations_are_sets_of_categories_in_the_order_of_their_ids(tmp_path: Path, place: str) -> None:
    example(tmp_path, images=place)
    data = open_labelled_images(tmp_path, "val")
    prefix = "" if place == "." else f"{place}/"
    assert (data.kind, data.name, data.split) == ("multi-label", tmp_path.name, "val2017")
    assert data.categories == ("train", "boat", "toothbrush")
    assert labels(data) == {f"{prefix}1.png": (0, 2), f"{prefix}2.png": (), f"{prefix}3.png": (0,)}
    assert open_labelled_images(tmp_path, None) == data


def test_folders_are_categories_with_one_label(tmp_path: Path) -> None:
    picture(tmp_path / "dog" / "a.JPG")
    picture(tmp_path / "dog" / "more" / "b.png")
    picture(tmp_path / "cat" / "a.jpg")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "dog" / ".hidden.jpg").write_text("not an image")
    picture(tmp_path / "dog" / ".ipynb_checkpoints" / "copy.png")
    data = open_labelled_images(tmp_path, None)
    assert (data.kind, data.split, data.categories) == ("single-label", None, ("cat", "dog"))
    assert labels(data) == {"cat/a.jpg": (0,), "dog/a.JPG": (1,), "dog/more/b.png": (1,)}
    assert splits_of(tmp_path) == ()


def test_links_are_followed_but_not_in_circles_and_hidden_entries_are_ignored(tmp_path: Path) -> None:
    data = tmp_path / "data"
    picture(data / "cat" / "a.png")
    picture(data / "cat" / ".b.png")
    picture(data / "cat" / ".copies" / "c.png")
    picture(tmp_path / "elsewhere" / "d.png")
    (data / "cat" / "circle").symlink_to(data, target_is_directory=True)
    (data / "cat" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (data / "dog").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (data / ".trash").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    found = open_labelled_images(data, None)
    assert labels(found) == {"cat/a.png": (0,), "cat/more/d.png": (0,), "dog/d.png": (1,)}
    (data / "dog").unlink()
    (data / "dog").mkdir()
    (data / "dog" / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    with pytest.raises(PreparationError, match=r"dog/gone\.jpg"):
        open_labelled_images(data, None)


def test_a_category_has_the_same_index_in_all_splits(tmp_path: Path) -> None:
    for name in ("ant", "bee", "cow"):
        picture(tmp_path / "train" / name / "a.png")
    picture(tmp_path / "val" / "cow" / "a.png")
    assert splits_of(tmp_path) == ("train", "val")
    assert labels(open_labelled_images(tmp_path, "val")) == {"val/cow/a.png": (2,)}
    with pytest.raises(UsageError, match="train, val"):
        open_labelled_images(tmp_path, None)
    with pytest.raises(UsageError, match="no split test"):
        open_labelled_images(tmp_path, "test")


def test_the_beginning_of_two_splits_selects_neither(tmp_path: Path) -> None:
    example(tmp_path, "val2014", "images")
    example(tmp_path, "val2017", "images")
    with pytest.raises(UsageError, match="val2014, val2017"):
        open_labelled_images(tmp_path, "val")


def test_the_hash_depends_on_content_labels_and_categories_only(tmp_path: Path) -> None:
    content = example(tmp_path / "one")
    first = open_labelled_images(tmp_path / "one", None).sha256
    example(tmp_path / "two")
    assert open_labelled_images(tmp_path / "two", None).sha256 == first
    picture(tmp_path / "two" / "val2017" / "2.png", (99, 0, 0))
    assert open_labelled_images(tmp_path / "two", None).sha256 != first
    for field in ("annotations", "categories"):
        changed = json.loads(json.dumps(content))
        if field == "annotations":
            changed[field].pop()
        else:
            changed[field][0]["name"] = "brush"
        coco(tmp_path / "one", "val2017", changed)
        assert open_labelled_images(tmp_path / "one", None).sha256 != first


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    example(tmp_path)
    (tmp_path / "val2017" / "2.png").unlink()
    with pytest.raises(PreparationError, match=r"lacks 1 image .*val2017/2\.png"):
        open_labelled_images(tmp_path, None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"images": {}}, "images"),
        ({"images": []}, "no images"),
        ({"categories": []}, "no categories"),
        ({"annotations": [{"image_id": 1, "category": 3}]}, "category_id"),
        ({"annotations": [{"image_id": 9, "category_id": 7}]}, "image 9"),
        ({"annotations": [{"image_id": 1, "category_id": 4}]}, "category 4"),
        ({"images": [{"id": 1, "file_name": "../../secret.png"}]}, "not a path below"),
        ({"images": [{"id": 1, "file_name": "/etc/passwd"}]}, "not a path below"),
        ({"images": [{"id": 1, "file_name": "1.png"}, {"id": 1, "file_name": "2.png"}]}, "image id 1 twice"),
        ({"categories": [{"id": 7, "name": "a"}, {"id": 8, "name": "a"}]}, "category a twice"),
        ({"images": [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "./1.png"}]}, "image 1.png twice"),
    ],
)
def test_annotations_of_another_shape_are_explained(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    content = example(tmp_path)
    if "images" in change or "categories" in change:
        content["annotations"] = []
    coco(tmp_path, "val2017", content | change)
    with pytest.raises(PreparationError, match=reason):
        open_labelled_images(tmp_path, None)


def test_annotations_that_are_not_json_are_explained(tmp_path: Path) -> None:
    example(tmp_path)
    for damaged in (b"", b"\xff\xfe", b"[" * 100_000, b'{"images": [1, '):
        (tmp_path / "annotations" / "instances_val2017.json").write_bytes(damaged)
        with pytest.raises(PreparationError, match="annotations"):
            open_labelled_images(tmp_path, None)


def test_folders_without_labelled_images_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "flat" / "a.png")
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "flat", tmp_path / "empty", tmp_path / "absent", tmp_path / "flat" / "a.png"):
        with pytest.raises(UsageError):
            open_labelled_images(folder, None)


def test_splits_are_made_by_seed_and_content(tmp_path: Path) -> None:
    for number in range(40):
        picture(tmp_path / f"category{number % 2}" / f"{number}.png", (number // 2, 0, 0))  # each content twice
    data = open_labelled_images(tmp_path, None)
    fractions = {"train": 0.775, "val": 0.125, "test": 0.1}  # 31 images would divide two that are the same
    parts = split_images(data, fractions, seed=3)
    assert {name: len(part.images) for name, part in parts.items()} == {"train": 32, "val": 4, "test": 4}
    assert {image for part in parts.values() for image in part.images} == set(data.images)
    contents = [{image.sha256 for image in part.images} for part in parts.values()]
    assert not contents[0] & contents[1] and not contents[0] & contents[2] and not contents[1] & contents[2]
    assert parts == split_images(data, fractions, seed=3)
    assert parts["val"].images != split_images(data, fractions, seed=4)["val"].images
    assert len({part.sha256 for part in parts.values()} | {data.sha256}) == 4
    with pytest.raises(UsageError):
        split_images(data, {"train": 0.8, "val": 0.1}, seed=3)
    with pytest.raises(UsageError, match="too few"):
        split_images(data, {"train": 0.99, "val": 0.01}, seed=3)
