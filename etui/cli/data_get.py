"""``etui data get``: download a published data set."""

from __future__ import annotations

from pathlib import Path

import click

from etui.cli.lazy_group import examples
from etui.cli.path_type import FILE_PATH
from etui.cli.status_line import status_line
from etui.text import plain, size

_NOTE = (
    "The archives, 20.4 GB or 1.07 GB with --val-only, are those of images.cocodataset.org; each is removed when it is"
    " extracted. Their sizes and SHA-1 checksums are verified. The images have the licences of their authors on Flickr,"
    " see https://cocodataset.org/#termsofuse. A proxy is taken from http_proxy."
)


@click.command(
    epilog=examples("etui data get coco2017 coco --val-only", "etui data get coco2017 /data/coco") + f"\n\n{_NOTE}"
)
@click.argument("name", type=click.Choice(["coco2017"]), metavar="coco2017")
@click.argument("folder", type=FILE_PATH, metavar="DIR")
@click.option("--val-only", is_flag=True, help="Only the 5,000 images of val2017, not the 118,287 of train2017.")
def get(name: str, folder: Path, val_only: bool) -> None:
    """Download COCO 2017 into DIR: the annotations of objects, and the images of the splits train2017 and val2017.

    If the connection breaks, the download continues where it stopped; after a failure or Ctrl-C, the same command does
    so. What is complete is not downloaded again. Free disk space is checked before.
    """
    from etui.task_data.published import COCO2017, COCO2017_VAL, bytes_to_download, get_archives

    archives = COCO2017_VAL if val_only else COCO2017
    left = bytes_to_download(archives, folder)
    shown = plain(str(folder))
    click.echo(f"{size(left)} to download into {shown}" if left else f"nothing to download into {shown}", err=True)
    try:
        with status_line() as line:
            get_archives(
                archives, folder, lambda what, done, of: line.show(f"{what}: {size(done)} of {size(of)}", done, of)
            )
    except KeyboardInterrupt:
        click.echo("what was downloaded is kept; the same command continues it", err=True)
        raise
    click.echo(f"{shown} is complete; check it with: etui data check {shown}", err=True)
