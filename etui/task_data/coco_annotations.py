"""Read the annotations of objects in COCO's format, ``instances_SPLIT.json``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from etui.errors import PreparationError
from etui.text import counted, plain

_FORMAT = "COCO's format has the lists images (id, file_name), annotations (image_id, category_id) and categories (id,"
_HINT = f"{_FORMAT} name)"


class _Image(msgspec.Struct):
    id: int | str
    file_name: str


class _Annotation(msgspec.Struct):
    image_id: int | str
    category_id: int


class _Category(msgspec.Struct):
    id: int
    name: str


class _File(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


class CocoAnnotations(NamedTuple):
    """The names of the categories in the order of their ids, and for each file the indexes of the categories that it
    has an object of, in ascending order."""

    categories: tuple[str, ...]
    labels: dict[str, tuple[int, ...]]


def read_coco(path: Path) -> CocoAnnotations:
    """Return categories and labels of a file. Objects marked as a crowd count; sizes and outlines are not used.

    Raises:
        PreparationError: the file cannot be read, is not in COCO's format, or contradicts itself.
    """
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise PreparationError(f"cannot read {path} ({error.strerror or error})", "check its permissions") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PreparationError(f"{path} does not have COCO's annotations: {plain(str(error))}", _HINT) from error
    if not content.images or not content.categories:
        raise PreparationError(f"{path} lists no {'images' if not content.images else 'categories'}", _HINT)
    categories = sorted(content.categories, key=lambda category: category.id)
    _refuse_repeated(path, "the category id", [str(category.id) for category in categories])
    _refuse_repeated(path, "the category", [category.name for category in categories])
    _refuse_repeated(path, "the image id", [repr(image.id) for image in content.images])
    _refuse_repeated(path, "the image", [str(PurePosixPath(image.file_name)) for image in content.images])
    for image in content.images:
        pure = PurePosixPath(image.file_name)
        if not pure.parts or pure.is_absolute() or ".." in pure.parts or "\0" in image.file_name:
            raise PreparationError(
                f"{path} lists {plain(image.file_name)!r}, which is not a path below the image folder",
                "write file_name relative to the image folder",
            )
    places = {category.id: place for place, category in enumerate(categories)}
    found: dict[int | str, set[int]] = {image.id: set() for image in content.images}
    for annotation in content.annotations:
        if annotation.image_id not in found or annotation.category_id not in places:
            what = "category" if annotation.image_id in found else "image"
            unknown = annotation.category_id if annotation.image_id in found else annotation.image_id
            raise PreparationError(
                f"{path} has an annotation of {what} {plain(str(unknown))}, which it does not list",
                f"add it to {'categories' if what == 'category' else 'images'}, or remove the annotation",
            )
        found[annotation.image_id].add(places[annotation.category_id])
    return CocoAnnotations(
        tuple(category.name for category in categories),
        {image.file_name: tuple(sorted(found[image.id])) for image in content.images},
    )


def _refuse_repeated(path: Path, what: str, names: list[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        more = f", and {counted(len(repeated) - 1, 'other')} too" if len(repeated) > 1 else ""
        raise PreparationError(f"{path} has {what} {plain(repeated[0])} twice{more}", "write each once")
