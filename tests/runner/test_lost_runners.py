"""No result is lost and every run ends: real runners that are killed, stopped or cut off from their database."""

from __future__ import annotations

import shutil
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from etui.events import utc_now
from etui.results import RunDocument
from etui.runner.machine_lock import MachineLock
from etui.store import RunnerIdentity, Store
from tests.disks import small_disk
from tests.documents import MODEL as RESNET
from tests.documents import make_block, make_spec
from tests.facts import lacking
from tests.machines import ETUI, Machine, ended, until

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
MODEL = f"{TINY}:convolutional"
LONG = ("--preset", "rigorous", "--repeat", "2000000000", "--timeout", "600", "--threads", "1")
SHORT = ("--repeat", "20", "--warmup", "2")

pytestmark = pytest.mark.shared_programs


def _runner_logged(machine: Machine, text: str) -> bool:
    return any(text in log.read_text() for log in (machine.folder / "state").glob("runner-*.log"))


def _machine_is_free(machine: Machine) -> bool:
    """Whether no session holds the machine: the measured one has ended, stored or not."""
    return MachineLock(machine.folder / "box.lock").holder() is None


def _measured(machine: Machine, run_id: str) -> RunDocument:
    document = machine.document(run_id)
    assert document.status == "done" and document.accuracy is not None and document.memory is not None
    assert sum(len(block.samples_ms) for block in document.blocks) == 20
    assert document.weights is not None and document.environment is not None and document.artifact is not None
    return document


@contextmanager
def _lock(database: Path) -> Iterator[None]:
    """Hold the database's write lock as another program."""
    connection = sqlite3.connect(database, isolation_level=None, timeout=60)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def _live_run(machine: Machine) -> str:
    """Return the run that a front end has queued, once it exists."""

    def find() -> str:
        if not machine.database.exists():
            return ""
        with Store.open(machine.database, create=False) as store:
            return next(iter(store.live_run_ids()), "")

    return until(find)


@pytest.mark.slow
def test_database_locked_at_the_end_of_a_run_loses_nothing(machine: Machine) -> None:
    front = machine.start("run", MODEL, *SHORT)
    run_id = _live_run(machine)
    machine.wait_for_event(run_id, "measuring accuracy")
    with _lock(machine.database):
        until(lambda: _runner_logged(machine, "locked by another process"))
        until(lambda: _machine_is_free(machine))
        assert machine.status(run_id) == "measuring"
        assert front.poll() is None
    assert ended(front) == 0
    _measured(machine, run_id)
    assert any("all results are stored now" in line.message for line in machine.document(run_id).log)


@pytest.mark.slow
def test_full_disk_at_the_end_of_a_run_loses_nothing(machine: Machine) -> None:
    with small_disk(machine.folder / "disk") as disk:
        machine.database = disk.folder / "etui.db"
        machine.environment["ETUI_DB"] = str(machine.database)
        front = machine.start("run", MODEL, *SHORT)
        run_id = _live_run(machine)
        machine.wait_for_event(run_id, "measuring accuracy")
        disk.fill()
        until(lambda: _runner_logged(machine, "no space is left"))
        until(lambda: _machine_is_free(machine))
        assert machine.status(run_id) == "measuring"
        disk.free()
        assert ended(front) == 0
        _measured(machine, run_id)
        machine.close()


@pytest.mark.slow
def test_unsaved_results_are_stored_by_the_next_command(machine: Machine) -> None:
    machine.environment["ETUI_SAVE_PATIENCE_S"] = "0.2"
    (run_id,) = machine.detach(MODEL, *SHORT)
    machine.wait_for_event(run_id, "measuring accuracy")
    with _lock(machine.database):
        until(lambda: not machine.processes())
        assert machine.status(run_id) == "measuring"
        assert list((machine.folder / "state").glob("unsaved-*.json"))
    assert [(one["id"], one["status"]) for one in machine.summaries()] == [(run_id, "done")]
    _measured(machine, run_id)
    assert not list((machine.folder / "state").glob("unsaved-*.json"))
    machine.etui("delete", run_id, "--yes")


@pytest.mark.slow
def test_runner_stopped_while_the_database_is_locked_saves_the_result(machine: Machine) -> None:
    (run_id,) = machine.detach(MODEL, *SHORT)
    machine.wait_for_event(run_id, "measuring accuracy")
    with _lock(machine.database):
        until(lambda: _machine_is_free(machine))
        runner = machine.runner()
        until(lambda: list((machine.folder / "state").glob("unsaved-*.json")))
        runner.terminate()
        until(lambda: not machine.processes())
        assert machine.status(run_id) == "measuring"
    machine.etui("runs")
    _measured(machine, run_id)
    assert not list((machine.folder / "state").glob("unsaved-*.json"))


@pytest.mark.slow
def test_partial_results_of_a_killed_runner_are_kept(machine: Machine) -> None:
    (run_id,) = machine.detach(MODEL, *SHORT)
    # The memory of both sides has not been measured yet at this point.
    until(lambda: machine.document(run_id).accuracy is not None)
    machine.runner().kill()
    until(lambda: not machine.processes())
    assert machine.summaries()[0]["status"] == "interrupted"
    run = machine.document(run_id)
    assert run.accuracy is not None and run.accuracy.end_to_end.outputs
    assert run.latency_ms is not None and run.latency_ms.median is not None and run.speedup is not None
    assert run.weights is not None and run.inputs is not None and run.environment is not None
    assert run.artifact is not None and run.delegation is not None and run.stages
    assert not list(machine.folder.glob(".etui.db.*.runner"))


@pytest.mark.slow
def test_runner_killed_after_lowering_leaves_the_program_and_the_next_runner_ends_the_run(machine: Machine) -> None:
    (run_id,) = machine.detach(MODEL, *LONG)
    until(lambda: machine.document(run_id).artifact is not None)
    machine.runner().kill()
    until(lambda: not machine.processes())
    # The next runner notices first, since nothing has read the database before.
    after = machine.detach(MODEL, *SHORT)[0]
    machine.wait_for_status(after, "done")
    run = machine.document(run_id)
    assert run.status == "interrupted" and run.artifact is not None and run.weights is not None
    assert (run.latency_ms is None) == (not run.blocks)


@pytest.mark.slow
def test_runner_is_recognized_with_another_state_folder(machine: Machine) -> None:
    (run_id,) = machine.detach(MODEL, *LONG)
    machine.wait_for_status(run_id, "measuring")
    runner = machine.runner().pid
    other = str(machine.folder / "other")
    machine.etui("runs", ETUI_STATE=other)
    second = machine.etui("run", MODEL, *SHORT, "--detach", ETUI_STATE=other).stdout.split()[0]
    assert machine.status(run_id) == "measuring"
    assert [one.pid for one in machine.processes() if "etui.runner" in one.cmdline()] == [runner]
    machine.etui("cancel", run_id, ETUI_STATE=other)
    assert machine.status(run_id) == "cancelled"
    assert machine.wait_for_status(second, "done", "failed") == "done"


def _detached_on_other_host(machine: Machine, *options: str) -> str:
    """Queue a run from a process with another host name, like that of a restarted container."""
    command = ["unshare", "--uts", "sh", "-c", 'hostname other-host && exec "$@"', "sh", str(ETUI), "run", MODEL]
    if shutil.which("unshare") is None or subprocess.run(["unshare", "--uts", "true"], check=False).returncode:
        pytest.skip("another host name is not permitted here")
    command += [*options, "--detach"]
    started = subprocess.run(command, env=machine.environment, capture_output=True, text=True, check=True)
    return started.stdout.strip()


@pytest.mark.slow
def test_run_of_a_killed_runner_with_another_host_name_is_ended(machine: Machine) -> None:
    run_id = _detached_on_other_host(machine, *LONG)
    machine.wait_for_status(run_id, "measuring")
    until(lambda: machine.document(run_id).blocks or machine.jobs())
    # It is left alone as long as it is alive, whatever its host name.
    assert machine.summaries()[0]["status"] == "measuring"
    machine.runner().kill()
    until(lambda: not machine.processes())
    # The environment of an ending process is no longer readable before the kernel releases its lock.
    until(lambda: [(one["id"], one["status"]) for one in machine.summaries()] == [(run_id, "interrupted")])
    machine.etui("delete", run_id, "--yes")


@pytest.mark.slow
def test_run_queued_under_another_host_name_is_measured(machine: Machine) -> None:
    first = _detached_on_other_host(machine, *LONG)
    machine.wait_for_status(first, "measuring")
    second = _detached_on_other_host(machine, *SHORT)
    machine.runner().kill()
    until(lambda: not machine.processes())
    until(lambda: {one["id"]: one["status"] for one in machine.summaries()}[first] == "interrupted")
    assert machine.wait_for_status(second, "done", "failed") == "done"
    assert any("other-host" in line.message for line in machine.document(second).log)


@pytest.mark.slow
def test_run_of_an_unreachable_runner_is_ended_by_force(machine: Machine) -> None:
    with Store.open(machine.database) as store:
        session = store.add_session(make_spec(), model=RESNET, box="container-1")
        owner = RunnerIdentity(pid=4242, host="container-1", user="u", started_at=utc_now())
        assert store.claim_next(owner) is not None
        (run_id, variant), (sibling, _) = session.runs
        store.set_status(run_id, "measuring")
        store.add_block(session.id, make_block(variant.label, 0))
    for arguments in (("cancel", run_id), ("show", run_id), ("log", run_id), ("delete", run_id, "--yes")):
        done = machine.etui(*arguments, status=2 if arguments[0] == "delete" else 0)
        assert "process 4242" in done.stderr and "container-1" in done.stderr
        assert f"etui cancel --force {run_id[:6]}" in done.stderr
        assert machine.status(run_id) == "measuring"
    machine.etui("cancel", "--force", run_id)
    assert (machine.status(run_id), machine.status(sibling)) == ("interrupted", "interrupted")
    assert machine.document(run_id).latency_ms is not None
    machine.etui("delete", run_id, sibling, "--yes")


@pytest.mark.slow
def test_force_does_not_end_a_run_of_a_live_runner(machine: Machine) -> None:
    (run_id,) = machine.detach(MODEL, *LONG)
    machine.wait_for_status(run_id, "measuring")
    runner = machine.runner()
    runner.send_signal(signal.SIGSTOP)
    try:
        done = machine.etui("cancel", "--force", run_id, status=3)
        assert "alive" in done.stderr and str(runner.pid) in done.stderr
        assert machine.status(run_id) == "measuring"
    finally:
        runner.send_signal(signal.SIGCONT)
    machine.wait_for_status(run_id, "cancelled")


@pytest.mark.slow
def test_queued_run_gets_a_new_runner_after_the_last_one_was_stopped(machine: Machine) -> None:
    (first,) = machine.detach(MODEL, *LONG)
    machine.wait_for_status(first, "measuring")
    (second,) = machine.detach(MODEL, *SHORT)
    machine.runner().terminate()
    until(lambda: not machine.processes())
    assert (machine.status(first), machine.status(second)) == ("interrupted", "queued")
    machine.etui("runs")
    assert machine.wait_for_status(second, "done", "failed") == "done"


@pytest.mark.slow
def test_run_queued_under_other_settings_is_reported(machine: Machine) -> None:
    (first,) = machine.detach(MODEL, *LONG)
    machine.wait_for_status(first, "measuring")
    second = machine.etui("run", MODEL, *SHORT, "--detach", ONEDNN_MAX_CPU_ISA="SSE41").stdout.split()[0]
    for runner in [one for one in machine.processes() if "etui.runner" in one.cmdline()]:
        runner.kill()
    until(lambda: not machine.processes())
    # It was already claimed, since every runner claims before it waits for the machine.
    with Store.open(machine.database) as store:
        session_id = store.summary(second).session
        with store._database.write() as connection:
            connection.execute("UPDATE sessions SET claimed_by = NULL WHERE id = ?", (session_id,))
    for arguments in (("runs",), ("show", second), ("log", second), ("log", second, "-f")):
        done = machine.etui(*arguments, status=3 if "-f" in arguments else 0)
        assert not lacking(done.stderr, "settings", "environment variables")
        assert f"etui cancel {second[:6]}" in done.stderr
    assert machine.status(second) == "queued"
    machine.etui("runs", ONEDNN_MAX_CPU_ISA="SSE41")
    assert machine.wait_for_status(second, "done", "failed") == "done"


@pytest.mark.slow
def test_command_that_cannot_start_a_runner_leaves_nothing_queued(machine: Machine) -> None:
    (machine.folder / "state").write_text("a file instead of the folder")
    for more in ((), ("--detach",)):
        done = machine.etui("run", MODEL, *SHORT, *more, status=3)
        assert "cannot start the runner" in done.stderr and "ETUI_STATE" in done.stderr
    assert {one["status"] for one in machine.summaries()} == {"cancelled"}


@pytest.mark.slow
def test_full_state_folder_does_not_prevent_measuring(machine: Machine) -> None:
    with small_disk(machine.folder / "state", megabytes=1) as disk:
        disk.fill()
        machine.etui("run", MODEL, *SHORT)
        machine.close()


@pytest.mark.slow
def test_following_command_ends_if_the_session_finished_without_a_result(machine: Machine) -> None:
    with Store.open(machine.database) as store:
        session = store.add_session(make_spec(), model=RESNET, box=socket.gethostname())
        run_id, _ = session.runs[0]
        with store._database.write() as connection:
            connection.execute("UPDATE sessions SET claimed_by = 'x', finished_at = '2026' WHERE id = ?", (session.id,))
            connection.execute("UPDATE runs SET status = 'measuring' WHERE id = ?", (run_id,))
    machine.etui("log", run_id, "-f")
    assert machine.status(run_id) == "interrupted"
