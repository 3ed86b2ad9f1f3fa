"""When sessions of the queue start: what is left of the running one, and what those before them take."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from etui.events import Event
from etui.services.follow import ProgressPrinter, follow
from etui.services.progress_state import SessionProgress
from etui.services.queue_estimate import Durations, ahead_of, starts, time_left, time_until_start
from etui.spec import SessionSpec, Variant
from etui.store import QueuedSession, RunnerIdentity, Store
from tests.documents import MODEL, make_document

NOW = datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)
SPEC = SessionSpec(model="resnet18", variants=(Variant("fp32", "xnnpack"),), preset="quick")
OWNER = RunnerIdentity(pid=1, host="another-box", user="u", started_at="now")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path / "cache"))
    return Store.open(tmp_path / "etui.db")


def queued(store: Store, spec: SessionSpec = SPEC) -> QueuedSession:
    return store.add_session(spec, model=MODEL, box="another-box", installation="")


def progress(share: float, left_s: float | None) -> SessionProgress:
    return SessionProgress(share=share, stage="measure", step="", doing="", at=NOW.isoformat(), left_s=left_s)


def test_what_is_left_comes_from_the_progress_else_from_the_share_of_the_estimate() -> None:
    later = NOW + timedelta(seconds=10)
    assert time_left(progress(0.5, 40.0), 1000.0, later) == 30.0
    assert time_left(progress(0.25, None), 100.0, later) == 75.0
    assert time_left(None, 100.0, later) == 100.0
    assert time_left(progress(0.25, None), None, later) is None


def test_a_session_starts_after_all_before_it_and_not_known_after_an_unknown_one() -> None:
    assert starts([10.0, 20.0, None, 5.0]) == [10.0, 30.0, None, None]


def test_the_wait_is_the_sum_of_those_before_and_less_once_one_has_begun(store: Store) -> None:
    first, second, last = queued(store), queued(store), queued(store)
    before = store.sessions_waiting_before(last.id)
    assert [session.id for session in before] == [first.id, second.id]
    each = Durations().of(store, first)
    assert each is not None
    both = time_until_start(store, before, Durations())
    assert both == pytest.approx(2 * each)
    assert store.claim_next(OWNER) is not None
    store.add_event(first.id, Event(kind="stage", stage="measure", message="measuring", total=6))
    running = time_until_start(store, store.sessions_waiting_before(last.id), Durations())
    assert running is not None and each < running < 2 * each


def test_similar_runs_decide_and_are_read_once(store: Store) -> None:
    durations, session = Durations(), queued(store)
    by_size = durations.of(store, session)
    store.import_documents([make_document("aaaaaaaaaaa1")])
    assert durations.of(store, session) == by_size
    durations.keep([])
    assert durations.of(store, session) != by_size


def test_nothing_is_known_of_a_model_that_is_gone(store: Store, tmp_path: Path) -> None:
    gone = queued(store, msgspec.structs.replace(SPEC, model=str(tmp_path / "net.py:make")))
    assert Durations().of(store, gone) is None
    assert time_until_start(store, [gone], Durations()) is None


def test_the_duration_of_a_model_of_unknown_size_is_unknown_without_similar_runs(store: Store, tmp_path: Path) -> None:
    config = {"architectures": ["BertModel"], "model_type": "bert", "vocab_size": 100}
    (tmp_path / "config.json").write_text(json.dumps(config))
    session = queued(store, msgspec.structs.replace(SPEC, model=f"hf:{tmp_path}"))
    assert Durations().of(store, session) is None
    model = msgspec.structs.replace(MODEL, name=tmp_path.name)
    store.import_documents([make_document("aaaaaaaaaaa1", model=model)])
    assert Durations().of(store, session) is not None


def test_what_is_ahead_is_one_text(store: Store) -> None:
    first, second, last = queued(store), queued(store), queued(store)
    assert ahead_of(store, first.id).sessions == 0
    ahead = ahead_of(store, last.id)
    assert (ahead.sessions, ahead.first_model) == (2, "resnet18")
    assert ahead.text.startswith("2 sessions ahead in the queue, about ")
    assert ahead_of(store, second.id).text.startswith("1 session ahead in the queue, about ")


def test_who_follows_a_waiting_session_reads_what_is_ahead(store: Store) -> None:
    queued(store)
    last, out = queued(store), io.StringIO()
    follow(store, last, ProgressPrinter(out, {}), stop=lambda: True)
    assert out.getvalue().count("1 session ahead in the queue, about ") == 1
