"""The time to a cached program's first timed sample, with a warm runner and without one."""

from __future__ import annotations

import statistics
import time
from datetime import datetime
from pathlib import Path

from tests.benchmarks.figures import Figure
from tests.machines import Machine, machine_in, until

TIMES = 5
FEW = ("--preset", "quick", "--repeat", "20", "--warmup", "3")


def figures(folder: Path) -> list[Figure]:
    """Measure seconds from starting ``etui run resnet18`` to the first timed sample of the session."""
    with machine_in(folder) as machine:
        machine.etui("run", "resnet18", *FEW)
        warm = [_first_sample_s(machine) for _ in range(TIMES)]
        cold = []
        for _ in range(TIMES):
            machine.close()
            cold.append(_first_sample_s(machine))
    return [
        Figure("first sample, runner warm", statistics.median(warm), 1.0, "s", f"{TIMES} times, worst {max(warm):.2f}"),
        Figure("first sample, runner cold", statistics.median(cold), 3.0, "s", f"{TIMES} times, worst {max(cold):.2f}"),
    ]


def _first_sample_s(machine: Machine) -> float:
    start = time.time()
    machine.etui("run", "resnet18", *FEW)
    run = machine.document(machine.summaries()[0]["id"])
    first = min(
        datetime.fromisoformat(block.first_sample_at).timestamp()
        for block in (*run.blocks, *run.eager_blocks)
        if block.first_sample_at
    )
    until(lambda: not machine.jobs())
    return first - start
