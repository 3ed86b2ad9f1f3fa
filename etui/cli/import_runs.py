"""``etui import``: import runs from JSON files, with one line of output per file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etui.cli.complete import complete_file
from etui.cli.context import Settings
from etui.cli.lazy_group import examples
from etui.errors import EXIT_DONE, EXIT_USAGE, ImportRefused
from etui.paths import expanded
from etui.text import plain

if TYPE_CHECKING:
    from etui.results import RunDocument
    from etui.store import Store


@click.command(name="import", epilog=examples("etui import results/*.json", "etui --db other.db import run.json"))
@click.argument("files", nargs=-1, required=True, metavar="FILE..", type=expanded, shell_complete=complete_file)
@click.pass_obj
def import_files(settings: Settings, files: tuple[Path, ...]) -> int:
    """Import runs from JSON files written by etui export or executorch-utils.

    Known runs are skipped. A file with an error is refused as a whole, with exit status 2; the other files are
    imported. If an import is interrupted, import the same files again to add the missing runs.
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
            # The database is created only if there are runs to import.
            store = store or settings.open_store()
            _store(store, file, documents)
    finally:
        if store is not None:
            store.close()
    return EXIT_USAGE if refused else EXIT_DONE


def _store(store: Store, file: Path, documents: Sequence[RunDocument]) -> None:
    """Store the runs of a file and print how many were new, also if that fails or is interrupted."""
    outcomes: list[str] = []
    try:
        for stored in store.import_in_batches(documents):
            outcomes += stored
    finally:
        counts = f"{plain(str(file))}: {outcomes.count('new')} new, {outcomes.count('known')} known"
        if len(outcomes) == len(documents):
            click.echo(counts)
        elif outcomes:
            click.echo(
                f"{counts} of {len(documents)} runs; import the file again to add the others",
                err=True,
            )
