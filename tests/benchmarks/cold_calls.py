"""The time of setting inputs and getting outputs directly after ``execute``, and of a repetition with cached code.

``python -m tests.benchmarks.cold_calls PROGRAM THREADS`` prints medians in microseconds; inputs are zeros.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from pathlib import Path

CALLS = 300
WARMUP = 20


def main(program: Path, threads: int) -> None:
    """Call the method's parts directly, each of the two copies twice in a row."""
    import torch
    from executorch.extension.pybindings import _C

    from etui.engine.runtime.input_dtypes import DTYPES

    torch.set_num_threads(threads)
    _C._unsafe_reset_threadpool(threads)
    loaded = _C._load_program(str(program))
    method = loaded.load_method(loaded.get_method_name(0))
    meta = method.method_meta()
    infos = [meta.input_tensor_meta(index) for index in range(meta.num_inputs())]
    inputs = tuple(torch.zeros(tuple(info.sizes()), dtype=DTYPES[int(info.dtype())]) for info in infos)
    steps = {
        "set_inputs": lambda: method.set_inputs(inputs),
        "set_inputs again": lambda: method.set_inputs(inputs),
        "execute": method.execute,
        "get_outputs": method.get_outputs,
        "get_outputs again": method.get_outputs,
        "get_outputs without cloning, again": lambda: method.get_outputs(clone_outputs=False),
    }
    took: dict[str, list[int]] = {name: [] for name in steps}
    gc.disable()
    for _ in range(WARMUP + CALLS):
        for name, step in steps.items():
            start = time.perf_counter_ns()
            step()
            took[name].append(time.perf_counter_ns() - start)
    for name, all_ns in took.items():
        print(f"{name:36} {statistics.median(all_ns[WARMUP:]) / 1e3:10.1f} us")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
