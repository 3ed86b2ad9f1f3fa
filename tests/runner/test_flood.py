"""Output of workers: an answer of any length, and a bounded amount of other output."""

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
from etui.runner import worker as worker_module
from etui.runner.worker import LOG_LINE_BYTES, LOG_LINES_PER_JOB, READ_BYTES, Worker, WorkerFailed

pytestmark = pytest.mark.asyncio

JOB = MemoryJob(bundle="", model="m", program=None, delegate="eager", threads=1)


@contextmanager
def _flooding(worker: Worker, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program that writes to a worker's standard output."""
    with subprocess.Popen(command, stdout=worker.log.write_fd, start_new_session=True) as process:
        worker.started(process.pid)
        worker.release_write_ends()
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            worker.close()


async def _until_written(worker: Worker, content: bytes, write_fd: int) -> None:
    """Write to a pipe as a worker does, blocking, while the runner reads."""
    fd = os.dup(write_fd)
    worker.release_write_ends()

    def write() -> None:
        with os.fdopen(fd, "wb", buffering=0) as file:
            left = memoryview(content)
            while left:
                left = left[file.write(left) or 0 :]

    await asyncio.to_thread(write)


@pytest.mark.parametrize("line", ["a line", "", "USDT: noise", "x" * 100_000])
async def test_time_limit_works_during_a_flood_of_output(line: str) -> None:
    events: list[Event] = []
    worker = Worker(1, JOB, events.append)
    with _flooding(worker, "timeout", "60", "yes", line) as process:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await worker.answered()
        assert process.poll() is None
        # The rest is discarded, and the last kept line reports that.
        while not events or "exceeds the limit" not in events[-1].message:
            await asyncio.sleep(0.01)
        before = list(events)
        await asyncio.sleep(0.1)
        assert events == before and len(before) <= LOG_LINES_PER_JOB
        assert all(len(event.message) <= LOG_LINE_BYTES + 10 for event in before)


@pytest.mark.parametrize("pipe", ["report", "log"])
async def test_one_event_loop_iteration_reads_a_bounded_amount(pipe: str) -> None:
    worker = Worker(1, JOB, lambda event: None)
    write_fd = getattr(worker, pipe).write_fd
    size = fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, 1 << 20)
    assert os.write(write_fd, b"x" * size) == size
    for _ in range(3):
        await asyncio.sleep(0)
    left = int.from_bytes(fcntl.ioctl(write_fd, termios.FIONREAD, bytes(4)), sys.byteorder)
    assert size - 4 * READ_BYTES <= left < size
    worker.close()


async def test_flood_without_line_ends_is_cut_to_one_line() -> None:
    events: list[Event] = []
    worker = Worker(1, JOB, events.append)
    await _until_written(worker, b"x" * 30_000_000, worker.log.write_fd)
    worker.exited(0)
    worker.close()
    assert len(events) == 2 and events[0].message.startswith("xxxxx") and "limit" in events[1].message
    assert len(events[0].message) <= LOG_LINE_BYTES + 10


async def test_process_left_by_a_worker_does_not_block_the_runner() -> None:
    worker = Worker(1, JOB, lambda event: None)
    with _flooding(worker, "timeout", "60", "yes") as process:
        worker.exited(0)
        with pytest.raises(WorkerFailed, match="without a result"):
            await worker.answered()
        assert process.poll() is None


async def test_large_answer_arrives_complete() -> None:
    block = Block(
        index=0, position=0, variant="eager", started_at="", threads=1, samples_ms=[i / 7 for i in range(400_000)]
    )
    worker = Worker(1, JOB, lambda event: None)
    await _until_written(
        worker,
        msgspec.json.encode(Done(result=msgspec.Raw(msgspec.json.encode(block)))) + b"\n",
        worker.report.write_fd,
    )
    worker.exited(0)
    assert msgspec.json.decode((await worker.answered()).result, type=Block) == block
    worker.close()


async def test_large_answer_is_not_copied_repeatedly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts of a line are joined only once."""
    pieces: list[int] = []
    original = worker_module._Pipe._end_line

    def end_line(pipe: worker_module._Pipe) -> None:
        pieces.append(len(pipe._parts))
        original(pipe)

    monkeypatch.setattr(worker_module._Pipe, "_end_line", end_line)
    worker = Worker(1, JOB, lambda event: None)
    event = LogMessage(event=Event(kind="log", message="x" * 5_000_000))
    await _until_written(worker, msgspec.json.encode(event) + b"\n", worker.report.write_fd)
    worker.exited(0)
    worker.close()
    assert max(pieces) > 1
    with pytest.raises(WorkerFailed):
        await worker.answered()


async def test_answer_over_the_limit_fails_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "ANSWER_BYTES", 1_000_000)
    worker = Worker(1, JOB, lambda event: None)
    await _until_written(worker, b'{"type":"done","x":"' + b"x" * 2_000_000 + b'"}\n', worker.report.write_fd)
    worker.exited(0)
    with pytest.raises(WorkerFailed, match="answered with more than 1 MB"):
        await worker.answered()
    worker.close()
