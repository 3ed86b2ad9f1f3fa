"""A document is read from the database exactly as it was stored, even if runs share its session."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from etui.events import Event
from etui.results import RunDocument
from etui.store import RunnerIdentity, Store
from etui.store.import_checks import document_from
from etui.store.transfer import encode_document
from tests.documents import MODEL, make_block, make_document, make_spec
from tests.store.strategies import any_document


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "etui.db") as opened:
        yield opened


def test_document_is_read_back_completely(store: Store) -> None:
    document = make_document()
    store.save_document(document)
    assert store.document(document.id) == document


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=any_document())
def test_any_document_is_read_back_completely(tmp_path_factory: pytest.TempPathFactory, document: RunDocument) -> None:
    with Store.open(tmp_path_factory.mktemp("any") / "etui.db") as store:
        store.save_document(document)
        assert store.document(document.id) == document
        store.save_document(document)
        assert store.document(document.id) == document
        assert store.summary(document.id).id == document.id
    assert msgspec.json.decode(encode_document(document), type=RunDocument) == document


def test_json_round_trip_gives_the_same_document(store: Store) -> None:
    document = make_document()
    store.import_documents([document_from(msgspec.json.decode(encode_document(document)))])
    assert store.document(document.id) == document
    assert encode_document(store.document(document.id)) == encode_document(document)


def test_two_runs_of_one_session_share_the_sessions_rows(store: Store) -> None:
    first, second = make_document(), make_document("aaaaaaaaaaa2", precision="int8", median=8.0)
    assert store.import_documents([first, second]) == ["new", "new"]
    assert store.import_documents([first, second]) == ["known", "known"]
    assert store.document(first.id) == first
    assert store.document(second.id) == second
    assert _row_counts(store.path)["blocks"] == 9
    assert len(store.events_after(first.session.id)) == 7


def test_block_stored_by_an_earlier_version_with_fewer_fields_is_stored_once(tmp_path: Path) -> None:
    path, document = tmp_path / "etui.db", make_document()
    with Store.open(path) as store:
        store.import_documents([document])
    before = _row_counts(path)["blocks"]
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE blocks SET detail = json_remove(detail, '$.call')")
    connection.close()
    with Store.open(path) as store:
        store.save_document(document)
        assert store.document(document.id) == document
    assert _row_counts(path)["blocks"] == before


def test_exported_run_of_a_local_session_keeps_the_order_of_its_log(store: Store) -> None:
    queued = store.add_session(make_spec(), model=MODEL, box="", installation="")
    assert store.claim_next(RunnerIdentity(pid=1, host="b", user="u", started_at="now")) is not None
    first, second = (run_id for run_id, _ in queued.runs)
    store.add_events(
        queued.id,
        [
            Event(kind="log", message=message, at=f"2026-11-20T10:00:0{seconds}.000Z", run_id=run_id)
            for seconds, (message, run_id) in enumerate(
                [("loading", None), ("exporting", first), ("other", second), ("comparing", None), ("done", first)]
            )
        ],
    )
    for run_id in (first, second):
        store.save_document(msgspec.structs.replace(store.document(run_id), status="done"))
    store.finish_session(queued.id)
    before = [store.document(run_id) for run_id in (first, second)]
    assert [line.message for line in before[0].log] == ["loading", "exporting", "comparing", "done"]
    for run_id in (first, second):
        store.delete_runs([run_id])
        exported = before[0] if run_id == first else before[1]
        assert store.import_documents([document_from(msgspec.json.decode(encode_document(exported)))]) == ["new"]
        assert [store.document(one) for one in (first, second)] == before


def test_runs_that_describe_their_session_differently_keep_their_description(store: Store) -> None:
    first, second = make_document(), make_document("aaaaaaaaaaa2", precision="int8")
    second.session = msgspec.structs.replace(second.session, spec={"other": True})
    second.eager_blocks = [make_block("eager", 0, 99.0), *second.eager_blocks[1:]]
    store.import_documents([first, second])
    assert store.document(first.id) == first
    assert store.document(second.id) == second


def test_known_run_is_not_changed_by_importing(store: Store) -> None:
    document = make_document()
    store.import_documents([document])
    store.annotate(document.id, note="mine", tags=["nightly"])
    again = make_document(median=1.0)
    assert store.import_documents([again]) == ["known"]
    stored = store.document(document.id)
    assert (stored.note, stored.tags, stored.latency_ms) == ("mine", ["nightly"], document.latency_ms)


def test_run_exported_while_live_is_not_imported_as_live(store: Store) -> None:
    document = make_document()
    document.status, document.finished_at = "measuring", None
    store.import_documents([document])
    stored = store.document(document.id)
    assert stored.status == "interrupted"
    assert stored.error is not None and "measuring" in stored.error
    assert store.live_run_ids() == []


def test_summary_agrees_with_the_document(store: Store) -> None:
    document = make_document()
    store.save_document(document)
    summary = store.summary(document.id)
    assert document.latency_ms is not None and document.speedup is not None
    assert summary.latency_median_ms == document.latency_ms.median
    assert summary.latency_ci95_ms == document.latency_ms.ci95
    assert summary.latency_p99_ms is None
    assert (summary.speedup, summary.speedup_ci95) == (document.speedup.value, document.speedup.ci95)
    assert (summary.load_ms, summary.first_inference_ms) == (21.75, 30.0)
    assert (summary.mae, summary.verdict) == (0.01, "PASS")
    assert (summary.size_bytes, summary.peak_rss_bytes) == (46_700_000, 180 << 20)
    assert (summary.weights, summary.box, summary.flags) == ("synthetic", "bench-1", ["spread"])


def test_deleting_removes_all_rows_of_a_run_and_none_of_another(store: Store) -> None:
    first, second = make_document(), make_document("aaaaaaaaaaa2", precision="int8")
    other = make_document("bbbbbbbbbbb1", session_id="5e5510000002")
    store.import_documents([first, second, other])
    assert store.delete_runs([first.id, "unknown"]) == 1
    assert store.document(second.id) == second
    assert store.document(other.id) == other
    with sqlite3.connect(store.path) as connection:
        variants = {
            row[0] for row in connection.execute("SELECT variant FROM blocks WHERE session = ?", (first.session.id,))
        }
    connection.close()
    assert variants == {"eager", "int8/xnnpack"}
    assert store.delete_runs([second.id, other.id]) == 2
    assert _row_counts(store.path) == {}


def _row_counts(path: Path) -> dict[str, int]:
    connection = sqlite3.connect(path)
    tables = [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        # The index of the parts of ids cannot be scanned.
        if not name.startswith(("sqlite_", "_sqlite", "id_parts"))
    ]
    assert "samples" in tables
    counts = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}  # noqa: S608
    connection.close()
    return {name: count for name, count in counts.items() if count}


def test_superseded_block_is_kept_in_addition_to_its_replacement(store: Store) -> None:
    document = make_document()
    spoiled = msgspec.structs.replace(document.blocks[1], superseded=True, canary_ms=(1.0, 2.0))
    document.superseded_blocks = [spoiled]
    store.import_documents([document])
    stored = store.document(document.id)
    assert stored.superseded_blocks == [spoiled] and stored.blocks == document.blocks
