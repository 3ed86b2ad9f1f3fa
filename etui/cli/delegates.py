"""``etui delegates``: the delegates and their support on this machine."""

from __future__ import annotations

import click

from etui.cli.lazy_group import examples
from etui.cli.table import Column, table

_COLUMNS = (Column("delegate"), Column("runs here"), Column("exports here"), Column("description", wraps=True))


@click.command(epilog=examples("etui delegates", "etui delegates --json"))
@click.option("--json", "as_json", is_flag=True, help="Print the delegates as JSON.")
def delegates(as_json: bool) -> None:
    """List the delegates, whether each exports and runs on this machine, and if not, why."""
    from etui.catalog.delegates import delegates as all_delegates

    listed = list(all_delegates().values())
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(listed), indent=2))
        return
    rows = [
        (delegate.name, _yes(delegate.runs_here), _yes(delegate.exports_here), delegate.title) for delegate in listed
    ]
    click.echo(table(_COLUMNS, rows))
    reasons = [
        (delegate.name, "; ".join(part for part in (delegate.reason, delegate.what_to_do) if part))
        for delegate in listed
        if delegate.reason
    ]
    if reasons:
        click.echo()
        click.echo(table((Column("delegate"), Column("reason and next step", wraps=True)), reasons))


def _yes(it_is: bool) -> str:
    return "yes" if it_is else "no"
