"""``etui tag`` of photos: their tags against the same computation without etui, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from etui.cli.main import cli
from etui.errors import EXIT_FAILED, EXIT_USAGE
from etui.task_data.preprocessing import Preprocessing, image_array
from etui.task_data.program_metadata import TaskMetadata, write_metadata
from tests.cli.conftest import Etui
from tests.documents import make_document

PREPROCESSING = Preprocessing((16, 16), resize="stretch")
CATEGORIES = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["tag", *map(str, arguments)])


def tagged(*arguments: str | Path) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program for two images and its weights."""
    from etui.engine.process.preload import preload_prepare

    preload_prepare()
    import torch
    from executorch.exir import to_edge_transform_and_lower

    folder = tmp_path_factory.mktemp("tagging")
    torch.manual_seed(0)
    linear = torch.nn.Linear(12, len(CATEGORIES))
    model = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(), linear).eval()
    exported = torch.export.export(model, (torch.zeros(2, 3, 16, 16),))
    to_edge_transform_and_lower(exported).to_executorch().save(str(folder / "net.pte"))
    np.savez(folder / "net.npz", weight=linear.weight.detach().numpy(), bias=linear.bias.detach().numpy())
    return folder


def program(made: Path, folder: Path, **facts: Any) -> Path:
    """The program with metadata, in its own folder."""
    target = folder / "net.pte"
    target.write_bytes((made / "net.pte").read_bytes())
    given: dict[str, Any] = {"kind": "multi-label", **facts}
    write_metadata(target, TaskMetadata(categories=CATEGORIES, preprocessing=PREPROCESSING, **given), force=True)
    return target


def logits(made: Path, photo: Path) -> np.ndarray:
    pooled = image_array(photo, PREPROCESSING).reshape(3, 2, 8, 2, 8).mean(axis=(2, 4)).reshape(-1)
    with np.load(made / "net.npz") as weights:
        return np.asarray(weights["weight"] @ pooled + weights["bias"])


def photo(path: Path, seed: int, mode: str = "RGB", **options: Any) -> Path:
    values = np.random.default_rng(seed).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).convert(mode).save(path, **options)
    return path


def test_the_tags_of_a_photo_are_the_categories_from_the_threshold_on(made: Path, tmp_path: Path) -> None:
    net = program(made, tmp_path, threshold=0.45)
    photos = [photo(tmp_path / f"{mode}.png", 3, mode) for mode in ("RGB", "L", "P", "RGBA", "1")]
    found = tagged(net, *photos)
    assert (found["threshold"], found["threshold_source"], found["kind"]) == (0.45, "metadata", "multi-label")
    assert [one["path"] for one in found["photos"]] == list(map(str, photos))
    for path, one in zip(photos, found["photos"], strict=True):
        chances = 1 / (1 + np.exp(-logits(made, path)))
        expected = sorted(
            ((name, chance) for name, chance in zip(CATEGORIES, chances, strict=True) if chance >= 0.45),
            key=lambda pair: -pair[1],
        )
        assert [tag["category"] for tag in one["tags"]] == [name for name, _ in expected] != []
        assert [tag["probability"] for tag in one["tags"]] == pytest.approx(
            [chance for _, chance in expected], abs=1e-5
        )
    assert found["infer_s"] > 0 and found["read_s"] > 0 and found["prepare_s"] > 0
    parts = found["infer_s"] + found["wait_s"] + found["other_s"]
    assert parts == pytest.approx(found["duration_s"]) and found["photos_per_s"] == pytest.approx(
        5 / found["duration_s"]
    )


def test_without_a_tag_the_best_category_is_named(made: Path, tmp_path: Path) -> None:
    net = program(made, tmp_path)
    picture = photo(tmp_path / "a.png", 1)
    (one,) = tagged(net, picture, "--threshold", "1")["photos"]
    best = CATEGORIES[int(logits(made, picture).argmax())]
    assert (one["tags"], one["best"]["category"]) == ([], best)
    text = run(net, picture, "--threshold", "1")
    assert f"no category reaches 1; the best is {best}" in text.stdout
    assert len(tagged(net, picture, "--threshold", "0", "--top", "3")["photos"][0]["tags"]) == 3


def test_a_program_for_one_label_has_the_most_probable_classes(made: Path, tmp_path: Path) -> None:
    net = program(made, tmp_path, kind="single-label")
    picture = photo(tmp_path / "a.png", 1)
    values = logits(made, picture)
    chances = np.exp(values) / np.exp(values).sum()
    (one,) = tagged(net, picture)["photos"]
    assert [tag["category"] for tag in one["tags"]] == [CATEGORIES[place] for place in (-values).argsort()[:5]]
    assert one["tags"][0]["probability"] == pytest.approx(float(chances.max()), abs=1e-5)
    rows = list(csv.reader(run(net, picture, "--top", "2", "--csv").stdout.splitlines()))
    assert rows[0] == ["photo", "category", "probability"]
    assert [row[:2] for row in rows[1:]] == [[str(picture), tag["category"]] for tag in one["tags"][:2]]
    refused = run(net, picture, "--threshold", "0.5")
    assert refused.exit_code == EXIT_USAGE and "needs no threshold" in refused.stderr


def test_a_photo_is_rotated_as_its_exif_data_says(made: Path, tmp_path: Path) -> None:
    net = program(made, tmp_path)
    upright = photo(tmp_path / "upright.png", 2)
    turned = tmp_path / "turned.png"
    with Image.open(upright) as picture:
        exif = Image.Exif()
        exif[0x0112] = 8  # to be shown rotated by 90 degrees counterclockwise
        picture.rotate(-90, expand=True).save(turned, exif=exif)
    one, two = tagged(net, upright, turned, "--threshold", "0")["photos"]
    assert one["tags"] == two["tags"]


def test_unreadable_photos_are_named_and_the_others_tagged(made: Path, tmp_path: Path) -> None:
    net = program(made, tmp_path)
    folder = tmp_path / "photos"
    for number in range(11):
        photo(folder / f"{number:02}.png", number)
    expected = {one["path"]: one["tags"] for one in tagged(net, folder, "--threshold", "0")["photos"]}
    broken = [folder / "00.png", folder / "07.png", folder / "10.png"]
    for path in broken:
        path.write_bytes(path.read_bytes()[:60])
    result = run(net, folder, "--threshold", "0", "--json")
    assert result.exit_code == EXIT_FAILED
    for one in json.loads(result.stdout)["photos"]:
        is_broken = Path(one["path"]) in broken
        assert one["tags"] == ([] if is_broken else expected[one["path"]])
        assert (one["error"] is not None) == is_broken
    lines = result.stderr.splitlines()
    assert len(lines) == 3 and all(str(path) in line for path, line in zip(broken, lines, strict=True))
    only = run(net, *broken)
    assert only.exit_code == EXIT_FAILED and "3 photos could not be read" in only.stdout


def test_folders_are_searched_and_what_is_missing_is_refused(made: Path, tmp_path: Path) -> None:
    net = program(made, tmp_path)
    below = photo(tmp_path / "photos" / "a" / "b.PNG", 1, format="PNG")
    photo(tmp_path / "photos" / ".hidden" / "c.png", 1)
    photo(tmp_path / "photos" / ".d.png", 1)
    (tmp_path / "photos" / "notes.txt").write_text("text")
    assert [one["path"] for one in tagged(net, tmp_path / "photos", below)["photos"]] == [str(below)]
    (tmp_path / "empty").mkdir()
    for arguments, reason in (
        ((net,), "no photos given"),
        ((net, tmp_path / "empty"), "has no images"),
        ((net, below, tmp_path / "none.png"), "none.png does not exist"),
        ((tmp_path / "none.pte", below), "is not a file"),
        ((net, below, "--csv", "--json"), "exclude each other"),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (EXIT_USAGE, "") and reason in result.stderr
    (tmp_path / "net.task.json").unlink()
    result = run(net, below)
    assert result.exit_code == EXIT_USAGE and "net.task.json" in result.stderr


def test_runs_are_tagged_as_before_although_a_folder_has_the_name(
    etui: Etui, stored: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(make_document("aaaaaaaaaaa1"), make_document("bbbbbbbbbbb2"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bbbb").mkdir()
    assert etui("tag", "aaaa", "bbbb", "+release").returncode == 0
    assert "release" in etui("tag", "bbbb").stdout
    refused = etui("tag", "aaaa", "--top", "3", "+x")
    assert refused.returncode == EXIT_USAGE and "--top is for photos" in refused.stderr
