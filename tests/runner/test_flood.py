"""What a child may say: its answer, however long, and no more of the rest than the runner has time for."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from etui.events import Event
from etui.jobs import Done, LogMessage, MemoryJob
from etui.results import Block
from etui.runner import worker as children
from etui.runner.worker import LOG_LINE_BYTES, LOG_LINES_PER_JOB, READ_BYTES, Worker, WorkerFailed

pytestmark = pytest.mark.asyncio

JOB = MemoryJob(bundle="", model="m", program=None, delegate="eager", threads=1)


@contextmanager
def _flooding(child: Worker, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that writes to a child's standard output."""
    with subprocess.Popen(words, stdout=child.log.write_fd, start_new_session=True) as process:
        child.started(process.pid)
        child.release_write_ends()
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            child.close()


async def _until_written(child: Worker, content: bytes, write_fd: int) -> None:
    """Write to a pipe as a child does, blocking, and let the runner read."""
    fd = os.dup(write_fd)
    child.release_write_ends()

    def write() -> None:
        with os.fdopen(fd, "wb", buffering=0) as file:
            left = memoryview(content)
            while left:
                left = left[file.write(left) or 0 :]

    await asyncio.to_thread(write)


@pytest.mark.parametrize("words", ["a line", "", "USDT: noise", "x" * 100_000])
async def test_a_time_limit_is_heard_while_a_child_floods(words: str) -> None:
    said: list[Event] = []
    child = Worker(1, JOB, said.append)
    with _flooding(child, "timeout", "60", "yes", words) as process:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await child.answered()
        assert process.poll() is None
        # The rest is thrown away, and what was kept says so.
        while not said or "exceeds the limit" not in said[-1].message:
            await asyncio.sleep(0.01)
        kept = list(said)
        await asyncio.sleep(0.1)
        assert said == kept and len(kept) <= LOG_LINES_PER_JOB
        assert all(len(event.message) <= LOG_LINE_BYTES + 10 for event in kept)


@pytest.mark.parametrize("pipe", ["report", "log"])
async def test_one_turn_of_the_event_loop_reads_a_bounded_piece(pipe: str) -> None:
    child = Worker(1, JOB, lambda event: None)
    write_fd = getattr(child, pipe).write_fd
    size = fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, 1 << 20)
    assert os.write(write_fd, b"x" * size) == size
    for _ in range(3):
        await asyncio.sleep(0)
    left = int.from_bytes(fcntl.ioctl(write_fd, termios.FIONREAD, bytes(4)), sys.byteorder)
    assert size - 4 * READ_BYTES <= left < size
    child.close()


async def test_a_flood_without_line_ends_costs_no_more_than_one_line() -> None:
    said: list[Event] = []
    child = Worker(1, JOB, said.append)
    await _until_written(child, b"x" * 30_000_000, child.log.write_fd)
    child.exited(0)
    child.close()
    assert len(said) == 2 and said[0].message.startswith("xxxxx") and "limit" in said[1].message
    assert len(said[0].message) <= LOG_LINE_BYTES + 10


async def test_what_a_child_left_behind_cannot_keep_the_runner_at_its_end() -> None:
    child = Worker(1, JOB, lambda event: None)
    with _flooding(child, "timeout", "60", "yes") as process:
        child.exited(0)
        with pytest.raises(WorkerFailed, match="without a result"):
            await child.answered()
        assert process.poll() is None


async def test_a_large_answer_arrives_whole() -> None:
    block = Block(
        index=0, position=0, variant="eager", started_at="", threads=1, samples_ms=[i / 7 for i in range(400_000)]
    )
    child = Worker(1, JOB, lambda event: None)
    await _until_written(child, msgspec.json.encode(Done(block=block)) + b"\n", child.report.write_fd)
    child.exited(0)
    assert (await child.answered()).block == block
    child.close()


async def test_no_byte_of_a_large_answer_is_copied_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts of a line are joined once."""
    pieces: list[int] = []
    original = children._Pipe._end_line

    def end_line(pipe: children._Pipe) -> None:
        pieces.append(len(pipe._parts))
        original(pipe)

    monkeypatch.setattr(children._Pipe, "_end_line", end_line)
    child = Worker(1, JOB, lambda event: None)
    event = LogMessage(event=Event(kind="log", message="x" * 5_000_000))
    await _until_written(child, msgspec.json.encode(event) + b"\n", child.report.write_fd)
    child.exited(0)
    child.close()
    assert max(pieces) > 1
    with pytest.raises(WorkerFailed):
        await child.answered()


async def test_an_answer_beyond_all_measure_fails_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "ANSWER_BYTES", 1_000_000)
    child = Worker(1, JOB, lambda event: None)
    await _until_written(child, b'{"type":"done","x":"' + b"x" * 2_000_000 + b'"}\n', child.report.write_fd)
    child.exited(0)
    with pytest.raises(WorkerFailed, match="answered with more than 1 MB"):
        await child.answered()
    child.close()
