"""Make a small real data set in COCO's format: handwritten digits on regions of photos."""

from __future__ import annotations

import gzip
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from etui.errors import StoreError, UsageError
from etui.files.package_data import sample_digits, sample_photos
from etui.text import plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPLITS = {"train": 0.7, "val": 0.15, "test": 0.15}
"""The share of the images, of the handwritten digits and of the width of each photo that a split has."""

CLASSES = 10
LEAST_IMAGES, MOST_IMAGES = 70, 100_000
LEAST_SIZE, MOST_SIZE = 32, 512

_MOST_DIGITS = 3
_SIDES = (0.75, 1.25)
_SCALES = (0.4, 0.55)
"""Side of a digit as a share of the shorter side of its image."""

_ROTATION_DEGREES = 15.0
_REGIONS = (0.5, 1.0)
"""Side of the region of a photo that becomes a background, as a share of the largest that fits."""

_BACKGROUND_CONTRAST = 0.5
"""What the contrast of a background is multiplied with, so that a digit is not lost in it."""

_TRIES = 30
_CONTRAST = 110
_JPEG_QUALITY = 95


class Sources(NamedTuple):
    """What the images of one split are made of: its digits as masks of 8x8 pixels from 0 to 255, by class, and its
    parts of the photos."""

    digits: list[list[Any]]
    photos: list[Any]


class MadeDigits(msgspec.Struct, frozen=True):
    """The number of images and of digits on them, by split."""

    images: dict[str, int]
    digits: dict[str, int]


def make_digits(
    folder: Path, images: int, size: int, seed: int, progress: Callable[[int], None] = lambda done: None
) -> MadeDigits:
    """Write a data set into a new folder, whole or not at all.

    Width and height of an image vary from 0.75 to 1.25 times ``size`` pixels; it has one to three digits, which do not
    overlap. Splits share neither a handwritten digit nor a pixel of a photo. Every class is in every split. The same
    arguments give the same bytes with the same versions of Pillow and scikit-learn. ``progress`` is called with the
    number of images that are written.

    Raises:
        UsageError: the folder exists and is not empty, or a number is out of range.
        StoreError: the folder cannot be written.
    """
    if not LEAST_IMAGES <= images <= MOST_IMAGES or not LEAST_SIZE <= size <= MOST_SIZE:
        raise UsageError(
            f"{images} images of {size} pixels cannot be made",
            f"{LEAST_IMAGES} to {MOST_IMAGES} images of {LEAST_SIZE} to {MOST_SIZE} pixels can",
        )
    sources = split_sources(seed)
    counts = {name: max(CLASSES, round(share * images)) for name, share in SPLITS.items()}
    counts["train"] += images - sum(counts.values())
    made = MadeDigits({}, {})
    with _new_folder(folder) as part:
        (part / "annotations").mkdir()
        done = 0
        for split, count in counts.items():
            (part / split).mkdir()
            listed: list[dict[str, object]] = []
            annotations: list[dict[str, object]] = []
            for number in range(count):
                # Each image has its own generator, so that more images do not change the ones before.
                generator = random.Random(f"etui digits {seed} {split} {number}")
                picture, boxes = _image(sources[split], size, number % CLASSES, generator)
                file = f"{number + 1:06d}.jpg"
                picture.save(part / split / file, quality=_JPEG_QUALITY)
                listed.append({"id": number + 1, "file_name": file, "width": picture.width, "height": picture.height})
                annotations.extend(_annotation(len(annotations) + at, number + 1, *box) for at, box in enumerate(boxes))
                done += 1
                progress(done)
            content = {
                "info": {"description": _description(seed, size, images), "version": "1"},
                "licenses": [],
                "images": listed,
                "annotations": annotations,
                "categories": [
                    {"id": digit + 1, "name": str(digit), "supercategory": "digit"} for digit in range(CLASSES)
                ],
            }
            (part / "annotations" / f"instances_{split}.json").write_bytes(msgspec.json.encode(content))
            made.images[split], made.digits[split] = count, len(annotations)
    return made


def _description(seed: int, size: int, images: int) -> str:
    return (
        "Handwritten digits of scikit-learn (UCI optical recognition of handwritten digits) on its photos china.jpg and"
        " flower.jpg (CC BY 2.0, danielbuechele and vultilion on Flickr), made by etui data make-digits"
        f" --images {images} --size {size} --seed {seed}"
    )


def _annotation(place: int, image: int, digit: int, box: tuple[int, int, int, int]) -> dict[str, object]:
    x, y, width, height = box
    return {
        "id": place + 1,
        "image_id": image,
        "category_id": digit + 1,
        "bbox": [x, y, width, height],
        "area": width * height,
        "iscrowd": 0,
        "segmentation": [],
    }


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder to fill, which gets its name at the end."""
    shown = plain(str(folder))
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{shown} already exists", "choose a new folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".etui-", dir=folder.parent))
    except OSError as error:
        raise StoreError(f"cannot create {shown} ({error.strerror})", "choose another folder") from error
    try:
        yield part
        part.chmod(0o755)
        part.rename(folder)
    except OSError as error:
        raise StoreError(f"cannot write {shown} ({error.strerror})", "check the folder and its free space") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


# Sources


def split_sources(seed: int) -> dict[str, Sources]:
    """Divide the handwritten digits of each class, and the photos, between the splits."""
    import numpy
    from PIL import Image

    with gzip.open(sample_digits(), "rt") as file:
        rows = numpy.loadtxt(file, delimiter=",", dtype=numpy.int64)
    masks = (rows[:, :64] * 255 // 16).astype(numpy.uint8).reshape(-1, 8, 8)
    photos = [Image.open(path).convert("RGB") for path in sample_photos()]
    by_class: list[list[Any]] = [[] for _ in range(CLASSES)]
    for mask, digit in zip(masks, rows[:, 64], strict=True):
        by_class[digit].append(Image.fromarray(mask))
    for digit, found in enumerate(by_class):
        random.Random(f"etui digits {seed} {digit}").shuffle(found)
    sources: dict[str, Sources] = {}
    begin = 0.0
    for split, share in SPLITS.items():
        end = begin + share
        digits = [found[round(begin * len(found)) : round(end * len(found))] for found in by_class]
        parts = [
            photo.crop((round(begin * photo.width), 0, round(end * photo.width), photo.height)) for photo in photos
        ]
        sources[split] = Sources(digits, parts)
        begin = end
    return sources


# Images


def _image(
    sources: Sources, size: int, first: int, generator: random.Random
) -> tuple[Any, list[tuple[int, tuple[int, int, int, int]]]]:
    """Return an image, and its digits with their boxes (left, top, width, height). ``first`` is one of its digits."""
    import numpy
    from PIL import Image

    width, height = (round(size * generator.uniform(*_SIDES)) for _ in range(2))
    picture = _background(generator.choice(sources.photos), width, height, generator)
    values: NDArray[np.float32] = numpy.asarray(picture, dtype=numpy.float32).copy()
    boxes: list[tuple[int, tuple[int, int, int, int]]] = []
    classes = [first, *(generator.randrange(CLASSES) for _ in range(generator.randrange(_MOST_DIGITS)))]
    for digit in classes:
        mask = _mask(generator.choice(sources.digits[digit]), min(width, height), generator)
        wide, high = mask.size
        for _ in range(_TRIES):
            left, top = generator.randint(0, width - wide), generator.randint(0, height - high)
            if not any(_overlap((left, top, wide, high), box) for _, box in boxes):
                _draw(values, mask, left, top, generator)
                boxes.append((digit, (left, top, wide, high)))
                break
    return Image.fromarray(values.round().clip(0, 255).astype(numpy.uint8)), boxes


def _background(photo: Any, width: int, height: int, generator: random.Random) -> Any:
    from PIL import Image, ImageEnhance

    largest = min(photo.width / width, photo.height / height)
    scale = largest * generator.uniform(*_REGIONS)
    wide, high = max(1, int(width * scale)), max(1, int(height * scale))
    left, top = generator.randint(0, photo.width - wide), generator.randint(0, photo.height - high)
    region = photo.crop((left, top, left + wide, top + high)).resize((width, height), Image.Resampling.BILINEAR)
    region = ImageEnhance.Contrast(region).enhance(_BACKGROUND_CONTRAST)
    return region.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if generator.random() < 0.5 else region


def _mask(digit: Any, shorter: int, generator: random.Random) -> Any:
    """Return a digit enlarged, rotated, with sharper edges, and cut to what can be seen of it."""
    from PIL import Image

    side = max(8, round(shorter * generator.uniform(*_SCALES)))
    margin = side // 4
    canvas = Image.new("L", (side + 2 * margin, side + 2 * margin))
    canvas.paste(digit.resize((side, side), Image.Resampling.BICUBIC), (margin, margin))
    degrees = generator.uniform(-_ROTATION_DEGREES, _ROTATION_DEGREES)
    rotated = canvas.rotate(degrees, Image.Resampling.BICUBIC).point(lambda value: 2 * (value - 64))
    return rotated.crop(rotated.point(lambda value: 255 if value >= 64 else 0).getbbox())


def _draw(values: NDArray[np.float32], mask: Any, left: int, top: int, generator: random.Random) -> None:
    """Blend a digit into an image, in a colour that is much brighter or darker than what it covers."""
    import numpy

    region = values[top : top + mask.height, left : left + mask.width]
    level = float(region.mean())
    bright = level < 128
    low, high = (level + _CONTRAST, 255.0) if bright else (0.0, level - _CONTRAST)
    colour = numpy.array([generator.uniform(low, high) for _ in range(3)], numpy.float32)
    alpha = numpy.asarray(mask, dtype=numpy.float32)[:, :, None] / numpy.float32(255)
    region[:] = region * (1 - alpha) + colour * alpha


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return all(one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2] for axis in (0, 1))
