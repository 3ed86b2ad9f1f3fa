"""Blocks timed by etui's measuring workers, each in a fresh process; started and queried by ``blocks.Workers``.

``python -m tests.benchmarks.worker_blocks`` reads one job per line from standard input and prints its block as a line.
"""

from __future__ import annotations

import gc
import os
import sys

import msgspec

from etui.engine.process.preload import preload_measure
from etui.jobs import MeasureJob


def main() -> None:
    """Import like the measuring fork server, then fork a process for each job."""
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
