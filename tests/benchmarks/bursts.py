"""Short bursts of calls, alternating between two processes, so that a drift of the machine affects both equally."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import msgspec


class Timing(msgspec.Struct, frozen=True):
    """Medians over the calls of a burst in milliseconds: the parts of a call, and the whole call."""

    inputs_ms: float
    execute_ms: float
    outputs_ms: float
    call_ms: float


class Bursts:
    """A process that has loaded a program and calls it on request."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Bursts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)

    def time(self, warmup: int, samples: int) -> Timing:
        """Call the program ``warmup`` times, then time ``samples`` calls.

        Raises:
            RuntimeError: the process ended: the program cannot be loaded or run.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{warmup} {samples}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with status {self._process.wait()}")
        return msgspec.json.decode(line, type=Timing)


def in_cpp(binary: Path, program: Path, threads: int, inputs: Path | None = None) -> Bursts:
    """Start the C++ loop over a program; ``inputs`` None feeds it zeros."""
    return Bursts([binary, program, str(threads), *([inputs] if inputs else [])])


def in_etui(program: Path, threads: int, bundle: Path) -> Bursts:
    """Start a process that calls a program like etui's measuring worker: forked from a process that has imported
    everything."""
    return Bursts([sys.executable, "-m", "tests.benchmarks.worker_bursts", program, str(threads), bundle])
