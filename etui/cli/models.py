"""``etui models``: the supported models and precisions."""

from __future__ import annotations

import click

from etui.cli.lazy_group import examples
from etui.cli.table import Column, table, wrapped_to_terminal

_OWN = "Own models: FILE.py:FACTORY (returns a module and its example inputs), FILE.pt2, or FILE.pte."


@click.command(epilog=examples("etui models", "etui models --json | jq '.models[].name'"))
@click.option("--json", "as_json", is_flag=True, help="Print models and precisions as JSON.")
def models(as_json: bool) -> None:
    """List the supported models and precisions."""
    from etui.catalog.models import MODELS
    from etui.catalog.precisions import PRECISIONS

    if as_json:
        import msgspec

        listed = {"models": list(MODELS.values()), "precisions": list(PRECISIONS.values())}
        click.echo(msgspec.json.format(msgspec.json.encode(listed), indent=2))
        return
    columns = (
        Column("model"),
        Column("family", spare=3),
        Column("parameters", right=True),
        Column("output", spare=2),
        Column("description", wraps=True),
    )
    rows = [
        (entry.name, entry.family, f"{entry.parameters / 1e6:.1f} M", entry.outputs, entry.title)
        for entry in MODELS.values()
    ]
    click.echo(table(columns, rows))
    click.echo(f"\n{wrapped_to_terminal(_OWN)}\n")
    about = [(precision.name, precision.title) for precision in PRECISIONS.values()]
    click.echo(table((Column("precision"), Column("description", wraps=True)), about))
    limits = [
        (entry.name, f"{limit.precision}/{limit.delegate}", limit.reason)
        for entry in MODELS.values()
        for limit in entry.limits
    ]
    if limits:
        click.echo()
        click.echo(table((Column("unsupported"), Column("with"), Column("reason", wraps=True)), limits))
