"""``etui models``: the supported models and precisions."""

from __future__ import annotations

import click

from etui.cli.lazy_group import examples
from etui.cli.table import Column, table, wrapped_to_terminal
from etui.formats.json_text import printable_json

_OWN = "Own models: FILE.py:FACTORY (returns a module and its example inputs), FILE.pt2, or FILE.pte."


_TORCHVISION = (
    "Other models of torchvision for classification, segmentation and detection: torchvision:NAME, such as"
    " torchvision:resnet101; `etui models --torchvision` lists them. Models of timm (`pip install 'etui[timm]'`):"
    " timm:NAME, such as timm:mobilenetv3_small_050. Hugging Face models: hf:FOLDER, or hf:ORG/NAME if it is in the"
    " Hugging Face cache."
)


@click.command(epilog=examples("etui models", "etui models --torchvision", "etui models --json | jq '.models[].name'"))
@click.option("--torchvision", is_flag=True, help="List every model of torchvision that can be measured by its name.")
@click.option("--json", "as_json", is_flag=True, help="Print models and precisions as JSON.")
def models(torchvision: bool, as_json: bool) -> None:
    """List the supported models and precisions."""
    from etui.catalog.diffusion_models import DIFFUSION, INSTALL, is_installed
    from etui.catalog.models import MODELS

    if torchvision:
        _print_torchvision(as_json=as_json)
        return
    from etui.catalog.precisions import PRECISIONS

    entries = [*MODELS.values(), *DIFFUSION.values()]
    if as_json:
        listed = {"models": entries, "precisions": list(PRECISIONS.values())}
        click.echo(printable_json(listed))
        return
    columns = (
        Column("model"),
        Column("family", spare=3),
        Column("parameters", right=True),
        Column("output", spare=2),
        Column("description", wraps=True),
    )
    rows = [
        (entry.name, entry.family, f"{entry.parameters / 1e6:.1f} M", entry.outputs, entry.title) for entry in entries
    ]
    click.echo(table(columns, rows))
    missing = "" if is_installed() else ", which is not installed"
    diffusion = f"{' and '.join(DIFFUSION)} need the package diffusers{missing}: {INSTALL}"
    click.echo("\n" + "\n".join(map(wrapped_to_terminal, (diffusion, _OWN, _TORCHVISION))) + "\n")
    about = [(precision.name, precision.title) for precision in PRECISIONS.values()]
    click.echo(table((Column("precision"), Column("description", wraps=True)), about))
    limits = [
        (entry.name, f"{limit.precision}/{limit.delegate}", limit.reason) for entry in entries for limit in entry.limits
    ]
    if limits:
        click.echo()
        click.echo(table((Column("unsupported"), Column("with"), Column("reason", wraps=True)), limits))


def _print_torchvision(*, as_json: bool) -> None:
    from etui.catalog.models import ANY
    from etui.catalog.torchvision_models import torchvision_model
    from etui.catalog.torchvision_names import NAMES

    entries = [entry for name in NAMES if (entry := torchvision_model(name)) is not None]
    if as_json:
        click.echo(printable_json(entries))
        return
    columns = (
        Column("model"),
        Column("task"),
        Column("size", right=True),
        Column("parameters", right=True),
        Column("", wraps=True),
    )
    rows = [
        (
            f"torchvision:{entry.source_id}",
            entry.task,
            f"{entry.image.size}" if entry.image else "",
            f"{entry.parameters / 1e6:.1f} M",
            entry.limits[0].reason.partition(":")[0] if entry.limits and entry.limits[0].precision == ANY else "",
        )
        for entry in entries
    ]
    click.echo(table(columns, rows))
