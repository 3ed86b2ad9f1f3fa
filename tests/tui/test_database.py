"""The owner of the database: missing, replaced and damaged files, connections, announcements; and background work."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path

import pytest

from etui.errors import StoreError, UsageError
from etui.store import Store
from etui.tui import feed
from etui.tui.database import Database
from etui.tui.workers import start, stop_flag
from tests.documents import make_document
from tests.tui.benches import app_of, bench_table, fill, make_app, make_documents, opened
from tests.tui.hosts import notices, until

pytestmark = pytest.mark.asyncio
RUN, OTHER = "aaaaaaaaaaa1", "bbbbbbbbbbb2"


def ids(store: Store) -> list[str]:
    return sorted(run.id for run in store.summaries())


@pytest.fixture
def filled(database: Path) -> Path:
    fill(database, [make_document(RUN)])
    return database


@pytest.fixture
def another(tmp_path: Path) -> Path:
    """A second database with another run."""
    path = tmp_path / "another.db"
    fill(path, [make_document(OTHER)])
    return path


async def test_a_missing_database_is_an_error_unless_it_is_to_be_created(database: Path) -> None:
    owner = Database(database)
    with pytest.raises(StoreError, match="there is no database"):
        await owner.read(ids)
    assert not database.exists()
    await owner.write(lambda store: store.import_documents([make_document(RUN)]), create=True)
    assert await owner.read(ids) == [RUN]


async def test_a_removed_database_is_not_read_from_an_open_connection(filled: Path) -> None:
    owner = Database(filled)
    connection = owner.connect()
    assert await owner.read(ids) == [RUN] == await connection.read(ids)
    filled.unlink()
    for read in (owner.read, connection.read):
        with pytest.raises(StoreError, match="is gone"):
            await read(ids)
    assert not filled.exists()


async def test_a_replaced_database_is_opened_again(filled: Path, another: Path) -> None:
    owner = Database(filled)
    connection = owner.connect()
    seen: list[Store] = [await connection.read(lambda store: store) for _ in range(2)]
    assert seen[0] is seen[1]
    assert await owner.read(ids) == [RUN]
    for suffix in ("-wal", "-shm"):
        Path(f"{filled}{suffix}").unlink(missing_ok=True)
    another.replace(filled)
    assert await owner.read(ids) == [OTHER] == await connection.read(ids)
    assert await connection.read(lambda store: store) is not seen[0]


async def test_a_damaged_database_is_an_error_and_is_read_again_once_it_is_restored(filled: Path) -> None:
    owner = Database(filled)
    owner.open()
    copy = filled.with_name("copy.db")
    owner.close()
    shutil.copyfile(filled, copy)
    filled.write_bytes(b"no database at all" * 99)
    for _ in range(2):
        with pytest.raises(StoreError, match="not a database"):
            await owner.read(ids)
    copy.replace(filled)
    assert await owner.read(ids) == [RUN]


async def test_operations_at_the_same_time_have_separate_connections(filled: Path) -> None:
    owner = Database(filled)
    both = threading.Barrier(2)

    def meet(store: Store) -> Store:
        both.wait(20)
        return store

    first, second = await asyncio.gather(owner.read(meet), owner.read(meet))
    assert first is not second
    assert await owner.read(lambda store: store) in (first, second)


async def test_an_error_of_the_user_keeps_the_connection(filled: Path) -> None:
    owner = Database(filled)
    before = await owner.read(lambda store: store)
    with pytest.raises(UsageError):
        await owner.read(lambda store: store.resolve("nothing"))
    assert await owner.read(lambda store: store) is before
    owner.forget()
    assert await owner.read(lambda store: store) is not before


async def test_changes_are_announced_and_reads_are_not(filled: Path) -> None:
    owner = Database(filled)
    heard: list[str] = []
    stop = owner.subscribe(lambda: heard.append("changed"))
    await owner.read(ids)
    with pytest.raises(StoreError):
        await owner.write(lambda store: store.document("nothing"))
    assert heard == []
    await owner.write(lambda store: store.annotate(RUN, note="x"))
    await owner.write(lambda store: store.annotate(RUN, note="y"), announce=False)
    assert heard == ["changed"]
    stop()
    await owner.write(lambda store: store.annotate(RUN, note="z"))
    assert heard == ["changed"]


async def test_an_error_of_background_work_is_a_notice_that_the_history_keeps(database: Path) -> None:
    fill(database, make_documents(2))
    async with opened(make_app(database)) as pilot:
        bench = app_of(pilot).bench

        async def work() -> None:
            await bench.database.read(lambda store: store.document("nothing"))

        start(bench, work, title="Cannot do it")
        await until(pilot, lambda: notices(pilot.app))
        (notice,) = notices(pilot.app)
        assert (notice.severity, notice.title) == ("error", "Cannot do it") and "nothing" in notice.message
        assert [event.level for event in app_of(pilot).notice_history if "Cannot do it" in event.message] == ["error"]


async def test_work_is_cancelled_with_its_screen_and_its_thread_is_told(database: Path) -> None:
    fill(database, make_documents(2))
    async with opened(make_app(database)) as pilot:
        await pilot.press("question_mark")
        screen = pilot.app.screen
        began, ended = threading.Event(), threading.Event()

        async def work() -> None:
            with stop_flag() as stopped:

                def wait(_store: Store) -> None:
                    began.set()
                    if stopped.wait(20):
                        ended.set()

                await app_of(pilot).database.read(wait)

        worker = start(screen, work)
        await until(pilot, began.is_set)
        await pilot.press("escape")
        await until(pilot, ended.is_set)
        await until(pilot, lambda: worker.is_cancelled and worker.is_finished)
        assert notices(pilot.app) == []


@pytest.mark.slow
async def test_the_screen_follows_a_database_that_is_moved_away_put_back_and_replaced(
    database: Path, another: Path
) -> None:
    fill(database, make_documents(3))
    away = database.with_name("away.db")
    async with opened(make_app(database, live=True)) as pilot:
        table = bench_table(pilot)
        await until(pilot, lambda: app_of(pilot).bench.snapshot is not None)
        assert table.total == 3

        def displayed(words: str) -> bool:
            return any(words in notice.message for notice in notices(pilot.app))

        database.rename(away)
        await until(pilot, lambda: displayed("is gone"))
        assert table.total == 3
        away.rename(database)
        await until(pilot, lambda: displayed("can be read again"))
        for suffix in ("-wal", "-shm"):
            Path(f"{database}{suffix}").unlink(missing_ok=True)
        another.replace(database)
        await until(pilot, lambda: table.total == 1)
        await until(pilot, lambda: table.run is not None and table.run.id == OTHER)
        await until(pilot, lambda: app_of(pilot).bench.drawn == OTHER)


async def test_a_change_made_here_is_seen_without_waiting_for_the_next_look(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "IDLE_LOOK_S", 600.0)
    async with opened(make_app(filled, live=True)) as pilot:
        app = app_of(pilot)
        await until(pilot, lambda: app.bench.snapshot is not None)
        before = app.bench.snapshot
        await app.database.write(lambda store: store.annotate(RUN, note="x"))
        await until(pilot, lambda: app.bench.snapshot is not before)
