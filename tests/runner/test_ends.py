"""How runs end abnormally: cancelled, timed out, killed, abandoned, or kept waiting."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.machines import Machine, ended, machine_in, until

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
MODEL = f"{TINY}:convolutional"
LONG = ("--preset", "rigorous", "--repeat", "2000000000", "--timeout", "600", "--threads", "1")
SHORT = ("--repeat", "20", "--warmup", "2")

pytestmark = [pytest.mark.slow, pytest.mark.shared_programs]


def _measuring(machine: Machine) -> str:
    """Start a very long run and wait until it is being timed."""
    (run_id,) = machine.detach(MODEL, *LONG)
    machine.wait_for_status(run_id, "measuring")
    until(lambda: machine.jobs())
    return run_id


def _check_short_run(machine: Machine) -> None:
    machine.etui("run", MODEL, *SHORT)


class TestWithWarmRunner:
    """These tests leave the runner alive for the next one."""

    def test_cancel_ends_a_measuring_run(self, warm_machine: Machine) -> None:
        run_id = _measuring(warm_machine)
        warm_machine.etui("cancel", run_id[:6])
        assert warm_machine.status(run_id) == "cancelled"
        until(lambda: not warm_machine.jobs())

    def test_control_c_cancels_with_exit_status_130(self, warm_machine: Machine) -> None:
        front = warm_machine.start("run", MODEL, *LONG)
        run_id = until(lambda: [one["id"] for one in warm_machine.summaries() if one["status"] == "measuring"])[0]
        front.send_signal(signal.SIGINT)
        assert ended(front) == 130
        assert warm_machine.status(run_id) == "cancelled"

    def test_run_continues_after_the_terminal_is_closed_and_log_follows_it(self, warm_machine: Machine) -> None:
        front = warm_machine.start("run", MODEL, *LONG)
        run_id = until(lambda: [one["id"] for one in warm_machine.summaries() if one["status"] == "measuring"])[0]
        front.send_signal(signal.SIGHUP)
        assert ended(front) == -signal.SIGHUP
        assert warm_machine.jobs()
        follower = warm_machine.start("log", run_id[:6], "-f")
        warm_machine.etui("cancel", run_id)
        out, err = follower.communicate()
        assert "measuring" in out and "cancelled" in out + err

    def test_time_limit_ends_the_session_and_keeps_its_measurements(self, warm_machine: Machine) -> None:
        _check_short_run(warm_machine)
        done = warm_machine.etui(
            "run", MODEL, "--preset", "rigorous", "--repeat", "400000", "--threads", "1", "--timeout", "12", status=4
        )
        assert "time limit" in done.stdout
        run = warm_machine.document(warm_machine.summaries()[0]["id"])
        assert run.status == "timed out"
        assert (run.latency_ms is None) == (not run.blocks)

    def test_cancelling_one_variant_lets_the_other_finish(self, warm_machine: Machine) -> None:
        cancelled, other = warm_machine.detach(MODEL, "--precision", "fp32,int8", "--preset", "quick")
        warm_machine.wait_for_status(cancelled, "preparing", "measuring")
        warm_machine.etui("cancel", cancelled)
        assert warm_machine.wait_for_status(other, "done", "failed") == "done"
        assert warm_machine.status(cancelled) == "cancelled"

    def test_second_session_reports_that_it_waits(self, warm_machine: Machine) -> None:
        run_id = _measuring(warm_machine)
        second = warm_machine.start("run", MODEL, *SHORT)
        assert second.stderr is not None
        until(lambda: "ahead in the queue" in second.stderr.readline())  # type: ignore[union-attr]
        warm_machine.etui("cancel", run_id)
        assert ended(second) == 0

    def test_variant_cancelled_in_the_queue_is_not_measured(self, warm_machine: Machine) -> None:
        ahead = _measuring(warm_machine)
        cancelled, other = warm_machine.detach(MODEL, "--precision", "fp32,int8", *SHORT)
        warm_machine.etui("cancel", cancelled)
        warm_machine.etui("cancel", ahead)
        assert warm_machine.wait_for_status(other, "done", "failed") == "done"
        assert warm_machine.status(cancelled) == "cancelled"
        assert not warm_machine.document(cancelled).blocks

    def test_cancel_all_empties_the_queue(self, warm_machine: Machine) -> None:
        running = _measuring(warm_machine)
        (waiting,) = warm_machine.detach(MODEL, *SHORT)
        warm_machine.etui("cancel", "--all")
        assert {warm_machine.status(running), warm_machine.status(waiting)} == {"cancelled"}

    def test_killed_worker_fails_only_its_run(self, warm_machine: Machine) -> None:
        run_id = _measuring(warm_machine)
        warm_machine.jobs()[0].kill()
        assert warm_machine.wait_for_status(run_id, "failed") == "failed"
        assert "killed" in (warm_machine.document(run_id).error or "")
        _check_short_run(warm_machine)

    def test_killed_fork_server_fails_the_run_and_is_restarted(self, warm_machine: Machine) -> None:
        run_id = _measuring(warm_machine)
        fork_server = warm_machine.jobs()[0].parent()
        assert fork_server is not None
        fork_server.kill()
        assert warm_machine.wait_for_status(run_id, "failed") == "failed"
        _check_short_run(warm_machine)


def test_killed_runner_leaves_its_run_interrupted_and_no_process(machine: Machine) -> None:
    run_id = _measuring(machine)
    runner = machine.runner()
    runner.kill()
    until(lambda: not machine.processes())
    assert [(one["id"], one["status"]) for one in machine.summaries()] == [(run_id, "interrupted")]
    _check_short_run(machine)


def test_following_command_detects_a_killed_runner(machine: Machine) -> None:
    front = machine.start("run", MODEL, *LONG)
    until(lambda: machine.jobs())
    machine.runner().kill()
    _, err = front.communicate()
    assert front.returncode == 3
    assert "runner" in err


def test_runner_ends_if_its_database_is_removed_and_the_next_run_works(machine: Machine) -> None:
    _measuring(machine)
    for file in machine.folder.glob("etui.db*"):
        file.unlink()
    until(lambda: not machine.processes())
    _check_short_run(machine)


def test_leftovers_of_a_killed_preparation_are_removed_at_the_next_start(tmp_path: Path) -> None:
    with machine_in(tmp_path) as machine:
        _check_leftovers(machine)


def _check_leftovers(machine: Machine) -> None:
    # Lowering it takes seconds, long enough to be killed meanwhile.
    (run_id,) = machine.detach(f"{TINY}:blocks", *SHORT)
    until(lambda: machine.jobs("prepare"))
    machine.wait_for_event(run_id, "lowering")
    workers = list((machine.cache / "workers").iterdir())
    machine.runner().kill()
    until(lambda: not machine.processes())
    assert workers and all(folder.exists() for folder in workers)
    _check_short_run(machine)
    left = [path for folder in ("programs", "models") for path in (machine.cache / folder).iterdir()]
    assert all((path / "program.pte").exists() or (path / "bundle.json").exists() for path in left)
    assert not (machine.cache / "scratch").exists()
    assert not any(folder.exists() for folder in workers)


def test_runs_of_another_database_wait_for_the_same_machine(machine: Machine, tmp_path: Path) -> None:
    run_id = _measuring(machine)
    other = Machine(tmp_path)
    other.database = tmp_path / "other.db"
    other.environment["ETUI_DB"] = str(other.database)
    try:
        (waiting,) = other.detach(MODEL, *SHORT)
        other.wait_for_event(waiting, "waiting for the machine")
        assert other.status(waiting) == "queued"
        machine.etui("cancel", run_id)
        assert other.wait_for_status(waiting, "done", "failed") == "done"
    finally:
        other.close()


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="only one core is available"
)
def test_runner_with_another_cpu_affinity_is_not_reused(machine: Machine) -> None:
    _check_short_run(machine)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        _check_short_run(machine)
    finally:
        os.sched_setaffinity(0, cores)
    assert [summary["threads"] for summary in machine.summaries()] == [1, len(cores)]


def test_command_does_not_wait_forever_for_a_runner_that_fails_to_start(machine: Machine) -> None:
    for name in ("ETUI_LINGER_S", "ETUI_PREPARE_JOBS", "ETUI_SAVE_PATIENCE_S"):
        for more in ((), ("--detach",)):
            done = machine.etui("run", MODEL, *SHORT, *more, status=3, **{name: "many"})
            assert "the runner exits right after starting" in done.stderr
            # The cause from its log; and nothing remains queued to be measured once that is fixed.
            assert name in done.stderr and "'many'" in done.stderr
    assert {one["status"] for one in machine.summaries()} == {"cancelled"}
    assert not machine.processes()


def test_idle_runner_ends(machine: Machine) -> None:
    machine.environment["ETUI_LINGER_S"] = "0.1"
    _check_short_run(machine)
    until(lambda: not machine.processes())
