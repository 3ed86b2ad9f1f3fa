"""Measure one block of the job on stdin as the engine does, with a busy wait in each inference; the block on stdout.

``python -m tests.benchmarks.slowed_block SHARE``
"""

from __future__ import annotations

import sys
import time

import msgspec
import torch

from etui.engine.measure.latency import run_measure
from etui.engine.runtime.execution import LoadedProgram, TensorTuple
from etui.jobs import MeasureJob

_infer = LoadedProgram.__call__


def main(share: float) -> None:
    """Slow every inference down by ``share`` of its time, inside the timed call."""

    def slowed(program: LoadedProgram, inputs: TensorTuple) -> list[torch.Tensor]:
        start = time.perf_counter_ns()
        outputs = _infer(program, inputs)
        end = start + int((time.perf_counter_ns() - start) * (1 + share))
        while time.perf_counter_ns() < end:
            pass
        return outputs

    if share:
        LoadedProgram.__call__ = slowed  # type: ignore[method-assign, assignment]
    block = run_measure(msgspec.json.decode(sys.stdin.buffer.read(), type=MeasureJob), lambda event: None)
    sys.stdout.buffer.write(msgspec.json.encode(block) + b"\n")


if __name__ == "__main__":
    main(float(sys.argv[1]))
