"""Waiting for a quiet machine: how long, what is told meanwhile, who is named, and what is kept."""

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
    """A wait on a machine that looks as it is told to; afterwards it stays as it looked last."""

    def __init__(self, *looks: LoadReading) -> None:
        self._looks = list(looks)
        self.spans_s: list[float] = []
        self.said: list[str] = []
        self.progress: list[tuple[float, float]] = []

    async def read_load(self, span_s: float) -> LoadReading:
        self.spans_s.append(span_s)
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]

    def until_quiet(self, limit_s: float) -> QuietCheck:
        return asyncio.run(
            wait_until_quiet(
                limit_s,
                say=self.said.append,
                progress=lambda words, done, total: self.progress.append((done, total)),
                read_load=self.read_load,
            )
        )


def test_a_quiet_machine_costs_one_short_look() -> None:
    waiting = Waiting(CALM)
    assert waiting.until_quiet(30) == QuietCheck(waited_s=0.0, calm=True, foreign_cpu_cores=0.02, cpu_pressure=1.0)
    assert (waiting.spans_s, waiting.said, waiting.progress) == ([FIRST_READING_S], [], [])


def test_what_was_over_at_the_second_look_is_not_waited_for() -> None:
    waiting = Waiting(BUSY, CALM)
    quiet = waiting.until_quiet(30)
    assert (quiet.waited_s, quiet.calm, waiting.said) == (0.0, True, [])


def test_a_busy_machine_is_waited_for_until_it_is_calm() -> None:
    waiting = Waiting(BUSY, BUSY, WAITED_UPON, CALM)
    quiet = waiting.until_quiet(30)
    assert (quiet.waited_s, quiet.calm) == (2 * READING_S, True)
    (said,) = waiting.said
    assert not lacking(said, "1.5 cores", "stress (pid 7, user bob)", "30.0 s")
    assert waiting.progress == [(0.0, 30), (1.0, 30)]


def test_after_the_limit_it_is_measured_anyway_and_who_was_busy_is_kept() -> None:
    quiet = Waiting(BUSY).until_quiet(5)
    assert quiet == QuietCheck(
        waited_s=5.0, calm=False, foreign_cpu_cores=1.5, cpu_pressure=60.0, by=["stress (pid 7, user bob) 1.5 cores"]
    )


def test_tasks_that_wait_for_a_core_are_a_load_too() -> None:
    quiet = Waiting(WAITED_UPON).until_quiet(2)
    assert (quiet.calm, quiet.by) == (False, [])


def test_nothing_is_known_against_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    look = asyncio.run(read_machine_load(0.0, tmp_path))
    assert (look.foreign_cpu_cores, look.cpu_pressure, look.by, look.calm) == (None, None, [], True)


def test_the_busiest_are_named_without_the_runner_and_what_it_started() -> None:
    mine, user = os.getpid(), 4_000_000
    before = {
        1: Process(0, user, "init", 5.0),
        mine: Process(1, user, "runner", 1.0),
        90: Process(mine, user, "fork server", 1.0),
        91: Process(90, user, "child", 1.0),
        70: Process(1, user, "cc1\x1b[31m plus", 2.0),
    }
    after = {pid: process._replace(cpu_s=process.cpu_s + 1.0) for pid, process in before.items() if pid != 1}
    after[1] = before[1]
    after[71] = Process(70, user, "born meanwhile", 0.5)
    assert busiest(before, after, 2.0, own=mine) == [
        f"cc1 plus (pid 70, user {user}) 0.50 cores",
        f"born meanwhile (pid 71, user {user}) 0.25 cores",
    ]


def test_of_a_process_its_name_is_read_and_not_its_arguments(tmp_path: Path) -> None:
    folder = tmp_path / "proc/77"
    folder.mkdir(parents=True)
    (folder / "stat").write_text(
        f"77 (a) (name) R 1 77 77 0 -1 4194304 1 2 3 4 {os.sysconf('SC_CLK_TCK')} 0 0 0 20 0\n"
    )
    (folder / "cmdline").write_text("secret")
    (tmp_path / "proc/self").mkdir()
    found = processes(tmp_path)
    assert found == {77: Process(1, found[77].user, "a) (name", 1.0)}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_this_process_is_among_those_of_this_machine() -> None:
    assert processes()[os.getpid()].parent == os.getppid()
