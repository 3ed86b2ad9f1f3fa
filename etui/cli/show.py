"""``etui show``: the whole of one run, verdict first."""

from __future__ import annotations

import click

from etui.cli.context import Settings
from etui.cli.lazy_group import examples


@click.command(epilog=examples("etui show 3f2a", "etui show 3f2a --json | jq .accuracy"))
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="Print the run's document, raw samples included.")
@click.pass_obj
def show(settings: Settings, run: str, as_json: bool) -> None:
    """Show the whole of a run. RUN is its id or the beginning of it. A run still live shows what there is so far."""
    from etui.cli.stalled_lines import standing_of
    from etui.store.fp32_sibling import fp32_siblings

    with settings.store_with_runs() as store:
        document = store.document(store.resolve(run))
        siblings = [] if as_json else fp32_siblings(store, document)
        standing = standing_of(store, document)
    if as_json:
        from etui.store.transfer import encode_document

        click.echo(encode_document(document), nl=False)
    else:
        from etui.cli.run_text import report

        click.echo(report(document, siblings))
    if standing:
        click.echo(f"etui: {standing}", err=True)
