"""List, show and delete the trainings in the database, for ``etui train``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from etui.cli.context import Settings
from etui.cli.train_output import list_text, training_fields, training_text
from etui.errors import EXIT_DONE, UsageError
from etui.formats.json_text import printable_json
from etui.services.train import delete_training, files_of
from etui.text import counted, plain, size

if TYPE_CHECKING:
    from etui.store import Store

_WHAT_TO_START = "start one with: etui train MODEL --data DIR -o DIR"


def existing_trainings(settings: Settings) -> Store:
    """Open the store for a command about trainings. Raises UsageError if it does not exist."""
    store = settings.existing_store()
    if store is None:
        raise UsageError(f"there are no trainings yet in {settings.database}", _WHAT_TO_START)
    return store


def list_trainings(settings: Settings, *, as_json: bool) -> int:
    """Print all trainings, newest first."""
    store = settings.existing_store()
    found = []
    if store is not None:
        with store:
            found = store.trainings()
    if as_json:
        click.echo(printable_json([training_fields(one) for one in found]))
    elif found:
        click.echo(list_text(found))
    else:
        click.echo(f"no trainings; {_WHAT_TO_START}", err=True)
    return EXIT_DONE


def show_training(settings: Settings, prefix: str | None, *, as_json: bool) -> int:
    """Print a training, or the newest, with its epochs and files."""
    with existing_trainings(settings) as store:
        if prefix is None:
            newest = next(iter(store.trainings()), None)
            if newest is None:
                raise UsageError(f"there are no trainings yet in {settings.database}", _WHAT_TO_START)
            prefix = newest.id
        training = store.training(prefix)
        files = files_of(store, training)
    click.echo(printable_json(training_fields(training, files)) if as_json else training_text(training, files))
    return EXIT_DONE


def delete_trainings(settings: Settings, prefixes: Sequence[str], *, files: bool, yes: bool) -> int:
    """Delete trainings, and with ``files`` what they wrote, after a confirmation. Raises UsageError if one does not
    exist or is live; none is deleted then."""
    with existing_trainings(settings) as store:
        found = {one.id: one for one in (store.training(prefix) for prefix in prefixes)}
        for one in found.values():
            if one.live:
                raise UsageError(f"training {one.id[:6]} is {one.status}", f"etui cancel {one.id[:6]}")
        if files and not yes:
            listed = [file for one in found.values() for file in files_of(store, one)]
            if listed and not sys.stdin.isatty():
                raise UsageError("cannot ask for confirmation without a terminal", "use --yes to delete the files")
            for file in listed:
                click.echo(f"{plain(str(file.path))}  {size(file.bytes)}", err=True)
            total = f"{counted(len(listed), 'file')} ({size(sum(file.bytes for file in listed))})"
            if listed and not click.confirm(f"Delete {counted(len(found), 'training')} with {total}?", err=True):
                click.echo("nothing was deleted", err=True)
                return EXIT_DONE
        deleted = [file for one in found.values() for file in delete_training(store, one, files=files)]
    also = f" and {counted(len(deleted), 'file')}" if files else "; the files are kept"
    click.echo(f"deleted {counted(len(found), 'training')}{also}", err=True)
    return EXIT_DONE
