"""Trainings are queued with the sessions, claimed in order, logged, resumed as the same training, and deleted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from etui.errors import UsageError
from etui.events import Event
from etui.store import RunnerIdentity, Store, queue, trainings
from etui.store.quick_reads import live_work
from etui.task_training import QueuedTraining, StepFigures
from tests.documents import MODEL, make_spec
from tests.trainings import make_epoch, make_request, make_trained

OWNER = RunnerIdentity(pid=4711, host="bench-1", user="me", started_at="2026-11-20T09:59:00.000Z", installation="env")
HERE = {"box": "bench-1", "installation": "env"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "etui.db") as opened:
        yield opened


def test_trainings_and_sessions_are_claimed_in_the_order_of_the_queue(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count(10)
    for module in (queue, trainings):
        monkeypatch.setattr(module, "utc_now", lambda: f"2026-11-28T10:00:{next(seconds)}.000Z")
    first = store.add_training(make_request("/one"), **HERE)
    session = store.add_session(make_spec(), model=MODEL, box="bench-1", installation="env")
    store.add_training(make_request("/elsewhere"), box="bench-2", installation="env")
    second = store.add_training(make_request("/two"), **HERE)
    assert [(one.kind, len(one.runs)) for one in live_work(store.path)] == [
        ("training", 1), ("session", 2), ("training", 1), ("training", 1)
    ]  # fmt: skip
    claimed = [store.claim_next(OWNER) for _ in range(4)]
    assert [one.id if one else None for one in claimed] == [first.id, session.id, second.id, None]
    assert isinstance(claimed[0], QueuedTraining) and claimed[0].request == make_request("/one")
    assert [claim.id for claim in store.training_claims()] == [first.id, second.id]
    assert store.waiting_hosts("env") == {"bench-2"}
    store.take_over("bench-2", "bench-1", "env")
    assert store.has_waiting_work("bench-1", "env") and store.waiting_hosts("env") == {"bench-1"}


def test_a_training_has_a_log_epochs_and_a_result_and_only_its_last_progress(store: Store) -> None:
    queued = store.add_training(make_request(), **HERE)
    store.claim_next(OWNER)
    store.set_training_status(queued.id, "running")
    step = StepFigures(epoch=1, loss=0.5, learning_rate=0.1, images_per_second=12.0)
    for done in (1.0, 2.0):
        event = Event(kind="progress", message=f"{done}", done=done, total=4.0, left_s=2.0, step=step)
        store.add_training_event(queued.id, event)
    store.add_training_event(queued.id, Event(kind="log", message="epoch 1", epoch=make_epoch(1)))
    events = store.training_events_after(queued.id)
    assert [(event.kind, event.done, event.step) for event in events] == [("progress", 2.0, step), ("log", None, None)]
    assert store.training_events_after(queued.id, events[0].id or 0) == events[1:]
    assert store.training(queued.id[:4]).epochs == [make_epoch(1)]
    result = make_trained(make_request())
    store.save_trained(queued.id, result)
    store.set_training_status(queued.id, "done")
    ended = store.training(queued.id)
    assert (ended.status, ended.result, ended.epochs) == ("done", result, result.epochs)
    assert ended.started_at is not None and ended.finished_at is not None and not store.has_live_work()
    store.set_training_status(queued.id, "failed", "too late")
    assert store.training(queued.id) == ended


def test_a_training_that_was_interrupted_is_queued_again_with_its_log(store: Store) -> None:
    queued = store.add_training(make_request(), **HERE)
    with pytest.raises(UsageError, match="same folder"):
        store.add_training(make_request(), **HERE)
    store.claim_next(OWNER)
    assert store.request_training_cancel([queued.id, "none"]) == [queued.id]
    assert store.training_cancel_requested(queued.id) and store.training(queued.id).live
    with pytest.raises(UsageError):
        store.queue_training_again(queued.id, make_request(resume=True), **HERE)
    with pytest.raises(UsageError):
        store.delete_training(queued.id)
    store.interrupt_trainings([queued.id], "gone")
    ended = store.training(queued.id)
    assert (ended.status, ended.error) == ("interrupted", "gone")
    assert "gone" in store.training_events_after(queued.id)[-1].message
    again = store.queue_training_again(queued.id, make_request(resume=True), **HERE)
    assert (again.id, again.status, again.error, again.claimed_by) == (queued.id, "queued", None, None)
    assert again.created_at == queued.created_at and not store.training_cancel_requested(queued.id)
    claimed = store.claim_next(OWNER)
    assert isinstance(claimed, QueuedTraining) and claimed.request.resume


def test_a_waiting_training_is_cancelled_at_once_and_deleted_with_its_log(store: Store) -> None:
    one, other = (store.add_training(make_request(folder), **HERE) for folder in ("/one", "/two"))
    store.request_training_cancel([one.id])
    assert store.training(one.id).status == "cancelled"
    assert [each.id for each in store.live_trainings()] == [other.id]
    assert [each.id for each in store.trainings()] == [other.id, one.id]
    store.add_training_event(one.id, Event(kind="log", message="a line", epoch=make_epoch(1)))
    store.delete_training(one.id)
    assert store.training_events_after(one.id) == []
    for prefix in (one.id, ""):
        with pytest.raises(UsageError):
            store.training(prefix)
