"""Bursts of calls of one program, timed as by etui's measuring worker; started and queried by ``bursts.in_etui``.

``python -m tests.benchmarks.worker_bursts PROGRAM THREADS BUNDLE``
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
from pathlib import Path

import msgspec

from etui.engine.process.preload import preload_measure
from tests.benchmarks.bursts import Timing


def main(program_file: Path, threads: int, folder: Path) -> None:
    """Import like the measuring fork server, fork, and answer requests in the worker as a block is measured there."""
    preload_measure(["torchvision"])
    gc.freeze()
    if (pid := os.fork()) == 0:
        try:
            _serve(program_file, threads, folder)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _serve(program_file: Path, threads: int, folder: Path) -> None:
    import torch

    from etui.engine.measure.canary import canary_ms
    from etui.engine.models.bundle import Bundle
    from etui.engine.runtime.execution import LoadedProgram, set_threads

    set_threads(threads, cpus=None)
    bundle = Bundle.open(folder, "resnet18")
    program = LoadedProgram(program_file, delegate="xnnpack")
    inputs = [program.fit(one) for one in bundle.inputs()]
    with torch.inference_mode():
        program(inputs[0])
        canary_ms(threads, None)
        gc.collect()
        gc.freeze()
        gc.disable()
        number = 0
        for line in sys.stdin:
            warmup, samples = map(int, line.split())
            parts = []
            for _ in range(warmup + samples):
                parts.append(program.parts_ns(inputs[number % len(inputs)]))
                number += 1
            counted = parts[warmup:]
            inputs_ms, execute_ms, outputs_ms = (statistics.median(part) / 1e6 for part in zip(*counted, strict=True))
            timing = Timing(inputs_ms, execute_ms, outputs_ms, statistics.median(map(sum, counted)) / 1e6)
            print(msgspec.json.encode(timing).decode(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
