"""Waiting for an idle machine: the duration, the messages, the named processes, and the stored result."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from etui.results import QuietCheck
from etui.runner.wait_for_idle import (
    FIRST_READING_S,
    READING_S,
    LoadReading,
    Process,
    busiest,
    processes,
    read_machine_load,
    wait_until_quiet,
)
from tests.facts import lacking

BUSY = LoadReading(
    span_s=READING_S, foreign_cpu_cores=1.5, cpu_pressure=60.0, by=["stress (pid 7, user bob) 1.5 cores"]
)
WAITED_UPON = LoadReading(span_s=READING_S, foreign_cpu_cores=0.0, cpu_pressure=30.0)
CALM = LoadReading(span_s=READING_S, foreign_cpu_cores=0.02, cpu_pressure=1.0)


class Waiting:
    """A wait on a simulated machine with given load readings, of which the last one is repeated."""

    def __init__(self, *readings: LoadReading) -> None:
        self._readings = list(readings)
        self.spans_s: list[float] = []
        self.messages: list[str] = []
        self.progress: list[tuple[float, float]] = []

    async def read_load(self, span_s: float) -> LoadReading:
        self.spans_s.append(span_s)
        return self._readings.pop(0) if len(self._readings) > 1 else self._readings[0]

    def until_quiet(self, limit_s: float) -> QuietCheck:
        return asyncio.run(
            wait_until_quiet(
                limit_s,
                say=self.messages.append,
                progress=lambda message, done, total: self.progress.append((done, total)),
                read_load=self.read_load,
            )
        )


def test_idle_machine_takes_one_short_reading() -> None:
    waiting = Waiting(CALM)
    assert waiting.until_quiet(30) == QuietCheck(waited_s=0.0, calm=True, foreign_cpu_cores=0.02, cpu_pressure=1.0)
    assert (waiting.spans_s, waiting.messages, waiting.progress) == ([FIRST_READING_S], [], [])


def test_load_that_ended_before_the_second_reading_causes_no_wait() -> None:
    waiting = Waiting(BUSY, CALM)
    quiet = waiting.until_quiet(30)
    assert (quiet.waited_s, quiet.calm, waiting.messages) == (0.0, True, [])


def test_busy_machine_causes_a_wait_until_it_is_idle() -> None:
    waiting = Waiting(BUSY, BUSY, WAITED_UPON, CALM)
    quiet = waiting.until_quiet(30)
    assert (quiet.waited_s, quiet.calm) == (2 * READING_S, True)
    (message,) = waiting.messages
    assert not lacking(message, "1.5 cores", "stress (pid 7, user bob)", "30.0 s")
    assert waiting.progress == [(0.0, 30), (1.0, 30)]


def test_wait_ends_at_the_limit_and_records_the_busy_processes() -> None:
    quiet = Waiting(BUSY).until_quiet(5)
    assert quiet == QuietCheck(
        waited_s=5.0, calm=False, foreign_cpu_cores=1.5, cpu_pressure=60.0, by=["stress (pid 7, user bob) 1.5 cores"]
    )


def test_tasks_waiting_for_a_core_are_a_load() -> None:
    quiet = Waiting(WAITED_UPON).until_quiet(2)
    assert (quiet.calm, quiet.by) == (False, [])


def test_machine_without_readable_load_counts_as_idle(tmp_path: Path) -> None:
    reading = asyncio.run(read_machine_load(0.0, tmp_path))
    assert (reading.foreign_cpu_cores, reading.cpu_pressure, reading.by, reading.calm) == (None, None, [], True)


def test_busiest_processes_exclude_the_runner_and_its_descendants() -> None:
    mine, user = os.getpid(), 4_000_000
    before = {
        1: Process(0, user, "init", 5.0),
        mine: Process(1, user, "runner", 1.0),
        90: Process(mine, user, "fork server", 1.0),
        91: Process(90, user, "worker", 1.0),
        70: Process(1, user, "cc1\x1b[31m plus", 2.0),
    }
    after = {pid: process._replace(cpu_s=process.cpu_s + 1.0) for pid, process in before.items() if pid != 1}
    after[1] = before[1]
    after[71] = Process(70, user, "born meanwhile", 0.5)
    assert busiest(before, after, 2.0, own=mine) == [
        f"cc1 plus (pid 70, user {user}) 0.50 cores",
        f"born meanwhile (pid 71, user {user}) 0.25 cores",
    ]


def test_name_of_a_process_is_read_but_not_its_arguments(tmp_path: Path) -> None:
    folder = tmp_path / "proc/77"
    folder.mkdir(parents=True)
    (folder / "stat").write_text(
        f"77 (a) (name) R 1 77 77 0 -1 4194304 1 2 3 4 {os.sysconf('SC_CLK_TCK')} 0 0 0 20 0\n"
    )
    (folder / "cmdline").write_text("secret")
    (tmp_path / "proc/self").mkdir()
    listed = processes(tmp_path)
    assert listed == {77: Process(1, listed[77].user, "a) (name", 1.0)}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_this_process_is_listed() -> None:
    assert processes()[os.getpid()].parent == os.getppid()
