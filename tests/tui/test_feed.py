"""The feed: each look says what is new, and a database in trouble is a word, never an end."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from etui.analysis_kinds.profile import ProfileOptions
from etui.events import Event
from etui.host.user import user_name
from etui.spec import SessionSpec, Variant
from etui.store import QueuedSession, RunnerIdentity, Store
from etui.tui import feed as feed_module
from etui.tui.database import Database
from etui.tui.feed import Feed, Snapshot
from tests.documents import MODEL, make_document

SPEC = SessionSpec(model="resnet18", variants=(Variant("fp32", "xnnpack"), Variant("int8", "xnnpack")))


@pytest.fixture
def store(database: Path) -> Store:
    return Store.open(database)


def looker(database: Path) -> Feed:
    return Feed(Database(database), lambda snapshot: None, lambda error: None)


def seen(feed: Feed) -> Snapshot:
    snapshot = feed.look()
    assert snapshot is not None
    return snapshot


def queued(store: Store) -> QueuedSession:
    # The machine has another name, so that no runner is started for it here.
    return store.add_session(SPEC, model=MODEL, box="another-machine")


def test_a_quiet_database_is_told_once(store: Store, database: Path) -> None:
    feed = looker(database)
    assert seen(feed).sessions == ()
    assert feed.look() is None


def test_only_a_queue_of_several_sessions_has_estimates(store: Store, database: Path) -> None:
    feed = looker(database)
    queued(store)
    assert [live.duration_s for live in seen(feed).sessions] == [None]
    queued(store)
    assert all(live.duration_s for live in seen(feed).sessions)


def test_a_session_is_seen_from_queued_to_its_end(store: Store, database: Path) -> None:
    feed = looker(database)
    seen(feed)
    session = queued(store)
    waiting = seen(feed)
    assert waiting.changed and waiting.current is None
    assert [run.status for run in waiting.sessions[0].runs] == ["queued", "queued"]

    owner = RunnerIdentity(pid=1, host="another-machine", user="u", started_at="now")
    assert store.claim_next(owner) is not None
    first, second = (run_id for run_id, _ in session.runs)
    store.set_status(first, "measuring")
    store.add_event(session.id, Event(kind="stage", message="measuring", stage="measure"))
    store.add_event(session.id, Event(kind="progress", message="block 1 of 6: eager", stage="measure"))
    live = seen(feed)
    assert live.current is not None
    assert [run.status for run in live.current.runs] == ["measuring", "queued"]
    assert live.current.progress is not None and live.current.progress.is_measuring
    assert live.current.progress.step == "block 1 of 6"
    assert [event.kind for event in live.events[session.id]] == ["stage", "progress"]

    store.add_event(session.id, Event(kind="finished", message="done"))
    store.set_status(first, "done")
    store.set_status(second, "failed", "no")
    ended = seen(feed)
    assert ended.sessions == ()
    assert set(ended.ended) == {first, second}
    assert [event.kind for event in ended.events[session.id]] == ["finished"]


def test_an_analysis_of_a_dead_runner_does_not_look_alive(store: Store, database: Path) -> None:
    document = make_document("aaaaaaaaaaa1")
    store.save_document(document)
    dropped = store.add_analysis(document.id, ProfileOptions(), box=socket.gethostname())
    gone = RunnerIdentity(pid=2**22 + 1, host=socket.gethostname(), user=user_name(), started_at="now")
    assert store.claim_next(gone) is not None
    looker(database).look()
    assert store.get_analysis(dropped.id).status == "interrupted"


def test_a_live_session_is_told_at_every_look(store: Store, database: Path) -> None:
    feed = looker(database)
    queued(store)
    assert seen(feed).changed
    again = seen(feed)
    assert not again.changed and again.events == {} and len(again.sessions) == 1


def test_a_database_that_is_gone_is_said_and_found_again(store: Store, database: Path) -> None:
    feed = looker(database)
    seen(feed)
    away = database.with_name("away.db")
    database.rename(away)
    assert "is gone" in (seen(feed).problem or "")
    assert feed.look() is None
    away.rename(database)
    back = seen(feed)
    assert back.problem is None and back.changed


def test_a_damaged_database_is_said_and_another_in_its_place_is_read(database: Path) -> None:
    database.write_bytes(b"this is no database" * 100)
    feed = looker(database)
    assert "not a database" in (seen(feed).problem or "")
    database.unlink()
    with Store.open(database) as store:
        queued(store)
    assert len(seen(feed).sessions) == 1


@pytest.mark.asyncio
async def test_it_posts_and_can_be_nudged_and_reports_a_defect(
    store: Store, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "IDLE_LOOK_S", 600.0)
    posted: asyncio.Queue[Snapshot] = asyncio.Queue()
    defects: asyncio.Queue[Exception] = asyncio.Queue()
    feed = Feed(Database(database), posted.put_nowait, defects.put_nowait)
    polling = asyncio.create_task(feed.run())
    async with asyncio.timeout(20):
        assert (await posted.get()).sessions == ()
        queued(store)
        feed.nudge()
        assert len((await posted.get()).sessions) == 1
        monkeypatch.setattr(feed_module, "DEFECT_REST_S", 0.0)
        monkeypatch.setattr(Store, "data_version", lambda _store: 1 / 0)
        feed.nudge()
        assert isinstance(await defects.get(), ZeroDivisionError)
        monkeypatch.undo()
        # It goes on, and reads everything again.
        assert len((await posted.get()).sessions) == 1
    polling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await polling
