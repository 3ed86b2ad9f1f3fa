"""``etui delegates``: the delegates and their support on this machine."""

from __future__ import annotations

import click

from etui.cli.lazy_group import examples
from etui.cli.table import Column, table
from etui.formats.json_text import printable_json

_COLUMNS = (Column("delegate"), Column("runs here"), Column("exports here"), Column("description", wraps=True))


@click.command(epilog=examples("etui delegates", "etui delegates --json"))
@click.option("--json", "as_json", is_flag=True, help="Print the delegates as JSON.")
def delegates(as_json: bool) -> None:
    """List the delegates, whether each exports and runs on this machine, and if not, why; then the other runtimes to
    measure with `etui run --baseline`."""
    from etui.catalog.delegates import baselines, is_listed
    from etui.catalog.delegates import delegates as all_delegates

    listed = [*all_delegates().values(), *(each for each in baselines().values() if is_listed(each.name))]
    if as_json:
        click.echo(printable_json(listed))
        return
    rows = [
        (delegate.name, _yes(delegate.runs_here), _yes(delegate.exports_here), delegate.title)
        for delegate in listed
        if not delegate.baseline
    ]
    click.echo(table(_COLUMNS, rows))
    click.echo()
    others = [(each.name, _yes(each.runs_here), each.title) for each in listed if each.baseline]
    click.echo(table((Column("baseline"), Column("runs here"), Column("description", spare=1)), others))
    reasons = [
        (delegate.name, "; ".join(part for part in (delegate.reason, delegate.what_to_do) if part))
        for delegate in listed
        if delegate.reason
    ]
    if reasons:
        click.echo()
        click.echo(table((Column("name"), Column("reason and next step", wraps=True)), reasons))


def _yes(it_is: bool) -> str:
    return "yes" if it_is else "no"
