"""A plain loop with one program in one process and a given number of threads; prints its median in ms."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path


def main(program: Path, threads: int, samples: int, rest_s: float) -> None:
    """Time ``samples`` inferences after 20 warm-up inferences, which follow ``rest_s`` seconds of rest."""
    import torch
    from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
    from executorch.runtime import Runtime

    torch.set_num_threads(threads)
    _unsafe_reset_threadpool(threads)
    method = Runtime.get().load_program(program).load_method("forward")
    assert method is not None
    inputs = (torch.randn(1, 3, 224, 224),)
    time.sleep(rest_s)
    times = []
    for number in range(20 + samples):
        start = time.perf_counter()
        method.execute(inputs)
        if number >= 20:
            times.append(time.perf_counter() - start)
    print(statistics.median(times) * 1e3)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
