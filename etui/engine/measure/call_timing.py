"""The time of a call by part (setting inputs, execute, copying outputs), and the fixed cost of a call from Python."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from etui.engine.lowering.noop_program import NOOP_NUMBERS
from etui.engine.runtime.execution import LoadedProgram, TensorTuple
from etui.results import CallTiming

SLOWEST_MS = 1e3
"""A call that takes this long is not repeated: its parts other than ``execute`` are negligible."""

SHARE = 0.05
"""The number of additional calls, relative to a block's samples."""

FEWEST, MOST = 10, 50
LONGEST_MS = 1e3
"""The maximum total time of the additional calls; slow calls are repeated fewer than ``FEWEST`` times."""

NOOP_WARMUP, NOOP_CALLS = 50, 200


def call_timing(
    program: LoadedProgram, inputs: Sequence[TensorTuple], samples_ms: Sequence[float], noop: Path
) -> CallTiming | None:
    """Call a program that was just timed again, and return the median time of each part of a call.

    ``samples_ms`` are the timed calls; about 5 % as many follow here. ``noop`` is the file that ``write_noop`` wrote;
    the fixed cost is None if it is missing. Returns None for a program that is too slow to be called again.

    Raises:
        RuntimeFailure: the no-op program cannot be loaded.
    """
    typical_ms = statistics.median(samples_ms)
    if typical_ms >= SLOWEST_MS:
        return None
    count = min(max(FEWEST, int(SHARE * len(samples_ms))), MOST, max(1, int(LONGEST_MS / typical_ms)))
    parts = [program.parts_ns(inputs[number % len(inputs)]) for number in range(count)]
    inputs_ms, execute_ms, outputs_ms = (statistics.median(part) / 1e6 for part in zip(*parts, strict=True))
    return CallTiming(
        inputs_ms=inputs_ms,
        execute_ms=execute_ms,
        outputs_ms=outputs_ms,
        fixed_ms=_noop_ms(noop) if noop.is_file() else None,
    )


def _noop_ms(path: Path) -> float:
    """Return the median time of a call of the no-op program, after warm-up."""
    noop = LoadedProgram(path, delegate="portable")
    inputs = noop.fit((torch.zeros(NOOP_NUMBERS),))
    clock = time.perf_counter_ns
    times_ns: list[int] = []
    for _ in range(NOOP_WARMUP + NOOP_CALLS):
        start = clock()
        noop(inputs)
        times_ns.append(clock() - start)
    return statistics.median(times_ns[NOOP_WARMUP:]) / 1e6
