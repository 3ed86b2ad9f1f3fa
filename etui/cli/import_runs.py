"""``etui import``: runs from JSON files, a report a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.errors import EXIT_DONE, EXIT_USAGE, ImportRefused
from etui.paths import expanded
from etui.text import plain

if TYPE_CHECKING:
    from etui.results import RunDocument
    from etui.store import Store


@click.command(name="import", epilog=examples("etui import results/*.json", "etui --db other.db import run.json"))
@click.argument("files", nargs=-1, required=True, metavar="FILE..", type=expanded)
@click.pass_obj
def import_files(settings: Settings, files: tuple[Path, ...]) -> int:
    """Take runs in from JSON files: those that etui export wrote, or results of executorch-utils.

    A run that is known already changes nothing. A file with anything wrong in it is refused whole, the others are
    taken in; the exit status is then 2. Many runs are stored in parts: if the import is stopped, import the same files
    again to add the rest.
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
            _store(store, file, documents)
    finally:
        if store is not None:
            store.close()
    return EXIT_USAGE if refused else EXIT_DONE


def _store(store: Store, file: Path, documents: Sequence[RunDocument]) -> None:
    """Store the runs of a file and say how many were new, also if that fails or is interrupted on the way."""
    outcomes: list[str] = []
    try:
        for stored in store.import_in_batches(documents):
            outcomes += stored
    finally:
        words = f"{plain(str(file))}: {outcomes.count('new')} new, {outcomes.count('known')} known"
        if len(outcomes) == len(documents):
            click.echo(words)
        elif outcomes:
            click.echo(
                f"{words} of {len(documents)} runs; the others were not stored: import the file again to add them",
                err=True,
            )
