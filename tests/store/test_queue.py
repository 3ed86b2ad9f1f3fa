"""The queue from both sides: front ends that add and cancel, runners that claim, report and end."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from etui.errors import StoreError, UsageError
from etui.events import Event
from etui.spec import Priority, SessionSpec
from etui.store import QueuedSession, RunnerIdentity, Store
from tests.documents import MODEL, make_block, make_document, make_spec

RUNNER = RunnerIdentity(pid=7, host="bench-1", user="u", started_at="2026-11-20T10:00:00.000Z")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "etui.db")


def test_sessions_are_claimed_once_and_oldest_first(store: Store) -> None:
    first = store.add_session(make_spec(), model=MODEL, box="bench-1")
    second = store.add_session(make_spec(), model=MODEL, box="bench-1")
    other = Store.open(store.path)
    assert [session.id for session in store.sessions_waiting_before(second.id)] == [first.id]
    claimed = other.claim_next(RUNNER)
    assert isinstance(claimed, QueuedSession)
    assert (claimed.id, claimed.spec, claimed.runs) == (first.id, first.spec, first.runs)
    assert claimed.claimed_by == RUNNER.key
    assert (next_one := store.claim_next(RUNNER)) is not None
    assert next_one.id == second.id
    assert store.claim_next(RUNNER) is None
    other.finish_session(first.id)
    assert store.sessions_waiting_before(second.id) == []


def test_waiting_sessions_change_places_whenever_they_were_queued(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two of them within a millisecond.
    times = iter(["2026-11-20T10:00:00.000Z", "2026-11-20T10:00:01.000Z", "2026-11-20T10:00:01.000Z"])
    monkeypatch.setattr("etui.store.queue.utc_now", lambda: next(times))
    a, b, c = (store.add_session(make_spec(), model=MODEL, box="bench-1").id for _ in range(3))
    monkeypatch.undo()

    def order() -> list[str]:
        return [session_id for session_id, _, _ in store.waiting_sessions()]

    assert order() == [a, b, c]
    assert store.move_session(c, earlier=True) and order() == [a, c, b]
    assert store.move_session(a, earlier=False) and order() == [c, a, b]
    assert not store.move_session(c, earlier=True) and not store.move_session(b, earlier=False)
    claimed = store.claim_next(RUNNER)
    assert claimed is not None and claimed.id == c
    assert not store.move_session(c, earlier=False) and not store.move_session(a, earlier=True)
    assert order() == [a, b]


def test_a_session_is_queued_before_those_of_lower_priority(store: Store) -> None:
    def add(priority: Priority) -> str:
        spec = msgspec.structs.replace(make_spec(), priority=priority)
        queued = store.add_session(spec, model=MODEL, box="bench-1")
        assert queued == store.session(queued.id)
        return queued.id

    low, normal = add("low"), add("normal")
    assert store.claim_next(RUNNER) is not None, "what was first in the queue runs"
    other_low, other_normal, high, other_high = add("low"), add("normal"), add("high"), add("high")
    order = [session_id for session_id, _, _ in store.waiting_sessions()]
    assert order == [high, other_high, other_normal, low, other_low]
    assert store.session(normal).claimed_by is not None


def test_session_of_another_host_is_not_claimed(store: Store) -> None:
    store.add_session(make_spec(), model=MODEL, box="bench-2")
    assert store.claim_next(RUNNER) is None


def test_session_of_another_installation_is_not_claimed(store: Store) -> None:
    session = store.add_session(make_spec(), model=MODEL, box="bench-1", installation="one")
    other = msgspec.structs.replace(RUNNER, installation="two")
    assert store.claim_next(other) is None
    assert not store.has_waiting_work("bench-1", "two")
    assert store.has_waiting_work("bench-1", "one")
    claimed = store.claim_next(msgspec.structs.replace(RUNNER, installation="one"))
    assert claimed is not None and claimed.id == session.id


def test_duplicate_variant_is_one_run_and_no_variant_is_refused(store: Store) -> None:
    twice = store.add_session(make_spec(("fp32", "xnnpack"), ("fp32", "xnnpack")), model=MODEL, box="")
    assert len(twice.runs) == 1
    with pytest.raises(UsageError):
        store.add_session(SessionSpec(model="resnet18", variants=()), model=MODEL, box="")


def test_unclaimed_run_is_cancelled_at_once(store: Store) -> None:
    session = store.add_session(make_spec(), model=MODEL, box="bench-1")
    first, second = (run_id for run_id, _ in session.runs)
    assert store.request_cancel([first, "unknown"]) == [first]
    assert store.summary(first).status == "cancelled"
    claimed = store.claim_next(RUNNER)
    assert isinstance(claimed, QueuedSession)
    assert [run_id for run_id, _ in claimed.runs] == [second]
    assert store.cancel_requested(session.id) == set()
    assert store.request_cancel([first, second]) == [second]
    assert store.summary(second).status == "queued"
    assert store.cancel_requested(session.id) == {second}
    store.set_status(second, "cancelled")
    assert store.cancel_requested(session.id) == set()


def test_session_with_all_runs_cancelled_is_never_claimed(store: Store) -> None:
    session = store.add_session(make_spec(), model=MODEL, box="bench-1")
    store.request_cancel([run_id for run_id, _ in session.runs])
    assert store.claim_next(RUNNER) is None
    assert store.live_run_ids() == []


def test_status_of_an_ended_run_is_not_changed(store: Store) -> None:
    session = store.add_session(make_spec(), model=MODEL, box="bench-1")
    run_id = session.runs[0][0]
    store.set_status(run_id, "preparing")
    started = store.summary(run_id).started_at
    store.set_status(run_id, "measuring")
    assert started is not None and store.summary(run_id).started_at == started
    store.set_status(run_id, "failed", "the worker was killed\udcff")
    store.set_status(run_id, "measuring")
    summary = store.summary(run_id)
    assert (summary.status, summary.error) == ("failed", "the worker was killed?")
    assert summary.finished_at is not None


def test_runs_of_an_ended_runner_are_interrupted(store: Store) -> None:
    session = store.add_session(make_spec(), model=MODEL, box="bench-1")
    waiting = store.add_session(make_spec(), model=MODEL, box="bench-1")
    store.claim_next(RUNNER)
    store.set_status(session.runs[0][0], "done")
    (claim,) = store.claims()
    assert (claim.id, claim.by, claim.pid, claim.host, claim.user) == (session.id, RUNNER.key, 7, "bench-1", "u")
    assert claim.started_at == RUNNER.started_at
    assert store.waiting_sessions() == [(waiting.id, "bench-1", "")]
    assert store.end_left(session.id, []) == [session.runs[1][0]]
    assert store.claims() == []
    assert store.summary(session.runs[1][0]).status == "interrupted"
    assert store.summary(session.runs[0][0]).status == "done"
    assert store.summary(waiting.runs[0][0]).status == "queued"
    assert store.session(session.id).finished_at is not None


def test_results_of_an_ended_runner_replace_only_live_runs(store: Store) -> None:
    session = store.add_session(make_spec(), model=MODEL, box="bench-1")
    store.claim_next(RUNNER)
    (first, _), (second, _) = session.runs
    done = make_document(first, session_id=session.id)
    store.save_document(done)
    left = [
        msgspec.structs.replace(make_document(run_id, session_id=session.id), status="interrupted", error="gone")
        for run_id in (first, second)
    ]
    assert store.end_left(session.id, left, "gone") == [second]
    assert store.summary(first).status == "done"
    ended = store.summary(second)
    assert (ended.status, ended.error) == ("interrupted", "gone")
    assert [(line.kind, line.message) for line in store.document(second).log][-1] == ("finished", "interrupted: gone")
    assert ended.latency_median_ms is not None


def test_finished_session_has_no_live_runs(store: Store) -> None:
    session = store.add_session(make_spec(), model=MODEL, box="bench-1")
    (first, _), (second, _) = session.runs
    store.claim_next(RUNNER)
    store.set_status(first, "cancelled")
    store.set_status(second, "measuring")
    store.finish_session(session.id)
    assert (store.summary(first).status, store.summary(second).status) == ("cancelled", "failed")
    assert store.finished_with_live_runs() == []
    # Earlier versions could leave this state.
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE runs SET status = 'measuring', finished_at = NULL WHERE id = ?", (second,))
    assert store.finished_with_live_runs() == [session.id]
    assert store.end_left(session.id, []) == [second]
    assert store.summary(second).status == "interrupted"


def test_partial_document_is_stored_and_the_run_stays_live(store: Store) -> None:
    session = store.add_session(make_spec(), model=MODEL, box="bench-1")
    run_id, variant = session.runs[0]
    store.set_status(run_id, "measuring")
    before = store.summary(run_id)
    store.add_block(session.id, make_block(variant.label, 0))
    store.add_event(session.id, Event(kind="log", message="logged live", run_id=run_id))
    found_out = make_document(run_id, session_id=session.id)
    store.save_partial(found_out)
    store.add_block(session.id, make_block(variant.label, 1))
    store.add_event(session.id, Event(kind="log", message="logged later", run_id=run_id))
    after, document = store.summary(run_id), store.document(run_id)
    assert (after.status, after.started_at, after.finished_at, after.error) == (
        "measuring", before.started_at, None, None
    )  # fmt: skip
    assert (document.weights, document.inputs, document.environment) == (
        found_out.weights, found_out.inputs, found_out.environment
    )  # fmt: skip
    assert (document.artifact, document.delegation, document.stages) == (
        found_out.artifact, found_out.delegation, found_out.stages
    )  # fmt: skip
    assert (document.accuracy, document.memory) == (found_out.accuracy, found_out.memory)
    # Blocks and log come from the session as it continues, not from the document.
    assert document.blocks == [make_block(variant.label, 0), make_block(variant.label, 1)]
    assert [line.message for line in document.log] == ["logged live", "logged later"]
    assert store.session(session.id).runs == session.runs


def test_ended_run_is_not_changed_by_a_partial_document(store: Store) -> None:
    document = make_document()
    store.save_document(document)
    store.save_partial(msgspec.structs.replace(document, weights=None, accuracy=None))
    assert store.document(document.id) == document


def test_events_are_read_after_the_last_id(store: Store) -> None:
    session = store.add_session(make_spec(), model=MODEL, box="bench-1")
    first, second = (run_id for run_id, _ in session.runs)
    store.add_event(session.id, Event(kind="log", message="for all \udcff"))
    last = store.add_event(session.id, Event(kind="stage", message="lower", run_id=first, stage="lower"))
    store.add_event(session.id, Event(kind="progress", message="", run_id=second, done=1, total=4, left_s=2.5))
    assert [event.message for event in store.events_after(session.id, 0, first)] == ["for all ?", "lower"]
    (progress,) = store.events_after(session.id, last)
    assert (progress.done, progress.total, progress.left_s) == (1, 4, 2.5)
    assert progress.at


def test_document_of_a_live_run_is_partial(store: Store) -> None:
    session = store.add_session(make_spec(), model=MODEL, box="bench-1")
    run_id, variant = session.runs[0]
    eager, own = make_block("eager", 0), make_block(variant.label, 0)
    for block in (eager, own, own, make_block("int8/xnnpack", 0)):
        store.add_block(session.id, block)
    store.add_event(session.id, Event(kind="log", message="hello", run_id=run_id))
    document = store.document(run_id)
    assert (document.status, document.model, document.blocks, document.eager_blocks) == (
        "queued", MODEL, [own], [eager]
    )  # fmt: skip
    assert [line.message for line in document.log] == ["hello"]
    assert document.session.spec["model"] == "resnet18"


def test_result_replaces_the_queued_row_and_keeps_the_users_note(store: Store) -> None:
    session = store.add_session(make_spec(), model=MODEL, box="bench-1")
    run_id, variant = session.runs[0]
    store.add_block(session.id, make_block(variant.label, 0))
    store.add_event(session.id, Event(kind="log", message="logged live", run_id=run_id))
    store.annotate(run_id, note="mine")
    document = make_document(run_id, session_id=session.id)
    document.log = []
    store.save_document(document)
    store.add_event(session.id, Event(kind="finished", message="logged after", run_id=run_id))
    stored = store.document(run_id)
    assert (stored.note, stored.tags, stored.latency_ms) == ("mine", ["tag"], document.latency_ms)
    assert stored.blocks == document.blocks
    assert [line.message for line in stored.log] == ["logged live", "logged after"]
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("SELECT count(*) FROM blocks").fetchone()[0] == 6
    connection.close()
    assert store.session(session.id).runs == session.runs


def test_data_version_changes_when_another_store_has_written(store: Store) -> None:
    before = store.data_version()
    assert store.data_version() == before
    with Store.open(store.path) as other:
        other.add_session(make_spec(), model=MODEL, box="")
    assert store.data_version() != before


def test_name_that_is_not_utf8_is_reported_in_one_line(store: Store) -> None:
    with pytest.raises(StoreError, match="not valid UTF-8"):
        store.add_session(make_spec(model="/a/\udcff.pt2"), model=MODEL, box="")
    assert store.count() == 0


def test_unreadable_session_fails_and_does_not_block_the_next(store: Store) -> None:
    broken = store.add_session(make_spec(), model=MODEL, box="")
    waiting = store.add_session(make_spec(), model=MODEL, box="")
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE sessions SET spec = '{' WHERE id = ?", (broken.id,))
    claimed = store.claim_next(RUNNER)
    assert claimed is not None and claimed.id == waiting.id
    assert {store.summary(run_id).status for run_id, _ in broken.runs} == {"failed"}
