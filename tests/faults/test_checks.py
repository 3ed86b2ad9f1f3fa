"""The fault harness detects the deviations that it looks for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from etui.results import RunDocument
from etui.store import Store
from tests.documents import make_block, make_document
from tests.faults import checks
from tests.faults.host import Host
from tests.faults.plan import CELLS, plan_round, plan_rounds

DONE = frozenset({"done"})


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Yield a host with a complete, done run."""
    made = Host(tmp_path)
    with Store.open(made.database) as store:
        store.import_documents([_whole()])
    yield made
    made.close()


def _whole() -> RunDocument:
    block = make_block("fp32/xnnpack", 0)
    samples = [1.0 + index / 100 for index in range(checks.SAMPLES)]
    return msgspec.structs.replace(
        make_document(),
        id="0123456789ab",
        status="done",
        blocks=[msgspec.structs.replace(block, samples_ms=samples)],
        eager_blocks=[msgspec.structs.replace(make_block("eager", 0), samples_ms=samples)],
        superseded_blocks=[],
    )


def _change(host: Host, statement: str) -> None:
    with sqlite3.connect(host.database) as connection:
        connection.execute(statement)
    connection.close()


def _kinds(host: Host, allowed: frozenset[str] = DONE) -> list[str]:
    return [one.kind for one in checks.check_states(host, list(host.runs()), allowed, by_user=False)]


def test_complete_run_is_not_a_deviation(host: Host) -> None:
    known_runs = checks.KnownRuns()
    assert host.runs() == {"0123456789ab": "done"}
    assert not known_runs.check_runs(host) and not known_runs.check_runs(host)
    assert not _kinds(host) and not checks.check_database(host) and not checks.check_idle(host)
    assert not checks.check_end(host, 0.0) and not known_runs.check_files(host)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE samples SET float64_le = substr(float64_le, 9), count = count - 1", "lost"),
        ("DELETE FROM run_blocks WHERE role = 'eager'", "lost"),
        ("DELETE FROM artifacts", "lost"),
        ("UPDATE runs SET status = 'failed', error = 'for a reason'", "state"),
        ("UPDATE runs SET error = 'one line' || char(10) || 'another'", "message"),
    ],
)
def test_incomplete_run_is_detected(host: Host, statement: str, kind: str) -> None:
    _change(host, statement)
    assert kind in _kinds(host)


@pytest.mark.parametrize("statement", ["DELETE FROM runs", "UPDATE samples SET float64_le = zeroblob(8)"])
def test_changed_done_run_is_lost(host: Host, statement: str) -> None:
    known_runs = checks.KnownRuns()
    known_runs.check_runs(host)
    _change(host, statement)
    assert [one.kind for one in known_runs.check_runs(host)] == ["lost"]


def test_only_the_user_cancels_a_run_without_a_reason(host: Host) -> None:
    _change(host, "UPDATE runs SET status = 'cancelled'")
    allowed = frozenset({"cancelled"})
    assert _kinds(host, allowed) == ["message"]
    assert not checks.check_states(host, list(host.runs()), allowed, by_user=True)


def test_lack_of_memory_explains_a_traceback_only_if_it_is_the_fault(host: Host) -> None:
    log = host.state / "runner-1.log"
    for error, kinds in (("MemoryError", []), ("KeyError: 'x'", ["message"])):
        log.write_text(f"{checks.TRACEBACK}:\n  File one\n    line\n{error}\n2026-11-27T10:00:00.000Z more\n")
        assert [one.kind for one in checks.KnownRuns().check_logs(host, short_of_memory=True)] == kinds
        assert [one.kind for one in checks.KnownRuns().check_logs(host)] == ["message"]


def test_left_files_are_reported_once(host: Host) -> None:
    (host.places["tmp"] / "a").touch()
    (host.state / "b.part").touch()
    (host.cache / "programs" / ".half-made").mkdir(parents=True)
    known_runs = checks.KnownRuns()
    assert {one.seen for one in known_runs.check_files(host)} == {"tmp/a", "state/b.part", "cache/programs/.half-made"}
    assert not known_runs.check_files(host)


def test_round_depends_only_on_its_seed_and_number() -> None:
    assert plan_round(5, 60) == plan_round(5, 60) != plan_round(6, 60)
    cycle = [plan_round(5, number).cell for number in range(len(CELLS))]
    assert sorted(cycle) == sorted(CELLS)
    of_one = plan_rounds(5, 2, fault="clock")
    assert [plan_round(5, plan.number) for plan in of_one] == of_one
    with pytest.raises(ValueError, match="no fault"):
        plan_rounds(5, 1, fault="clock", target="runner")
