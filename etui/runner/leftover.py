"""Results that the database did not take: kept as JSON files until it does.

The runner writes such a file when its patience with the database has ended. Whoever looks after the database next, a
runner or a front end, stores the file's run and removes the file. It is a document like any other, which
``etui import`` takes too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from etui import private_files
from etui.errors import ImportRefused, StoreError, StoreUnavailable, UsageError
from etui.files import write_whole
from etui.paths import unsaved_places
from etui.results import RunDocument
from etui.store import Store


def keep(database: Path, document: RunDocument) -> Path:
    """Write a run's document into the first folder that takes it: whole or not at all. Returns the file.

    Raises:
        OSError: no folder takes it; why the last one did not.
    """
    from etui.store.transfer import encode_document

    data = encode_document(document)
    failure: OSError | None = None
    for folder, prefix in unsaved_places(database):
        target = folder / f"{prefix}{document.id}.json"
        try:
            private_files.make_folder(folder)
            write_whole(target, [data], force=True, private=True)
        except OSError as error:
            failure = error
            continue
        return target
    assert failure is not None
    raise failure


def are_there(database: Path) -> bool:
    """Whether there is a file with a run of this database."""
    return next(_files(database), None) is not None


def take_in(store: Store, busy: Collection[str] = ()) -> list[str]:
    """Store the runs of such files and remove those; returns the runs. A file that cannot be read as a run is left, and
    so are those of the sessions ``busy``, whose runner may be about to store them itself.

    Raises:
        StoreUnavailable: the database does not take them now.
    """
    taken = []
    for file in list(_files(store.path)):
        from etui.store.transfer import read_documents  # runs are seldom left behind

        try:
            (document,) = read_documents(file)
        except (ImportRefused, ValueError):
            continue
        if document.session.id in busy:
            continue
        try:
            known = store.summary(document.id)
        except UsageError:
            known = None  # somebody deleted the run
        if known is not None and known.session == document.session.id:
            try:
                store.save_document(document)
            except StoreUnavailable:
                raise
            except StoreError:
                continue
            taken.append(document.id)
        with contextlib.suppress(OSError):
            file.unlink()
    return taken


def _files(database: Path) -> Iterator[Path]:
    for folder, prefix in unsaved_places(database):
        try:
            found = sorted(folder.iterdir())
        except OSError:
            continue
        named = (file for file in found if file.name.startswith(prefix) and file.suffix == ".json")
        # In a shared folder somebody else may have put one there.
        yield from (file for file in named if private_files.is_own_file(file))
