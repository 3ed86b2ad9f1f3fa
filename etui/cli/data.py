"""``etui data``: check, make and download data sets of labelled images."""

from __future__ import annotations

import click

from etui.cli.lazy_group import LazyGroup, examples
from etui.errors import UsageError

_COMMANDS = {
    "check": ("etui.cli.data_check:check", "Check a data set before training with it."),
    "make-digits": ("etui.cli.data_make_digits:make_digits", "Make a small data set of handwritten digits on photos."),
    "get": ("etui.cli.data_get:get", "Download a published data set: coco2017."),
}

LAYOUTS = (
    "A data set is a folder with annotations/instances_SPLIT.json in COCO's format and the images in SPLIT/,"
    " images/SPLIT/ or images/ (several labels for each image), or with a folder of images for each category,"
    " SPLIT/CATEGORY/*.jpg or CATEGORY/*.jpg (one label)."
)


@click.group(
    cls=LazyGroup,
    table=_COMMANDS,
    invoke_without_command=True,
    epilog=examples("etui data make-digits digits", "etui data check digits", "etui data get coco2017 coco --val-only")
    + f"\n\n{LAYOUTS}",
)
@click.pass_context
def data(ctx: click.Context) -> None:
    """Check, make and download data sets of labelled images."""
    if ctx.invoked_subcommand is None:
        raise UsageError("no command", f"write etui data with {', '.join(_COMMANDS)}; see etui data --help")
