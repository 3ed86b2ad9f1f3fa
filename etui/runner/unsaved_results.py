"""Keep results that the database did not accept as JSON files, and store them later.

The runner writes such a file when it gives up waiting for the database. The next runner or front end that uses the
database stores its content and removes it. The file of a run is an ordinary document, which ``etui import`` accepts
too; that of an analysis is an ``UnsavedAnalysis``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec

from etui.analysis_kinds.registry import KINDS
from etui.errors import ImportRefused, StoreError, StoreUnavailable, UsageError
from etui.events import Event
from etui.files import private as private_files
from etui.files.atomic import write_whole
from etui.paths import unsaved_places
from etui.results import AnalysisStatus, RunDocument
from etui.store import Store

_ANALYSIS = ".analysis.json"


class UnsavedAnalysis(msgspec.Struct, kw_only=True):
    """An analysis that the database did not accept: its final status, result, and events.

    The result is of the type of the analysis's kind, as JSON values when it is read. Earlier versions wrote it as
    ``profile`` or ``gap``, and the id is still named as they did.
    """

    analysis_id: str = msgspec.field(name="pass_id")
    run: str
    session: str
    status: AnalysisStatus
    error: str | None = None
    result: Any = None
    profile: Any = None
    gap: Any = None
    events: list[Event] = []


def keep(database: Path, unsaved: RunDocument | UnsavedAnalysis) -> Path:
    """Write a run's document or an analysis atomically into the first writable folder; return the file.

    Raises:
        OSError: no folder is writable; the error of the last one.
    """
    from etui.store.transfer import encode_document

    if isinstance(unsaved, UnsavedAnalysis):
        name, data = f"{unsaved.analysis_id}{_ANALYSIS}", msgspec.json.encode(unsaved)
    else:
        name, data = f"{unsaved.id}.json", encode_document(unsaved)
    failure: OSError | None = None
    for folder, prefix in unsaved_places(database):
        target = folder / f"{prefix}{name}"
        try:
            private_files.make_folder(folder)
            write_whole(target, [data], force=True, private=True)
        except OSError as error:
            failure = error
            continue
        return target
    assert failure is not None
    raise failure


def has_unsaved(database: Path) -> bool:
    """Whether a file with an unsaved result of this database exists."""
    return next(_files(database), None) is not None


def store_unsaved(store: Store, busy: Collection[str] = ()) -> list[str]:
    """Store the unsaved runs and analyses and remove their files; return the ids of the runs.

    Unreadable files are kept, as are those of the sessions and analyses ``busy``, whose runner may be about to store
    them itself.

    Raises:
        StoreUnavailable: the database is temporarily unavailable.
    """
    stored = []
    for file in list(_files(store.path)):
        if file.name.endswith(_ANALYSIS):
            _store_analysis(store, file, busy)
            continue
        from etui.store.transfer import read_documents  # imported late: rarely needed

        try:
            (document,) = read_documents(file)
        except (ImportRefused, ValueError):
            continue
        if document.session.id in busy:
            continue
        try:
            summary = store.summary(document.id)
        except UsageError:
            summary = None  # the run was deleted
        if summary is not None and summary.session == document.session.id:
            try:
                store.save_document(document)
            except StoreUnavailable:
                raise
            except StoreError:
                continue
            stored.append(document.id)
        with contextlib.suppress(OSError):
            file.unlink()
    return stored


def _store_analysis(store: Store, file: Path, busy: Collection[str]) -> None:
    try:
        unsaved = msgspec.json.decode(file.read_bytes(), type=UnsavedAnalysis)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return
    if unsaved.analysis_id in busy:
        return
    result = unsaved.result or unsaved.profile or unsaved.gap
    try:
        queued = store.get_analysis(unsaved.analysis_id)
        if queued.live:
            # Events and results first: while the analysis is live, readers do not treat it as complete.
            store.add_events(unsaved.session, unsaved.events)
            if result is not None:
                store.save_result(unsaved.run, msgspec.convert(result, KINDS[queued.kind].result))
            store.set_analysis_status(unsaved.analysis_id, unsaved.status, unsaved.error)
    except UsageError:
        pass  # the run was deleted
    except StoreUnavailable:
        raise
    except (StoreError, msgspec.ValidationError):
        return
    with contextlib.suppress(OSError):
        file.unlink()


def _files(database: Path) -> Iterator[Path]:
    for folder, prefix in unsaved_places(database):
        try:
            paths = sorted(folder.iterdir())
        except OSError:
            continue
        named = (file for file in paths if file.name.startswith(prefix) and file.suffix == ".json")
        # In a shared folder another user may have created such a file.
        yield from (file for file in named if private_files.is_own_file(file))
