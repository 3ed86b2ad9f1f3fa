"""Whether the runner that made a claim is alive, and what happens to the work of a runner that has ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from etui.analysis_kinds.profile import ProfileOptions
from etui.events import utc_now
from etui.host.user import user_name
from etui.runner import abandoned_work
from etui.runner.abandoned_work import end_abandoned, owner_state, take_over
from etui.runner.runner_lock import RunnerLock
from etui.store import Claim, QueuedAnalysis, QueuedSession, RunnerIdentity, Store
from tests.documents import MODEL, make_block, make_document, make_spec
from tests.machines import until

GONE_PID = 2**22 + 1


def _claim(
    host: str | None = None, pid: int = GONE_PID, started_at: str | None = None, user: str | None = None
) -> Claim:
    runner = RunnerIdentity(
        pid=pid, host=host or socket.gethostname(), user=user or user_name(), started_at=started_at or utc_now(),
        installation="here",
    )  # fmt: skip
    return Claim(id="1", by=runner.key, pid=pid, host=runner.host, user=runner.user, installation=runner.installation)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ETUI_STATE", str(tmp_path / "state"))
    return tmp_path / "etui.db"


@pytest.mark.parametrize("host", [None, "container-1"])
def test_lock_shows_whether_a_runner_is_alive_whatever_its_host_name(database: Path, host: str | None) -> None:
    claim = _claim(host)
    runner_lock = RunnerLock(database, "here", claim.host)
    assert runner_lock.take()
    assert owner_state(database, claim) == "alive"
    runner_lock.drop()
    assert owner_state(database, claim) == "gone"


def test_runner_of_another_host_is_unknown_on_a_network_file_system(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(abandoned_work, "is_network", lambda _path: True)
    for claim in (_claim("container-1"), _claim()):
        runner_lock = RunnerLock(database, "here", claim.host)
        assert runner_lock.take()
        runner_lock.drop()
    assert owner_state(database, _claim("container-1")) == "unknown"
    assert owner_state(database, _claim()) == "gone"


def test_runner_recognizes_earlier_claims_under_its_own_lock(database: Path) -> None:
    own, before, elsewhere = _claim(), _claim(started_at="2026-01-01T00:00:00.000Z"), _claim("container-1")
    runner_locks = [RunnerLock(database, "here"), RunnerLock(database, "here", "container-1")]
    assert all(runner_lock.take() for runner_lock in runner_locks)
    assert [owner_state(database, claim, own) for claim in (own, before, elsewhere)] == ["alive", "gone", "alive"]


@pytest.fixture
def older_runner() -> Iterator[int]:
    """Start a process that resembles a runner of an earlier version, which holds no lock next to the database."""
    with subprocess.Popen([sys.executable, "-c", "input()", "etui.runner"], stdin=subprocess.PIPE) as process:
        command = Path(f"/proc/{process.pid}/cmdline")
        until(lambda: b"etui.runner" in command.read_bytes())
        yield process.pid
        process.kill()


def test_process_decides_without_a_lock(database: Path, older_runner: int) -> None:
    assert owner_state(database, _claim(pid=older_runner)) == "alive"
    assert owner_state(database, _claim(pid=GONE_PID)) == "gone"
    assert owner_state(database, _claim(pid=os.getpid())) == "gone"
    # Process ids of another host have no meaning here, and processes of another user may be hidden.
    assert owner_state(database, _claim("container-1", pid=older_runner)) == "unknown"
    assert owner_state(database, _claim(user="somebody-else")) == "unknown"


def test_process_started_after_the_claim_did_not_make_it(database: Path, older_runner: int) -> None:
    long_ago = datetime.fromtimestamp(time.time(), UTC) - timedelta(hours=1)
    claim = _claim(pid=older_runner, started_at=long_ago.isoformat())
    assert owner_state(database, claim) == "gone"


def test_abandoned_run_keeps_its_partial_results(database: Path) -> None:
    with Store.open(database) as store:
        session = store.add_session(make_spec(), model=MODEL, box="container-1", installation="here")
        runner = RunnerIdentity(pid=7, host="container-1", user="u", started_at=utc_now(), installation="here")
        assert store.claim_next(runner) is not None
        runner_lock = RunnerLock(database, "here", "container-1")
        assert runner_lock.take()
        (first, variant), (second, _) = session.runs
        whole = make_document(first, session_id=session.id)
        store.save_partial(
            msgspec.structs.replace(whole, latency_ms=None, eager_latency_ms=None, speedup=None, flags=[])
        )
        for index in range(3):
            store.add_block(session.id, make_block(variant.label, index))
            store.add_block(session.id, make_block("eager", index, 20.0))
        assert end_abandoned(store) == []
        runner_lock.drop()
        assert end_abandoned(store) == [first, second]
        run = store.document(first)
        assert (run.status, run.accuracy, run.weights) == ("interrupted", whole.accuracy, whole.weights)
        assert run.latency_ms is not None and run.latency_ms.median is not None and run.speedup is not None
        assert store.summary(second).status == "interrupted"
        assert store.session(session.id).finished_at is not None
        assert store.delete_runs([first, second]) == 2
    assert not list(database.parent.glob(".*.runner"))


def test_finished_session_with_a_live_run_is_repaired(database: Path) -> None:
    with Store.open(database) as store:
        session = store.add_session(make_spec(), model=MODEL, box="bench-1")
        run_id, variant = session.runs[0]
        store.add_block(session.id, make_block(variant.label, 0))
        with store._database.write() as connection:
            connection.execute("UPDATE sessions SET claimed_by = 'x', finished_at = '2026' WHERE id = ?", (session.id,))
            connection.execute("UPDATE runs SET status = 'measuring' WHERE id = ?", (run_id,))
        assert set(end_abandoned(store)) == {run for run, _ in session.runs}
        ended = store.document(run_id)
        assert ended.status == "interrupted" and ended.latency_ms is not None


def test_analysis_of_an_ended_runner_is_interrupted_whatever_its_host_name(database: Path) -> None:
    with Store.open(database) as store:
        store.save_document(make_document())
        queued = store.add_analysis("aaaaaaaaaaa1", ProfileOptions(), box="container-1", installation="here")
        runner = RunnerIdentity(pid=7, host="container-1", user="u", started_at=utc_now(), installation="here")
        assert store.claim_next(runner) is not None
        runner_lock = RunnerLock(database, "here", "container-1")
        assert runner_lock.take()
        end_abandoned(store)
        assert store.get_analysis(queued.id).live
        runner_lock.drop()
        end_abandoned(store)
        assert store.get_analysis(queued.id).status == "interrupted"


def _queued_elsewhere(store: Store, host: str) -> tuple[str, str]:
    """Queue a session and an analysis that wait for a runner of that host."""
    store.save_document(make_document())
    session = store.add_session(make_spec(), model=MODEL, box=host, installation="here")
    return session.id, store.add_analysis("aaaaaaaaaaa1", ProfileOptions(), box=host, installation="here").id


def test_work_queued_for_a_host_without_a_runner_is_taken_over(database: Path) -> None:
    here = socket.gethostname()
    with Store.open(database) as store:
        session, _ = _queued_elsewhere(store, "container-1")
        assert not store.has_waiting_work(here, "here")
        runner_lock = RunnerLock(database, "here", "container-1")
        assert runner_lock.take()
        take_over(store, "here")
        assert not store.has_waiting_work(here, "here")
        runner_lock.drop()
        take_over(store, "of another installation")
        assert not store.has_waiting_work(here, "here")
        take_over(store, "here")
        runner = RunnerIdentity(pid=7, host=here, user="u", started_at=utc_now(), installation="here")
        claimed = [store.claim_next(runner), store.claim_next(runner)]
        assert {type(one) for one in claimed} == {QueuedSession, QueuedAnalysis}
        runs = store.session(session).runs
        assert {store.summary(run).box for run, _ in runs} == {here}
        assert "container-1" in store.document(runs[0][0]).log[-1].message
    assert not list(database.parent.glob(".*.runner"))


def test_claimed_work_and_work_on_a_network_file_system_are_not_taken_over(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(database) as store:
        session, _ = _queued_elsewhere(store, "container-1")
        runner = RunnerIdentity(pid=7, host="container-1", user="u", started_at=utc_now(), installation="here")
        assert store.claim_next(runner) is not None
        take_over(store, "here")
        assert store.session(session).box == "container-1"
        other, _ = _queued_elsewhere(store, "host-2")
        monkeypatch.setattr(abandoned_work, "is_network", lambda _path: True)
        take_over(store, "here")
        assert store.session(other).box == "host-2"
