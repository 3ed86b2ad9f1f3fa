"""``etui data make-digits``: a small real data set, made without a network."""

from __future__ import annotations

from pathlib import Path

import click

from etui.cli.lazy_group import examples
from etui.cli.number_types import Count
from etui.cli.path_type import FILE_PATH
from etui.cli.status_line import status_line
from etui.text import counted, plain


@click.command(
    "make-digits",
    epilog=examples("etui data make-digits digits", "etui data make-digits small --images 200 --size 64 --seed 1"),
)
@click.argument("folder", type=FILE_PATH, metavar="DIR")
@click.option("--images", type=Count(min=1), default=1000, show_default=True, metavar="N", help="Number of images.")
@click.option("--size", type=Count(min=1), default=96, show_default=True, metavar="PIXELS",
              help="Mean width and height.")  # fmt: skip
@click.option("--seed", type=Count(min=0), default=0, show_default=True, metavar="N", help="Seed of all choices.")
def make_digits(folder: Path, images: int, size: int, seed: int) -> None:
    """Write a data set of handwritten digits on photos into the new folder DIR, in COCO's format.

    Digits and photos are those of scikit-learn, so that no network is needed. Each image has one to three digits in
    random places, sizes and colours; its width and height vary from 0.75 to 1.25 times --size. The splits train, val
    and test have 70, 15 and 15 % of the images, and share neither a handwritten digit nor a part of a photo. The same
    options give the same bytes (with the same versions of Pillow and scikit-learn).
    """
    from etui.task_data.digits import make_digits as make

    with status_line() as line:
        made = make(folder, images, size, seed, lambda done: line.show(f"{done:,} of {images:,} images", done, images))
    for split, count in made.images.items():
        click.echo(f"{split:<5}  {counted(count, 'image')}, {counted(made.digits[split], 'digit')}")
    click.echo(f"{plain(str(folder))} is ready; check it with: etui data check {plain(str(folder))}", err=True)
