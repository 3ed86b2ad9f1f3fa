"""Analyses of finished runs: queued together with the sessions, and the storage of profiles."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from etui.analysis_kinds.profile import ProfileOptions
from etui.errors import UsageError
from etui.events import utc_now
from etui.store import Condition, QueuedAnalysis, QueuedSession, RunnerIdentity, Store, schema
from tests.documents import MODEL, make_document, make_spec
from tests.profiles import make_profile
from tests.store.test_upgrade import schema_of, unpacked

RUNNER = RunnerIdentity(pid=7, host="bench-1", user="u", started_at="2026-11-20T10:00:00.000Z")
RUN = "aaaaaaaaaaa1"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = Store.open(tmp_path / "etui.db")
    opened.save_document(make_document(RUN))
    return opened


def _wait_for_clock(moment: str) -> None:
    """Wait until the clock has advanced: two analyses queued within a millisecond have no order."""
    while utc_now() <= moment:
        pass


def test_analyses_and_sessions_are_claimed_in_the_order_they_were_queued(store: Store) -> None:
    first = store.add_analysis(RUN, ProfileOptions(), box="bench-1")
    _wait_for_clock(first.created_at)
    session = store.add_session(make_spec(), model=MODEL, box="bench-1")
    _wait_for_clock(session.created_at)
    second = store.add_analysis(RUN, ProfileOptions(inferences=3), box="bench-1")
    elsewhere = store.add_analysis(RUN, ProfileOptions(inferences=4), box="bench-2")
    assert store.has_waiting_work("bench-1", "")
    claimed = [store.claim_next(RUNNER) for _ in range(3)]
    assert [one.id for one in claimed if one is not None] == [first.id, session.id, second.id]
    assert isinstance(claimed[0], QueuedAnalysis) and isinstance(claimed[1], QueuedSession)
    assert (claimed[0].run, claimed[0].kind, claimed[0].options) == (RUN, "profile", ProfileOptions())
    assert store.claim_next(RUNNER) is None
    assert not store.has_waiting_work("bench-1", "") and store.has_waiting_work("bench-2", "")
    assert [one.id for one in store.live_analyses(RUN)] == [first.id, second.id, elsewhere.id]


def test_same_analysis_is_not_queued_twice(store: Store) -> None:
    first = store.add_analysis(RUN, ProfileOptions(), box="")
    assert store.add_analysis(RUN, ProfileOptions(), box="").id == first.id
    assert store.add_analysis(RUN, ProfileOptions(eager=False), box="").id != first.id
    store.request_analysis_cancel([first.id])
    assert store.add_analysis(RUN, ProfileOptions(), box="").id != first.id


def test_unclaimed_analysis_is_cancelled_at_once_and_a_running_one_is_requested_to_stop(store: Store) -> None:
    waiting = store.add_analysis(RUN, ProfileOptions(), box="bench-1")
    assert store.request_analysis_cancel([waiting.id, "unknown"]) == [waiting.id]
    assert store.get_analysis(waiting.id).status == "cancelled"
    running = store.add_analysis(RUN, ProfileOptions(), box="bench-1")
    store.claim_next(RUNNER)
    store.set_analysis_status(running.id, "running")
    assert not store.analysis_cancel_requested(running.id)
    store.request_analysis_cancel([running.id])
    assert store.analysis_cancel_requested(running.id)
    assert store.get_analysis(running.id).status == "running"


def test_analysis_of_an_ended_runner_is_interrupted_and_a_finished_one_is_not_changed(store: Store) -> None:
    queued = store.add_analysis(RUN, ProfileOptions(), box="bench-1")
    store.claim_next(RUNNER)
    assert [(claim.id, claim.by, claim.installation) for claim in store.analysis_claims()] == [
        (queued.id, RUNNER.key, "")
    ]
    store.interrupt_analyses([queued.id])
    store.set_analysis_status(queued.id, "done")
    store.interrupt_analyses([queued.id])
    ended = store.get_analysis(queued.id)
    events = [event for event in store.events_after(ended.session) if event.kind == "finished"]
    assert [(event.run_id, event.stage, event.level) for event in events] == [(RUN, "profile", "warning")]
    assert (ended.status, ended.live) == ("interrupted", False)
    assert ended.error and ended.finished_at
    assert store.analysis_claims() == []
    last = store.last_analysis(RUN, "profile")
    assert last is not None and last.id == queued.id


def test_only_a_run_that_ended_with_a_program_can_be_analysed(store: Store) -> None:
    session = store.add_session(make_spec(), model=MODEL, box="")
    with pytest.raises(UsageError, match="is queued"):
        store.add_analysis(session.runs[0][0], ProfileOptions(), box="")
    without = make_document("aaaaaaaaaaa2")
    without.artifact, without.status, without.error = None, "failed", "lowering failed"
    store.save_document(without)
    with pytest.raises(UsageError, match=r"no program .*lowering failed"):
        store.add_analysis(without.id, ProfileOptions(), box="")
    with pytest.raises(UsageError, match="there is no run"):
        store.add_analysis("unknown", ProfileOptions(), box="")


def test_run_being_analysed_cannot_be_deleted_and_its_rows_are_deleted_with_it(store: Store) -> None:
    queued = store.add_analysis(RUN, ProfileOptions(), box="")
    with pytest.raises(UsageError, match="is in progress"):
        store.delete_runs([RUN])
    store.request_analysis_cancel([queued.id])
    store.save_result(RUN, make_profile())
    store.delete_runs([RUN])
    store.save_result(RUN, make_profile())
    with sqlite3.connect(store.path) as connection:
        for table in ("passes", "operators", "origins"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0  # noqa: S608 - named above


@pytest.mark.parametrize("damage", ['options = \'{"type":"gap"}\'', "options = '{'", "kind = 'of a newer etui'"])
def test_analysis_with_unreadable_options_fails_and_does_not_block_the_next(store: Store, damage: str) -> None:
    broken = store.add_analysis(RUN, ProfileOptions(), box="")
    waiting = store.add_analysis(RUN, ProfileOptions(inferences=3), box="")
    with sqlite3.connect(store.path) as connection:
        connection.execute(f"UPDATE passes SET {damage} WHERE id = ?", (broken.id,))  # noqa: S608 - named above
    claimed = store.claim_next(RUNNER)
    assert claimed is not None and claimed.id == waiting.id
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("SELECT status FROM passes WHERE id = ?", (broken.id,)).fetchone()[0] == "failed"


def test_profile_is_stored_with_its_run_and_replaced_as_a_whole(store: Store) -> None:
    before = store.document(RUN)
    for count in (30, 4):
        profile = make_profile(count)
        store.save_result(RUN, profile)
        stored = store.document(RUN)
        assert stored.profile == profile
        stored.profile = None
        assert stored == before
    light = store.document(RUN, operators=False).profile
    assert light is not None and light.eager is not None
    assert (light.program.operators, light.eager.operators) == ([], [])
    assert light.program.operators_ms == profile.program.operators_ms


def test_runs_stored_by_version_2_can_be_profiled(tmp_path: Path) -> None:
    path = unpacked("schema2.db", tmp_path)
    assert schema_of(path) == 2
    with Store.open(path) as store:
        (run,) = [one.id for one in store.summaries([Condition("status", "=", "done")]) if one.size_bytes][:1]
        before = store.document(run)
        store.save_result(run, make_profile())
        assert store.document(run) == msgspec.structs.replace(before, profile=make_profile())
        queued = store.add_analysis(run, ProfileOptions(), box="")
        assert store.live_analyses() == [queued]
    assert schema_of(path) == schema.VERSION


def test_exported_profile_can_be_imported_completely(store: Store, tmp_path: Path) -> None:
    from etui.store.import_checks import document_from
    from etui.store.transfer import encode_document

    store.save_result(RUN, make_profile(30))
    exported = encode_document(store.document(RUN))
    with Store.open(tmp_path / "other.db") as other:
        other.import_documents([document_from(msgspec.json.decode(exported))])
        assert encode_document(other.document(RUN)) == exported
        light = other.document(RUN, operators=False).profile
        assert light is not None and light.program.operators == []
    with sqlite3.connect(tmp_path / "other.db") as connection:
        stored = connection.execute(
            "SELECT json_extract(detail, '$.profile.program.operators') FROM details"
        ).fetchone()
        assert stored[0] == "[]"
    connection.close()
