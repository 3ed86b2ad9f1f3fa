"""Prepare an image for a model: decode it in any mode, rotate it as EXIF says, resize and normalize it.

Evaluation during training, evaluation of programs and tagging of photos use these functions, so that they cannot
differ.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from etui.errors import PreparationError
from etui.text import plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_NARROW = 100
"""An image with such a ratio of its sides is not scaled as a whole, which would need too much memory."""


class Preprocessing(msgspec.Struct, frozen=True):
    """How an image becomes an input. ``size`` is (height, width) in pixels; ``mean`` and ``std`` are those of the
    channels red, green and blue of values from 0 to 1.

    ``resize`` is how an image of another aspect ratio becomes ``size``: ``crop`` scales it until it covers ``size`` and
    cuts off what is beyond, equally on both sides; ``stretch`` scales height and width separately, so that no object is
    cut off. Both use Pillow's filter ``interpolation``, which averages over all pixels when it makes an image smaller.
    With ``shorter_side``, ``crop`` scales the shorter side to this number of pixels, at least the larger one of
    ``size``, and cuts the centre out of it, as torchvision's ``Resize`` and ``CenterCrop`` do.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    resize: Literal["crop", "stretch"] = "crop"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    shorter_side: int | None = None


def image_array(path: Path, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return the image of a file as normalized values of shape [3, height, width].

    Raises:
        PreparationError: the file is missing, truncated or not an image.
    """
    return picture_array(open_picture(path), preprocessing)


def picture_array(picture: Any, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return a Pillow image of mode RGB as normalized values of shape [3, height, width]."""
    import numpy

    pixels = numpy.asarray(resized(picture, preprocessing), dtype=numpy.float32).transpose(2, 0, 1) / numpy.float32(255)
    mean, std = (
        numpy.array(values, numpy.float32).reshape(3, 1, 1) for values in (preprocessing.mean, preprocessing.std)
    )
    return numpy.ascontiguousarray((pixels - mean) / std)


def resized(picture: Any, preprocessing: Preprocessing) -> Any:
    """Return a Pillow image of the size that the preprocessing says."""
    from PIL import Image, ImageOps

    height, width = preprocessing.size
    bicubic = preprocessing.interpolation == "bicubic"
    method = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    if preprocessing.resize == "stretch":
        return picture.resize((width, height), method)
    shorter, longer = sorted(picture.size)
    if preprocessing.shorter_side is None or longer > _NARROW * shorter:
        return ImageOps.fit(picture, (width, height), method)
    # The same rounding as in torchvision's Resize and CenterCrop.
    sides = (preprocessing.shorter_side, preprocessing.shorter_side * longer // shorter)
    scaled = picture.resize(sides if picture.width <= picture.height else sides[::-1], method)
    left, top = round((scaled.width - width) / 2), round((scaled.height - height) / 2)
    return scaled.crop((left, top, left + width, top + height))


def open_picture(path: Path) -> Any:
    """Return the image of a file as a Pillow image of mode RGB, rotated as its EXIF data says.

    Transparent parts are shown on white. Values of 16 bits are scaled to 8 bits; so are floating-point values, which
    are from 0 to 1, or from 0 to 255 if one is above 1.

    Raises:
        PreparationError: the file is missing, truncated or not an image.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            opened.load()
            return _rgb(ImageOps.exif_transpose(opened))
    except FileNotFoundError as error:
        raise PreparationError(f"{plain(str(path))} does not exist", "check the path") from error
    except Image.DecompressionBombError as error:
        raise PreparationError(f"{plain(str(path))} has too many pixels", "make it smaller") from error
    # Pillow's decoders raise all of these for damaged files.
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, LookupError, ArithmeticError, struct.error) as error:
        is_known = not isinstance(error, UnidentifiedImageError)  # whose message has the path
        problem = "is truncated" if is_known and "truncated" in str(error) else "is not an image that can be read"
        raise PreparationError(f"{plain(str(path))} {problem}", "remove or replace it") from error


def _rgb(picture: Any) -> Any:
    import numpy
    from PIL import Image

    if picture.mode.startswith("I") or picture.mode == "F":
        values = numpy.asarray(picture, dtype=numpy.float64)
        if picture.mode == "F":
            values = values * 255 if numpy.nanmax(values, initial=0.0) <= 1 else values
        else:
            values = values / 257
        values = numpy.nan_to_num(values, nan=0.0).clip(0, 255).round().astype(numpy.uint8)
        return Image.fromarray(values).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(ground, picture).convert("RGB")
    return picture.convert("RGB")
