"""``etui import``: runs from JSON files, a report a file."""

from __future__ import annotations

from pathlib import Path

import click

from etui.cli.context import Settings
from etui.cli.lazy import examples
from etui.errors import EXIT_DONE, EXIT_USAGE, ImportRefused
from etui.paths import expanded
from etui.text import plain


@click.command(name="import", epilog=examples("etui import results/*.json", "etui --db other.db import run.json"))
@click.argument("files", nargs=-1, required=True, metavar="FILE..", type=expanded)
@click.pass_obj
def import_files(settings: Settings, files: tuple[Path, ...]) -> int:
    """Take runs in from JSON files: those that etui export wrote, or results of executorch-utils.

    A run that is known already changes nothing. A file with anything wrong in it is refused whole, the others are
    taken in; the exit status is then 2.
    """
    from etui.store.transfer import read_documents

    store = None
    refused = 0
    try:
        for file in files:
            try:
                documents = read_documents(file)
            except ImportRefused as error:
                refused += 1
                click.echo(f"etui: {plain(str(error))}", err=True)
                continue
            # A database is made for runs that can be taken in, not for files that cannot.
            store = store or settings.open_store()
            outcomes = store.import_documents(documents)
            click.echo(f"{plain(str(file))}: {outcomes.count('new')} new, {outcomes.count('known')} known")
    finally:
        if store is not None:
            store.close()
    return EXIT_USAGE if refused else EXIT_DONE
