"""Blocks as etui's measuring workers time them, each in a fresh process; ``blocks.in_workers`` starts and asks it.

``python -m tests.benchmarks.worker_blocks`` reads a job a line from standard input and prints its block as a line.
"""

from __future__ import annotations

import gc
import os
import sys

import msgspec

from etui.engine.process.preload import preload_measure
from etui.jobs import MeasureJob


def main() -> None:
    """Import as the measuring fork server does, then fork a process for each job."""
    preload_measure(["torchvision"])
    gc.freeze()
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            try:
                _measure(line)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)


def _measure(line: str) -> None:
    from etui.engine.measure.latency import run_measure

    block = run_measure(msgspec.json.decode(line, type=MeasureJob), lambda event: None)
    print(msgspec.json.encode(block).decode(), flush=True)


if __name__ == "__main__":
    main()
