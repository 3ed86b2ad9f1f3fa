"""``etui show``: all results of one run, verdict first."""

from __future__ import annotations

import click

from etui.cli.complete import complete_run
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.cli.run_selection import selected_run


@click.command(epilog=examples("etui show 3f2a", "etui show 3f2a --json | jq .accuracy"))
@click.argument("run", shell_complete=complete_run)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON document of the run, with raw samples.")
@click.pass_obj
def show(settings: Settings, run: str, as_json: bool) -> None:
    """Show all results of RUN, or those so far of a run that has not ended."""
    from etui.cli.stalled_lines import stall_of
    from etui.store.fp32_sibling import fp32_siblings

    with settings.store_with_runs() as store:
        document = store.document(selected_run(store, run))
        siblings = [] if as_json else fp32_siblings(store, document)
        stall = stall_of(store, document)
    if as_json:
        from etui.store.transfer import encode_document

        click.echo(encode_document(document), nl=False)
    else:
        from etui.cli.run_text import report

        click.echo(report(document, siblings))
    if stall:
        click.echo(f"etui: {stall}", err=True)
