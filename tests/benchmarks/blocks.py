"""Blocks that etui's measuring worker times one at a time, so that another program can be timed between them."""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType

import msgspec

from etui.jobs import MeasureJob
from etui.results import Block


class Workers:
    """A process that has imported what measuring needs and forks a fresh worker for each block."""

    def __enter__(self) -> Workers:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker_blocks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)

    def measure(self, job: MeasureJob) -> Block:
        """Return the block of a job.

        Raises:
            RuntimeError: the worker ended without it.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(job).decode() + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the measuring worker ended without a block")
        return msgspec.json.decode(line, type=Block)
