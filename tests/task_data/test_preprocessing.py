from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from etui.errors import PreparationError
from etui.task_data.preprocessing import Preprocessing, image_array, open_picture

PLAIN = Preprocessing((4, 6), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def two_halves(width: int = 6, height: int = 4) -> Image.Image:
    """Red on the left, blue on the right."""
    values = np.zeros((height, width, 3), np.uint8)
    values[:, : width // 2, 0] = 255
    values[:, width // 2 :, 2] = 255
    return Image.fromarray(values)


def test_an_image_of_the_size_is_only_normalized(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    prepared = Preprocessing((4, 6), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    found = image_array(tmp_path / "a.png", prepared)
    assert found.shape == (3, 4, 6) and found.dtype == np.float32 and found.flags["C_CONTIGUOUS"]
    expected = (values / 255 - np.array([0.1, 0.2, 0.3])) / np.array([0.5, 0.25, 2.0])
    np.testing.assert_allclose(found, expected.transpose(2, 0, 1), atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int) -> None:
    stored = two_halves()
    undone = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    if undone is not None:
        stored = stored.transpose(undone)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    found = image_array(tmp_path / "a.png", PLAIN)
    assert found[0, :, :3].min() == 1 and found[2, :, 3:].min() == 1 and found[0, :, 3:].max() == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_any_mode_becomes_the_same_three_channels(tmp_path: Path, mode: str) -> None:
    grey = np.zeros((4, 6), np.uint8)
    grey[:, 3:] = 255
    picture = Image.fromarray(grey)
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "I":
        picture = Image.fromarray(grey.astype(np.int32) * 257)
    elif mode == "F":
        picture = Image.fromarray(grey.astype(np.float32) / 255)
    elif mode != "L":
        picture = (picture.convert("RGB") if mode in {"CMYK", "YCbCr"} else picture).convert(mode)
    assert picture.mode == mode
    file = tmp_path / ("a.tif" if mode in {"CMYK", "YCbCr", "I", "F"} else "a.png")
    picture.save(file)
    np.testing.assert_allclose(image_array(file, PLAIN), np.broadcast_to(grey / 255, (3, 4, 6)), atol=0.01)


def test_middle_values_of_deep_modes_are_scaled(tmp_path: Path) -> None:
    deep: dict[str, np.ndarray] = {
        "16": np.full((4, 6), 100 * 257, np.uint16),
        "float": np.full((4, 6), 100 / 255, np.float32),
        "large float": np.full((4, 6), 100.0, np.float32),
    }
    for name, values in deep.items():
        Image.fromarray(values).save(tmp_path / f"{name}.tif")
        assert open_picture(tmp_path / f"{name}.tif").getpixel((0, 0)) == (100, 100, 100)


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    picture = two_halves().convert("RGBA")
    picture.putalpha(0)
    picture.save(tmp_path / "a.png")
    assert image_array(tmp_path / "a.png", PLAIN).min() == 1
    indexed = two_halves().convert("P")
    indexed.save(tmp_path / "b.png", transparency=indexed.getpixel((0, 0)))
    found = image_array(tmp_path / "b.png", PLAIN)
    assert found[:, :, :3].min() == 1 and found[0, :, 3:].max() == 0


def test_an_image_of_another_shape_is_cropped_or_stretched(tmp_path: Path) -> None:
    values = np.zeros((4, 24, 3), np.uint8)
    values[:, :9] = 255  # beyond the centre, which has 6 columns: 9 to 14
    Image.fromarray(values).save(tmp_path / "a.png")
    assert image_array(tmp_path / "a.png", PLAIN).max() == 0
    stretched = image_array(tmp_path / "a.png", Preprocessing((4, 6), PLAIN.mean, PLAIN.std, resize="stretch"))
    assert stretched.shape == (3, 4, 6) and stretched[:, :, 0].min() == 1 and stretched[:, :, 5].max() == 0


def test_damaged_files_are_explained(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for suffix in ("jpg", "png", "webp", "bmp", "tif"):
        whole = tmp_path / f"whole.{suffix}"
        Image.fromarray(noise).save(whole)
        image_array(whole, PLAIN)
        for share in (0.0, 0.01, 0.1, 0.5):
            cut = tmp_path / f"cut.{suffix}"
            cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
            with pytest.raises(PreparationError, match="cut"):
                image_array(cut, PLAIN)
    with pytest.raises(PreparationError, match="does not exist"):
        image_array(tmp_path / "absent.png", PLAIN)
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(PreparationError, match="not an image"):
        image_array(tmp_path / "text.png", PLAIN)
