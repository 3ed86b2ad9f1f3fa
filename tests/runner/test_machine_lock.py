"""The machine lock: held by one process at a time, in turn, whatever other users do with its file, and released in
time."""

from __future__ import annotations

import asyncio
import fcntl
import multiprocessing
import multiprocessing.synchronize
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from etui.errors import EXIT_TIMED_OUT
from etui.runner import machine_lock
from etui.runner.machine_lock import MachineLock, WaitedTooLong, hold
from tests.machines import Machine, machine_in, until

TINY = Path(__file__).parents[1] / "engine" / "tiny.py"
MODEL = f"{TINY}:convolutional"
SHORT = ("--preset", "quick", "--repeat", "6", "--warmup", "1")
LONG = ("--preset", "rigorous", "--repeat", "2000000000", "--timeout", "600", "--threads", "1")
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


@contextmanager
def locks(path: Path, count: int) -> Iterator[list[MachineLock]]:
    """Yield several holders of one lock, like those of several runners."""
    made = [MachineLock(path) for _ in range(count)]
    try:
        yield made
    finally:
        for lock in made:
            lock.release()


def _holding(path: Path, held: multiprocessing.synchronize.Event, done: multiprocessing.synchronize.Event) -> None:
    async def main() -> None:
        async with hold("measuring resnet18", lambda message: None):
            held.set()
            await asyncio.to_thread(done.wait)

    os.environ["ETUI_BOX_LOCK"] = str(path)
    asyncio.run(main())


def test_machine_is_held_by_one_process_which_is_named(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    process = context.Process(target=_holding, args=(tmp_path / "lock", held, done))
    process.start()
    assert held.wait(60)
    with locks(tmp_path / "lock", 1) as (lock,):
        assert not lock.acquire()
        # On a busy machine the answer may take longer than the timeout.
        holder = until(lambda: holder if (holder := lock.holder()) and holder.doing else None)
        assert holder is not None and holder.pid == process.pid
        assert "measuring resnet18" in holder.to_text() and f"pid {process.pid}" in holder.to_text()
        done.set()
        process.join()
        assert lock.acquire()


def test_killed_process_releases_the_machine(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    process = context.Process(target=_holding, args=(tmp_path / "lock", held, done))
    process.start()
    assert held.wait(60)
    process.kill()
    process.join()
    with locks(tmp_path / "lock", 1) as (lock,):
        assert lock.acquire()


def test_waiting_process_is_served_before_the_last_holder(tmp_path: Path) -> None:
    with locks(tmp_path / "lock", 3) as (first, second, third):
        assert first.acquire() and not second.acquire()
        first.release()
        assert not first.acquire(), "the other one is next"
        assert second.acquire()
        assert not third.acquire() and not first.acquire()
        second.release()
        assert first.acquire() != third.acquire(), "a waiting process is next, not the last holder"


@pytest.mark.slow
def test_holder_with_an_earlier_lock_is_named_despite_frequent_attempts(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    earlier = os.open(path, os.O_RDONLY)
    fcntl.flock(earlier, fcntl.LOCK_EX)
    with locks(path, 2) as (first, second):
        for _ in range(50):
            assert not first.acquire() and not second.acquire()
            holder = second.holder()
            assert holder is not None and holder.pid == os.getpid()
    os.close(earlier)


def test_process_that_gives_up_leaves_the_queue(tmp_path: Path) -> None:
    with locks(tmp_path / "lock", 3) as (first, second, third):
        assert first.acquire() and not second.acquire()
        second.release()
        first.release()
        assert third.acquire()


def test_lock_excludes_earlier_versions(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch(0o666)
    earlier = os.open(path, os.O_RDWR)
    with locks(path, 1) as (lock,):
        fcntl.flock(earlier, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert not lock.acquire()
        holder = lock.holder()
        assert holder is not None and holder.pid == os.getpid()
        fcntl.flock(earlier, fcntl.LOCK_UN)
        assert lock.acquire()
        with pytest.raises(BlockingIOError):
            fcntl.flock(earlier, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(earlier)


def test_earlier_version_can_open_the_lock_file(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        with locks(tmp_path / "lock", 1) as (lock,):
            assert lock.acquire() and lock.file_problem is None
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o666


@pytest.mark.parametrize("what", ["symbolic link", "hard link", "pipe", "folder", "nothing, in a folder that is gone"])
def test_planted_lock_file_is_not_changed(tmp_path: Path, what: str) -> None:
    path, target = tmp_path / "lock", tmp_path / "precious"
    target.write_text("mine")
    if what == "symbolic link":
        path.symlink_to(target)
    elif what == "hard link":
        path.hardlink_to(target)
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path = tmp_path / "gone" / "lock"
    precious = os.open(target, os.O_RDONLY)
    with locks(path, 2) as (lock, other):
        assert lock.acquire() and lock.file_problem
        assert not other.acquire(), "the machine is held nevertheless"
        fcntl.flock(precious, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(precious)
    assert target.read_text() == "mine"


def test_huge_lock_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    os.truncate(path, 50 << 30)
    held = os.open(path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with locks(path, 1) as (lock,):
        assert not lock.acquire()
        holder = lock.holder()
        assert holder is not None and len(holder.to_text()) < 100
    os.close(held)
    assert path.stat().st_size == 50 << 30


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff" * 100_000,
        b"[" * 100_000,
        b'{"doing": "' + b"x" * 100_000 + b'", "since": ""}',
        b'{"doing": "\\u001b[2J\\u202emeasuring\\n", "since": "\\u001b]0;x"}',
        '{"doing": "\U000e0041\u200b'.encode() + b"y" * 300 + b'", "since": "9999-99-99T99:99:99Z"}',
    ],
)
def test_text_of_an_untrusted_holder_is_truncated_and_sanitized(tmp_path: Path, answer: bytes) -> None:
    with locks(tmp_path / "lock", 2) as (stranger, lock):
        assert stranger.acquire() and stranger._machine is not None
        listening = stranger._machine

        def send_answer() -> None:
            listening.setblocking(True)
            connection, _ = listening.accept()
            with connection:
                connection.setblocking(False)
                try:
                    connection.send(answer, socket.MSG_NOSIGNAL)
                except OSError:
                    return

        thread = threading.Thread(target=send_answer)
        thread.start()
        holder = lock.holder()
        thread.join()
        assert holder is not None and holder.pid == os.getpid()
        text = holder.to_text()
        assert len(text) < 250 and text.isprintable()


def _as_user(user: int, work: Callable[[], bool]) -> bool:
    """Return what ``work`` returns for another user, in a process that has already imported everything it needs."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _holder_pid(path: Path) -> int | None:
    holder = MachineLock(path).holder()
    return holder.pid if holder else None


@as_root
@pytest.mark.parametrize("first", [0, NOBODY])
@pytest.mark.parametrize("mode", [0o600, 0o000, 0o666])
def test_lock_file_of_another_user_does_not_affect_the_lock(tmp_path: Path, first: int, mode: int) -> None:
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o711)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    path = shared / "lock"
    path.touch()
    path.chmod(mode)
    os.chown(path, first, first)
    # While one user holds the machine, the other is refused; when it is free, either user gets it.
    with locks(path, 1) as (own,):
        assert own.acquire()
        assert _as_user(NOBODY, lambda: not MachineLock(path).acquire())
        assert _as_user(NOBODY, lambda: _holder_pid(path) == os.getppid())
    assert _as_user(NOBODY, lambda: MachineLock(path).acquire())
    with locks(path, 1) as (own,):
        assert own.acquire()


@pytest.mark.asyncio
async def test_waiting_for_the_machine_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_BOX_LOCK", str(tmp_path / "lock"))
    monkeypatch.setenv("ETUI_WAIT_MACHINE", "0.0001")
    messages: list[str] = []
    with locks(tmp_path / "lock", 2) as (held, other):
        assert held.acquire()
        with pytest.raises(WaitedTooLong) as waited:
            async with hold("measuring", messages.append):
                pass
        assert waited.value.exit_status == EXIT_TIMED_OUT
        assert len(messages) == 1 and str(os.getpid()) in messages[0]
        held.release()
        assert other.acquire(), "a process that gave up holds nothing"


@pytest.mark.parametrize("value", ["", "soon", "0", "-1", "nan", "inf"])
def test_invalid_limit_is_replaced_by_the_default(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ETUI_WAIT_MACHINE", value)
    assert machine_lock.wait_limit_s() == 24 * 3600


@pytest.mark.slow
def test_run_that_never_gets_the_machine_times_out_and_names_the_holder(machine: Machine) -> None:
    with locks(Path(machine.environment["ETUI_BOX_LOCK"]), 1) as (held,):
        assert held.acquire()
        done = machine.etui("run", MODEL, *SHORT, status=EXIT_TIMED_OUT, ETUI_WAIT_MACHINE="0.01")
        assert f"pid {os.getpid()}" in done.stderr
        machine.close()
        (waiting,) = machine.detach(MODEL, *SHORT)
        machine.wait_for_event(waiting, "waiting for the machine")
        machine.etui("cancel", waiting)
        assert machine.wait_for_status(waiting, "cancelled", "done", "failed") == "cancelled"


@pytest.mark.slow
def test_runner_with_a_queue_yields_to_another_runner(tmp_path: Path, programs: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with machine_in(tmp_path / "one", programs) as one, machine_in(tmp_path / "two", programs) as two:
        two.environment["ETUI_BOX_LOCK"] = one.environment["ETUI_BOX_LOCK"]
        queue = [one.detach(MODEL, *options)[0] for options in (LONG, SHORT, SHORT)]
        one.wait_for_status(queue[0], "preparing", "measuring")
        (waiting,) = two.detach(MODEL, *SHORT)
        two.wait_for_event(waiting, "waiting for the machine")
        one.etui("cancel", queue[0])
        assert two.wait_for_status(waiting, "done", "failed") == "done"
        until(lambda: all(one.status(run_id) == "done" for run_id in queue[1:]))
        served = str(two.document(waiting).started_at)
        before = [run_id for run_id in queue[1:] if str(one.document(run_id).started_at) < served]
    assert len(before) <= 1
