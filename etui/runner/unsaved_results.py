"""Results that the database did not take: kept as JSON files until it does.

The runner writes such a file when its patience with the database has ended. Whoever looks after the database next, a
runner or a front end, stores what the file holds and removes it. A run's file is a document like any other, which
``etui import`` takes too; that of a profile or a numeric gap is an ``UnsavedAnalysis``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from etui.errors import ImportRefused, StoreError, StoreUnavailable, UsageError
from etui.events import Event
from etui.files import private as private_files
from etui.files.atomic import write_whole
from etui.insight import NumericGap, Profile
from etui.paths import unsaved_places
from etui.results import AnalysisStatus, RunDocument
from etui.store import Store

_ANALYSIS = ".analysis.json"


class UnsavedAnalysis(msgspec.Struct, kw_only=True):
    """What the database did not take of a pass: how it ended, its result and what was said of it meanwhile."""

    pass_id: str
    run: str
    session: str
    status: AnalysisStatus
    error: str | None = None
    profile: Profile | None = None
    gap: NumericGap | None = None
    events: list[Event] = []


def keep(database: Path, unsaved: RunDocument | UnsavedAnalysis) -> Path:
    """Write a run's document, or an analysis, into the first folder that takes it: whole or not at all. Returns the
    file.

    Raises:
        OSError: no folder takes it; why the last one did not.
    """
    from etui.store.transfer import encode_document

    if isinstance(unsaved, UnsavedAnalysis):
        name, data = f"{unsaved.pass_id}{_ANALYSIS}", msgspec.json.encode(unsaved)
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


def are_there(database: Path) -> bool:
    """Whether there is a file with a result of this database."""
    return next(_files(database), None) is not None


def take_in(store: Store, busy: Collection[str] = ()) -> list[str]:
    """Store the runs and analyses of such files and remove those; returns the runs. A file that cannot be read is left,
    and so are those of the sessions and passes ``busy``, whose runner may be about to store them itself.

    Raises:
        StoreUnavailable: the database does not take them now.
    """
    taken = []
    for file in list(_files(store.path)):
        if file.name.endswith(_ANALYSIS):
            _take_in_analysis(store, file, busy)
            continue
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


def _take_in_analysis(store: Store, file: Path, busy: Collection[str]) -> None:
    try:
        unsaved = msgspec.json.decode(file.read_bytes(), type=UnsavedAnalysis)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return
    if unsaved.pass_id in busy:
        return
    try:
        if store.get_analysis(unsaved.pass_id).live:
            # What was told and found first: while the pass is live, nothing of it is taken for whole.
            store.add_events(unsaved.session, unsaved.events)
            if unsaved.profile is not None:
                store.save_profile(unsaved.run, unsaved.profile)
            if unsaved.gap is not None:
                store.save_gap(unsaved.run, unsaved.gap)
            store.set_analysis_status(unsaved.pass_id, unsaved.status, unsaved.error)
    except UsageError:
        pass  # somebody deleted the run
    except StoreUnavailable:
        raise
    except StoreError:
        return
    with contextlib.suppress(OSError):
        file.unlink()


def _files(database: Path) -> Iterator[Path]:
    for folder, prefix in unsaved_places(database):
        try:
            found = sorted(folder.iterdir())
        except OSError:
            continue
        named = (file for file in found if file.name.startswith(prefix) and file.suffix == ".json")
        # In a shared folder somebody else may have put one there.
        yield from (file for file in named if private_files.is_own_file(file))
