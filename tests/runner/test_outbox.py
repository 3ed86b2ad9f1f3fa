"""Results that the runner stores while the database is locked, on a full disk, or gone: none is lost."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import msgspec
import pytest

from etui.analysis_kinds.profile import ProfileOptions
from etui.errors import StoreError, StoreUnavailable
from etui.events import Event
from etui.files import cache_entries, locks
from etui.host.user import user_name
from etui.results import AnalysisStatus, RunDocument
from etui.runner import outbox, unsaved_results
from etui.runner.abandoned_work import end_abandoned
from etui.runner.analyses import run
from etui.runner.analyses.context import Analysis
from etui.runner.analyses.run import run_analysis
from etui.runner.fork_servers import WorkerPool
from etui.runner.machine_lock import MachineLock
from etui.runner.outbox import LOCK_WAIT_S, Outbox
from etui.runner.program_cache import ProgramCache
from etui.runner.runner_lock import RunnerLock
from etui.store import QueuedSession, RunnerIdentity, Store
from tests.disks import small_disk
from tests.documents import MODEL, make_block, make_document, make_spec
from tests.profiles import make_profile

# A process id that is not in use, so that this runner counts as ended.
RUNNER = RunnerIdentity(
    pid=2**22 + 1, host=socket.gethostname(), user=user_name(), started_at="2026-11-20T10:00:00.000Z"
)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_STATE", str(tmp_path / "state"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with _opened(tmp_path / "etui.db") as opened:
        yield opened


@contextmanager
def _opened(path: Path) -> Iterator[Store]:
    """Open a store as the runner does."""
    with Store.open(path) as opened:
        opened.wait_for_locks(LOCK_WAIT_S)
        yield opened


@contextmanager
def _locked(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold the database's write lock as another program."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.close()


async def _until(condition: Callable[[], bool]) -> None:
    """Poll until the condition holds, while other tasks continue."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


def _claimed(store: Store) -> QueuedSession:
    session = store.add_session(make_spec(), model=MODEL, box="")
    assert store.claim_next(RUNNER) is not None
    return session


def _end_both(outgoing: Outbox, session: QueuedSession) -> list[RunDocument]:
    """Store what the runner stores at the end of a session."""
    documents = []
    for run_id, variant in session.runs:
        outgoing.add_block(make_block(variant.label, 0))
        document = make_document(run_id, session_id=session.id, precision=variant.precision)
        document.log = []
        outgoing.save_document(document)
        outgoing.add_event(Event(kind="finished", message=f"{variant.label}: done", run_id=run_id))
        documents.append(document)
    outgoing.finish_session()
    return documents


def _is_whole(store: Store, session: QueuedSession, documents: list[RunDocument]) -> bool:
    assert store.session(session.id).finished_at is not None
    stored = [store.document(document.id) for document in documents]
    assert [run.status for run in stored] == ["done", "done"]
    return [run.blocks for run in stored] == [document.blocks for document in documents]


@pytest.mark.asyncio
async def test_results_are_stored_in_order_once_a_locked_database_is_free(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    session = _claimed(store)
    with _locked(store.path), Store.open(store.path) as reader:
        outgoing = Outbox(store, session.id)
        documents = _end_both(outgoing, session)
        waiting = asyncio.create_task(outgoing.delivered(60))
        # Meanwhile the runner does other things, and a run is live until its document is stored.
        await _until(lambda: "locked" in capsys.readouterr().err)
        assert [reader.summary(run_id).status for run_id, _ in session.runs] == ["queued", "queued"]
        assert reader.session(session.id).finished_at is None
        # The results would also survive the end of this process.
        await _until(lambda: unsaved_results.has_unsaved(store.path))
        assert not waiting.done()
    await waiting
    assert not unsaved_results.has_unsaved(store.path)
    assert _is_whole(store, session, documents)
    messages = [event.message for event in store.events_after(session.id)]
    assert [message for message in messages if message.endswith(": done")] == [
        "fp32/xnnpack: done",
        "int8/xnnpack: done",
    ]
    assert any("locked by another process" in message and "stored now" in message for message in messages)


@pytest.mark.asyncio
async def test_results_are_stored_once_a_full_disk_has_space(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk", megabytes=4) as disk, _opened(disk.folder / "etui.db") as store:
        session = _claimed(store)
        disk.fill()
        outgoing = Outbox(store, session.id)
        documents = _end_both(outgoing, session)
        waiting = asyncio.create_task(outgoing.delivered(60))
        await _until(lambda: "no space" in capsys.readouterr().err)
        assert not waiting.done()
        disk.free()
        await waiting
        assert _is_whole(store, session, documents)


@pytest.mark.asyncio
async def test_results_are_saved_in_files_at_the_time_limit_and_stored_later(store: Store, tmp_path: Path) -> None:
    session = _claimed(store)
    outgoing = Outbox(store, session.id)
    with _locked(store.path):
        outgoing.add_event(Event(kind="log", message="logged while it was locked", run_id=session.runs[0][0]))
        documents = _end_both(outgoing, session)
        with pytest.raises(StoreUnavailable, match="locked"):
            await outgoing.delivered(0.05)
        files = list((tmp_path / "state").iterdir())
        assert len(files) == 2 and all(file.stat().st_mode & 0o77 == 0 for file in files)
        assert unsaved_results.has_unsaved(store.path)
    with Store.open(store.path) as front:
        assert end_abandoned(front) == []
        assert [front.document(document.id).status for document in documents] == ["done", "done"]
        assert [front.document(one.id).blocks for one in documents] == [one.blocks for one in documents]
        assert front.session(session.id).finished_at is not None
        log = [line.message for line in front.document(documents[0].id).log]
    assert "logged while it was locked" in log
    assert list((tmp_path / "state").iterdir()) == [] and not unsaved_results.has_unsaved(store.path)


@pytest.mark.asyncio
async def test_cancelled_wait_saves_the_results_in_files(store: Store, tmp_path: Path) -> None:
    session = _claimed(store)
    outgoing = Outbox(store, session.id)
    with _locked(store.path):
        _end_both(outgoing, session)
        waiting = asyncio.create_task(outgoing.delivered(60))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert len(list((tmp_path / "state").iterdir())) == 2


@pytest.mark.asyncio
async def test_results_are_saved_next_to_the_database_if_the_state_folder_is_unusable(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file instead of the folder")
    session = _claimed(store)
    outgoing = Outbox(store, session.id)
    with _locked(store.path):
        documents = _end_both(outgoing, session)
        with pytest.raises(StoreUnavailable):
            await outgoing.delivered(0.0)
    before = set(tmp_path.iterdir())
    assert set(unsaved_results.store_unsaved(store)) == {document.id for document in documents}
    assert len(before - set(tmp_path.iterdir())) == 2


@pytest.mark.asyncio
async def test_file_of_a_deleted_run_is_removed(store: Store, tmp_path: Path) -> None:
    document = make_document()
    (tmp_path / "state").mkdir()
    unsaved_results.keep(store.path, document)
    assert unsaved_results.store_unsaved(store) == []
    assert store.count() == 0 and list((tmp_path / "state").iterdir()) == []


@pytest.mark.asyncio
async def test_waiting_log_is_bounded_and_results_are_not_dropped(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST_EVENT_BYTES", 100_000)
    session = _claimed(store)
    outgoing = Outbox(store, session.id)
    with _locked(store.path):
        outgoing.add_block(make_block("fp32/xnnpack", 0))
        for number in range(2_000):
            outgoing.add_event(Event(kind="progress", message=f"at {number}", done=number, total=2_000))
            outgoing.add_event(Event(kind="log", message=f"line {number} {'x' * 100}"))
    await outgoing.delivered(60)
    messages = [event.message for event in store.events_after(session.id)]
    lines = [message for message in messages if message.startswith("line ")]
    assert 100 < len(lines) < 400 and lines[-1].startswith("line 1999")
    assert not any(message.startswith("at ") for message in messages)
    assert any("lines of the log were dropped" in message for message in messages)
    assert len(store.document(session.runs[0][0]).blocks) == 1


@pytest.mark.asyncio
async def test_only_the_newest_partial_document_waits(store: Store) -> None:
    session = _claimed(store)
    run_id = session.runs[0][0]
    whole = make_document(run_id, session_id=session.id)
    outgoing = Outbox(store, session.id)
    with _locked(store.path):
        outgoing.add_block(make_block("fp32/xnnpack", 0))
        for accuracy in (None, whole.accuracy):
            outgoing.save_partial(msgspec.structs.replace(whole, accuracy=accuracy))
        assert len(outgoing._waiting) == 2
    await outgoing.delivered(60)
    assert store.summary(run_id).status == "queued"
    assert store.document(run_id).accuracy == whole.accuracy


@pytest.mark.asyncio
async def test_replaced_database_ends_the_wait(store: Store, tmp_path: Path) -> None:
    session = _claimed(store)
    outgoing = Outbox(store, session.id)
    store.path.rename(tmp_path / "away.db")
    _end_both(outgoing, session)
    with pytest.raises(StoreError, match="removed or replaced"):
        await outgoing.delivered(60)
    assert not unsaved_results.has_unsaved(store.path)


@pytest.mark.asyncio
async def test_event_that_cannot_be_stored_does_not_block_others(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    session = _claimed(store)
    outgoing = Outbox(store, session.id)
    outgoing.add_event(Event(kind="log", message="of a run that does not exist", run_id="aaaaaaaaaaaa"))
    outgoing.add_event(Event(kind="log", message="afterwards"))
    await outgoing.delivered(60)
    assert [event.message for event in store.events_after(session.id)] == ["afterwards"]
    assert "cannot be stored" in capsys.readouterr().err


@pytest.mark.asyncio
async def test_files_of_a_live_runner_are_not_stored_by_others(store: Store) -> None:
    session = _claimed(store)
    runner_lock = RunnerLock(store.path, "")
    assert runner_lock.take()
    unsaved_results.keep(store.path, make_document(session.runs[0][0], session_id=session.id))
    with Store.open(store.path) as front:
        assert end_abandoned(front) == [] and unsaved_results.has_unsaved(store.path)
        runner_lock.drop()
        assert end_abandoned(front) == [session.runs[1][0]] and not unsaved_results.has_unsaved(store.path)
        assert [front.summary(run_id).status for run_id, _ in session.runs] == ["done", "interrupted"]


@pytest.mark.asyncio
async def test_analysis_that_ends_while_the_database_is_locked_is_stored(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETUI_BOX_LOCK", str(tmp_path / "box.lock"))
    store.save_document(make_document())
    queued = store.add_analysis("aaaaaaaaaaa1", ProfileOptions(), box="")
    assert store.claim_next(RUNNER) is not None
    locked, freed, profiled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hold_the_database() -> None:
        with _locked(store.path):
            locked.set()
            await freed.wait()

    holder = asyncio.create_task(hold_the_database())

    async def profile(analysis: Analysis, options: ProfileOptions) -> None:
        await locked.wait()
        analysis.outbox.save_result("aaaaaaaaaaa1", make_profile())
        profiled.set()

    monkeypatch.setitem(run.WITH_SEVERAL_JOBS, "profile", profile)
    cache = ProgramCache(tmp_path / "cache")
    analysis = asyncio.create_task(run_analysis(store, cast("WorkerPool", None), cache, queued))
    async with asyncio.timeout(60):
        await profiled.wait()
    assert store.get_analysis(queued.id).live and not analysis.done()
    freed.set()
    await asyncio.gather(holder, analysis)
    assert store.get_analysis(queued.id).status == "done"
    assert store.document("aaaaaaaaaaa1").profile == make_profile()


@pytest.mark.asyncio
@pytest.mark.parametrize(("status", "error"), [("done", None), ("failed", "no such operator")])
async def test_profile_is_saved_in_a_file_at_the_time_limit_with_its_status(
    store: Store, status: AnalysisStatus, error: str | None
) -> None:
    store.save_document(make_document())
    queued = store.add_analysis("aaaaaaaaaaa1", ProfileOptions(), box="")
    assert store.claim_next(RUNNER) is not None
    outgoing = Outbox(store, queued.session, queued.run)
    outgoing.set_analysis_status(queued.id, "running")
    profile = make_profile() if status == "done" else None
    with _locked(store.path):
        if profile is not None:
            outgoing.save_result(queued.run, profile)
        outgoing.add_event(Event(kind="finished", message="as it ended", run_id=queued.run))
        outgoing.set_analysis_status(queued.id, status, error)
        with pytest.raises(StoreUnavailable, match="locked"):
            await outgoing.delivered(0.05)
        assert unsaved_results.has_unsaved(store.path)
    with Store.open(store.path) as front:
        end_abandoned(front)
        ended = front.get_analysis(queued.id)
        assert (ended.status, ended.error) == (status, error)
        assert front.document(queued.run).profile == profile
        assert front.events_after(queued.session)[-1].message == "as it ended"
    assert not unsaved_results.has_unsaved(store.path)


@pytest.mark.asyncio
@pytest.mark.parametrize("waits_for", ["machine", "program"])
async def test_analysis_that_times_out_reports_what_it_waited_for(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits_for: str
) -> None:
    monkeypatch.setenv("ETUI_BOX_LOCK", str(tmp_path / "box.lock"))
    monkeypatch.setenv("ETUI_WAIT_MACHINE", "0.0001")
    monkeypatch.setattr(cache_entries, "PATIENCE_S", 0.0)
    store.save_document(make_document())
    queued = store.add_analysis("aaaaaaaaaaa1", ProfileOptions(), box="")
    assert store.claim_next(RUNNER) is not None
    cache, key = ProgramCache(tmp_path / "cache"), "0" * 32

    async def profile(analysis: Analysis, options: ProfileOptions) -> None:
        await analysis.cache.take(key, print)

    monkeypatch.setitem(run.WITH_SEVERAL_JOBS, "profile", profile)
    with contextlib.ExitStack() as held:
        if waits_for == "machine":
            machine = MachineLock()
            assert machine.acquire()
            held.callback(machine.release)
        else:
            lock = locks.take(cache_entries.lock_path(cache.program_dir(key)), exclusive=True)
            assert lock is not None
            held.callback(lock.release)
        await run_analysis(store, cast("WorkerPool", None), cache, queued)
    ended = store.get_analysis(queued.id)
    if waits_for == "machine":
        assert ended.status == "timed out" and "machine was not free" in (ended.error or "")
    else:
        assert ended.status == "failed" and "another process" in (ended.error or "")
