"""Random changes of training images: crop, flip and colour, drawn for each image from seed, epoch and index."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from etui.task_data.preprocessing import Preprocessing, picture_array

_RATIOS = (3 / 4, 4 / 3)
_COLOUR = 0.2
_TRIES = 10


def augmented(
    picture: Any, preprocessing: Preprocessing, *, seed: int, epoch: int, index: int, flip: bool, least_area: float
) -> NDArray[np.float32]:
    """Return a Pillow image of mode RGB, changed at random, as normalized values of shape [3, height, width].

    A crop of ``least_area`` to 1 of the area with an aspect ratio of 3/4 to 4/3 is resized, the whole image if none is
    found; half of the images are mirrored with ``flip``; brightness, contrast and saturation change by up to 20 %. The
    same numbers give the same image.
    """
    from PIL import ImageEnhance, ImageOps

    random = np.random.default_rng([seed, epoch, index])
    picture = picture.crop(crop_box(picture.size, least_area, random))
    if flip and random.random() < 0.5:
        picture = ImageOps.mirror(picture)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = change(picture).enhance(random.uniform(1 - _COLOUR, 1 + _COLOUR))
    return picture_array(picture, preprocessing)


def crop_box(size: tuple[int, int], least_area: float, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a crop of an image of ``size`` (width, height) in pixels."""
    width, height = size
    for _ in range(_TRIES):
        area = random.uniform(least_area, 1.0) * width * height
        ratio = float(np.exp(random.uniform(np.log(_RATIOS[0]), np.log(_RATIOS[1]))))
        across, down = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < across <= width and 0 < down <= height:
            left, top = int(random.integers(width - across + 1)), int(random.integers(height - down + 1))
            return left, top, left + across, top + down
    return 0, 0, width, height
