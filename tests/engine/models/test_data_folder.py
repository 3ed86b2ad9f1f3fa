"""Inputs from a folder: images, tensors by name and JSON lines, each used once, and refused in one line if they do not
fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import etui
from etui.catalog.models import MODELS, ImageRecipe
from etui.catalog.torchvision_models import torchvision_model
from etui.catalog.torchvision_names import NAMES
from etui.engine.models.bundle import Bundle
from etui.engine.models.call_structure import Inputs, flat_call, plain_structure
from etui.engine.models.data_folder import Target, file_preprocessing, read_folder, read_image
from etui.engine.models.inputs import catalog_target
from etui.engine.models.torchvision_shim import prepare_torchvision
from etui.engine.models.user_inputs import content
from etui.engine.runtime.execution import load_program
from etui.errors import EtuiError, PreparationError, UsageError
from etui.jobs import BundleResult
from tests.engine.conftest import TINY, Workshop
from tests.models_zoo import zoo

ZOO = Path(zoo.__file__)


class Pair(nn.Module):
    """Takes a picture and a mask."""

    def forward(self, picture: torch.Tensor, *, mask: torch.Tensor) -> torch.Tensor:
        return picture.mean() + mask.sum()


def pair(tokenize: Callable[[str], Inputs] | None = None) -> Target:
    tensors, structure = flat_call(etui.Args(torch.zeros(1, 3), mask=torch.zeros(2, dtype=torch.long)), "pair")
    return Target(tensors, structure, "pair", module=Pair(), tokenize=tokenize)


def pictures(folder: Path, count: int) -> Path:
    for number in range(count):
        place = folder / ("cats" if number % 2 else "dogs")
        place.mkdir(parents=True, exist_ok=True)
        shade = numpy.full((20, 30, 3), 10 * number, dtype=numpy.uint8)
        Image.fromarray(shade).save(place / f"{number}.png")
    return folder


def bundle_of(workshop: Workshop, model: str, folder: Path, **options: object) -> tuple[BundleResult, Bundle]:
    result = workshop.bundle(model, data=str(folder), **options)
    return result, Bundle.open(Path(result.path), model)


def test_images_become_disjoint_inputs_of_the_models_shape(workshop: Workshop, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pictures", 9)
    (folder / "notes.txt").write_text("other files are ignored")
    result, bundle = bundle_of(workshop, f"{TINY}:convolutional", folder)
    inputs = [*bundle.inputs(), *bundle.calibration()]
    assert [list(one[0].shape) for one in inputs] == [[1, 3, 16, 16]] * 5
    assert len({content(one) for one in inputs}) == 5
    assert result.inputs.kind == "data" and str(folder) in result.inputs.detail
    assert (result.inputs.accuracy_count, result.inputs.calibration_count) == (3, 2)
    assert result.inputs.accuracy_sha256 != result.inputs.calibration_sha256 and result.inputs.split


def test_changed_file_gives_another_bundle_and_the_same_files_the_same(workshop: Workshop, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pictures", 5)
    model = f"{TINY}:convolutional"
    first = workshop.bundle(model, data=str(folder))
    assert workshop.bundle(model, data=str(folder)).key == first.key
    assert workshop.bundle(model, data=str(folder), seed=1).key != first.key
    assert workshop.bundle(model).key != first.key
    Image.new("RGB", (20, 20), (200, 100, 50)).save(folder / "dogs" / "0.png")
    assert workshop.bundle(model, data=str(folder)).key != first.key


@pytest.mark.slow
def test_changed_file_gives_another_bundle_of_a_catalog_model(workshop: Workshop, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pictures", 5)
    first, bundle = bundle_of(workshop, "mobilenet_v2", folder, weights="synthetic")
    assert list(bundle.inputs()[0][0].shape) == [1, 3, 224, 224]
    Image.new("RGB", (20, 20), (200, 100, 50)).save(folder / "dogs" / "0.png")
    again, _ = bundle_of(workshop, "mobilenet_v2", folder, weights="synthetic")
    assert again.key != first.key and again.inputs.sha256 != first.inputs.sha256


def test_batch_of_a_model_is_filled_with_different_images(workshop: Workshop, tmp_path: Path) -> None:
    _, bundle = bundle_of(workshop, f"{ZOO}:batch_of_eight", pictures(tmp_path / "pictures", 20))
    (first, *_), (second, *_) = bundle.inputs()[0], bundle.calibration()[0]
    images = [*first, *second]
    assert len({content((image.contiguous(),)) for image in images}) == 16


def test_image_is_resized_to_cover_the_size_and_normalized(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), (255, 0, 0)).save(tmp_path / "red.png")
    image = read_image(tmp_path / "red.png", 3, file_preprocessing(ImageRecipe(size=8), None, (8, 12)))
    assert image.shape == (1, 3, 8, 12)
    assert image[0, :, 0, 0].tolist() == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    grey = read_image(tmp_path / "red.png", 1, file_preprocessing(ImageRecipe(size=4), None, (4, 4)))
    assert grey.shape == (1, 1, 4, 4) and 0 < float(grey.mean()) < 1


def test_a_photo_is_rotated_as_its_exif_data_says(tmp_path: Path) -> None:
    upright = Image.new("RGB", (8, 8), "black")
    upright.paste("white", (0, 0, 8, 4))  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "stored.png", exif=exif)
    for channels in (1, 3):
        prepared = file_preprocessing(ImageRecipe(size=8, normalization="none"), None, (8, 8))
        image = read_image(tmp_path / "stored.png", channels, prepared)
        assert image[0, :, :4].min() == 1 and image[0, :, 4:].max() == 0


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2", "efficientnet_b0", "vit_b_16", "swin_t"])
@pytest.mark.parametrize("size", [(300, 201), (199, 333), (500, 270)])
def test_images_are_prepared_as_for_the_published_accuracy(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    prepare_torchvision()
    from torchvision.models import get_model_weights

    values = numpy.random.default_rng(0).integers(0, 255, (*size, 3), dtype=numpy.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    expected = get_model_weights(name).DEFAULT.transforms()(Image.open(tmp_path / "a.png"))
    model = torchvision_model(name)
    assert model is not None and model.image is not None
    prepared = file_preprocessing(model.image, model.resize, (model.image.size, model.image.size))
    torch.testing.assert_close(read_image(tmp_path / "a.png", 3, prepared)[0], expected, atol=1e-5, rtol=0)


def test_the_table_of_torchvision_has_the_resizing_of_the_published_weights() -> None:
    prepare_torchvision()
    from torchvision.models import get_model_weights

    for name, row in NAMES.items():
        model = torchvision_model(name)
        assert model is not None
        if row.task == "classification":
            transforms = get_model_weights(name).DEFAULT.transforms()
            assert model.resize is not None
            found = (model.resize.shorter_side, model.resize.interpolation)
            assert found == (transforms.resize_size[0], transforms.interpolation.value), name
        else:
            assert model.resize is None


def write_npz(folder: Path, number: int, **arrays: Any) -> None:
    numpy.savez(folder / f"{number}.npz", **arrays)


def test_tensors_are_found_by_the_names_of_the_arguments(tmp_path: Path) -> None:
    for number in range(3):
        mask, picture = numpy.array([number, 1]), numpy.full((1, 3), number / 2)
        write_npz(tmp_path, number, mask=mask, picture=picture, unused=mask)
    found = read_folder(tmp_path, pair(), 8, 0).inputs
    assert len(found) == 3
    for picture_tensor, mask_tensor in found:
        assert picture_tensor.dtype == torch.float32 and mask_tensor.dtype == torch.long
        assert float(picture_tensor[0, 0]) * 2 == int(mask_tensor[0])


def test_numbered_tensors_are_taken_in_their_order(tmp_path: Path) -> None:
    for number in range(2):
        tensors = {"1": torch.full((1, 3), float(number)), "2": torch.tensor([number, 0])}
        save_file(tensors, tmp_path / f"{number}.safetensors")
    found = read_folder(tmp_path, pair(), 8, 0).inputs
    assert sorted(int(mask[0]) for _, mask in found) == [0, 1]


def test_many_numbered_tensors_are_ordered_by_number(tmp_path: Path) -> None:
    example = tuple(torch.zeros(1) for _ in range(12))
    for number in range(2):
        numpy.savez(tmp_path / f"{number}.npz", *[numpy.full(1, place + 100.0 * number) for place in range(12)])
    target = Target(example, plain_structure(12), "twelve")
    for tensors in read_folder(tmp_path, target, 8, 0).inputs:
        assert [float(tensor) % 100 for tensor in tensors] == list(range(12))


def test_tensors_under_other_names_are_refused_instead_of_exchanged(tmp_path: Path) -> None:
    tokens, mask = torch.full((1, 4), 7), torch.ones(1, 4, dtype=torch.long)
    target = Target((tokens, mask), plain_structure(2), "text", names=("input_ids", "attention_mask"))
    rows = [{"attention_mask": [[1, 1, 1, 0]], "input_ids": [[number, 5, 6, 0]]} for number in range(2)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for ids, real in read_folder(tmp_path, target, 8, 0).inputs:
        assert ids[0, 1:].tolist() == [5, 6, 0] and real.tolist() == [[1, 1, 1, 0]]
    with pytest.raises(PreparationError, match="takes 0, 1"):
        read_folder(tmp_path, target._replace(names=()), 8, 0)


def test_catalog_target_has_the_names_of_its_arguments() -> None:
    target = catalog_target(MODELS["distilbert"], None, 0)
    assert target.names == ("input_ids", "attention_mask") and len(target.example) == 2
    assert catalog_target(MODELS["mobilenet_v2"], None, 0).names == ("pixel_values",)


def test_copies_of_an_image_are_in_one_batch_only(tmp_path: Path) -> None:
    for number in range(8):
        for copy in range(3):
            Image.new("RGB", (8, 8), (30 * number, 0, 0)).save(tmp_path / f"{number}-{copy}.png")
    target = Target((torch.zeros(2, 3, 8, 8),), plain_structure(1), "pairs")
    found = read_folder(tmp_path, target, 8, 0).inputs
    images = [content((image.contiguous(),)) for (batch,) in found for image in batch]
    assert len(found) == 4 and len(set(images)) == 8


def test_json_lines_have_tensors_or_texts(tmp_path: Path) -> None:
    rows = [{"picture": [[number, 0.5, 1]], "mask": [number, 2]} for number in range(3)]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    assert len(read_folder(tmp_path, pair(), 8, 0).inputs) == 3

    def tokenize(text: str) -> Inputs:
        return torch.full((1, 3), float(len(text))), torch.tensor([len(text), 0])

    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n{"text": "three"}\n{"text": "six"}\n')
    found = read_folder(tmp_path, pair(tokenize=tokenize), 8, 0).inputs
    assert sorted(int(mask[0]) for _, mask in found) == [3, 5]  # equal inputs are used once
    with pytest.raises(PreparationError, match=r"line \d.*pair has no tokenizer"):
        read_folder(tmp_path, pair(), 8, 0)


def one_input(folder: Path) -> None:
    for number in range(3):
        write_npz(folder, number, mask=numpy.zeros(2, dtype=int), picture=numpy.zeros((1, 3)))


def wrong_shape(folder: Path) -> None:
    write_npz(folder, 0, mask=numpy.zeros(2, dtype=int), picture=numpy.zeros((1, 4)))


def wrong_names(folder: Path) -> None:
    write_npz(folder, 0, masks=numpy.zeros(2, dtype=int), picture=numpy.zeros((1, 3)))


def wrong_dtype(folder: Path) -> None:
    write_npz(folder, 0, mask=numpy.zeros(2), picture=numpy.zeros((1, 3)))


def pickled(folder: Path) -> None:
    numpy.savez(folder / "0.npz", mask=numpy.array([{}, {}], dtype=object))


def damaged(folder: Path) -> None:
    (folder / "0.safetensors").write_bytes(b"nothing")


def not_json(folder: Path) -> None:
    (folder / "0.jsonl").write_text("{\n")


def not_numbers(folder: Path) -> None:
    (folder / "0.jsonl").write_text('{"mask": [1, "two"], "picture": 3}\n')


def an_image(folder: Path) -> None:
    Image.new("RGB", (4, 4)).save(folder / "0.png")


def two_kinds(folder: Path) -> None:
    an_image(folder)
    not_json(folder)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _folder: None, "has no images"),
        (two_kinds, "has images and JSON lines"),
        (one_input, "has 1 usable input for pair"),
        (wrong_shape, r"picture of shape \[1, 4\], but pair takes \[1, 3\]"),
        (wrong_names, "has masks, picture, but pair takes picture, mask"),
        (wrong_dtype, "mask of dtype float64, but pair takes int64"),
        (pickled, "cannot read .*0.npz"),
        (damaged, "cannot read .*0.safetensors"),
        (not_json, "line 1 is not JSON"),
        (not_numbers, "line 1 has values that are not numbers"),
        (an_image, "no input that is an image"),
    ],
)
def test_files_that_do_not_fit_are_named_in_one_line(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path)
    with pytest.raises(EtuiError, match=message) as refused:
        read_folder(tmp_path, pair(), 8, 0)
    assert "\n" not in str(refused.value) and refused.value.hint


def test_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_folder(tmp_path / "none", pair(), 8, 0)


@pytest.mark.slow
def test_calibration_on_other_images_changes_the_quantized_program(workshop: Workshop, tmp_path: Path) -> None:
    model = f"{TINY}:convolutional"
    errors: dict[str, float] = {}
    hashes = set()
    evaluated: Bundle | None = None
    for name, brightness in (("bright", 25), ("dark", 1)):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(6):
            Image.new("RGB", (20, 20), (brightness * number, 120 // (26 - brightness), 0)).save(
                folder / f"{number}.png"
            )
        result, bundle = bundle_of(workshop, model, folder)
        evaluated = evaluated or bundle
        lowered = workshop.lower(model, result, "int8")
        program = load_program(Path(lowered.path), "xnnpack", 1)
        outputs = [program.tensors(program(program.fit(tensors)))[0] for tensors in evaluated.inputs()]
        pairs = zip(outputs, evaluated.reference(), strict=True)
        errors[name] = sum(float((output - reference[0]).pow(2).sum()) for output, reference in pairs)
        hashes.add((lowered.artifact.sha256, result.inputs.calibration_sha256))
        Path(lowered.path).parent.rename(tmp_path / f"program-{name}")
    assert len(hashes) == 2
    assert errors["dark"] > 10 * errors["bright"]
