"""Restricting a process to CPUs before its thread pools start, and counting busy threads, in fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted through /proc"),
]

SCRIPT = """
import sys, msgspec
from etui.engine.process.preload import preload_measure
preload_measure([])
import os, time, torch
from etui.engine.measure import host_counters
from etui.engine.runtime.execution import set_threads
threads, cpus = int(sys.argv[1]), msgspec.json.decode(sys.argv[2])
tasks = set(os.listdir("/proc/self/task"))
read_back = set_threads(threads, cpus=cpus)
one = torch.rand(512, 512)
one @ one
before, end = host_counters.read_counters(cpus), time.monotonic() + 0.6
while time.monotonic() < end:
    one @ one
changes = host_counters.changes_between(before, host_counters.read_counters(cpus))
held = [sorted(os.sched_getaffinity(int(task))) for task in set(os.listdir("/proc/self/task")) - tasks]
found = {"threads": read_back, "busy": changes.busy_threads, "held": held}
sys.stdout.buffer.write(msgspec.json.encode(found) + b"\\n")
"""


class Result(msgspec.Struct):
    threads: int
    busy: int
    held: list[list[int]]


def run(threads: int, cpus: list[int] | None) -> Result:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(threads), msgspec.json.encode(cpus).decode()],
        capture_output=True, check=True, timeout=120,
    )  # fmt: skip
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Result)


@pytest.mark.slow
def test_every_thread_of_every_pool_is_restricted_to_the_cpus() -> None:
    last = max(os.sched_getaffinity(0))
    result = run(2, [last])
    # Threads that existed before do not belong to a pool, and a forked worker has none.
    assert result.threads == 2 and result.held
    assert result.held == [[last]] * len(result.held)


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two threads need two CPUs")
def test_busy_threads_are_counted() -> None:
    assert run(1, None).busy == 1
    assert run(2, None).busy == 2
