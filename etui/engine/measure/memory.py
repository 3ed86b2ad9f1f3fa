"""Measure the memory of loading and inference in a process that does nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch

from etui.engine.delegates.base import DeviceProgram
from etui.engine.models.bundle import Bundle
from etui.engine.runtime.execution import load_program, set_threads
from etui.engine.runtime.resident_memory import reset_peak, status_bytes
from etui.events import Event
from etui.jobs import MemoryJob
from etui.results import Memory

Log = Callable[[Event], None]

INFERENCES = 2
SLOW_S = 1.0
"""An inference that takes longer is run only once: its buffers are allocated by then."""


def run_memory(job: MemoryJob, _log: Log) -> Memory:
    """Load, run a few times, and read the memory use of this process.

    RSS counts resident memory, pages of memory-mapped files included; the peak is the kernel's high-water mark, reset
    before the load. Without ``/proc`` every value is None.

    Raises:
        EtuiError: the program or the model cannot be loaded or run.
    """
    set_threads(job.threads, cpus=job.cpus)
    bundle = Bundle.open(Path(job.bundle), job.model)
    inputs = bundle.inputs()[0]
    reset_peak()
    baseline = status_bytes("VmRSS")
    with torch.inference_mode():
        if job.program is not None:
            program = load_program(Path(job.program), job.delegate, job.threads, bundle)
            loaded = status_bytes("VmRSS")
            fitted = program.fit(inputs)
            _run_some(lambda: program(fitted))
            device = program.memory() if isinstance(program, DeviceProgram) else None
        else:
            device = None
            model = bundle.eager()
            loaded = status_bytes("VmRSS")
            arguments = bundle.structure.arguments(inputs)
            _run_some(lambda: model(*arguments.args, **arguments.kwargs))
    return Memory(
        baseline_rss_bytes=baseline,
        load_rss_bytes=loaded,
        peak_rss_bytes=status_bytes("VmHWM"),
        device_loaded_bytes=device.loaded_bytes if device else None,
        device_peak_bytes=device.peak_bytes if device else None,
        device_reserved_bytes=device.reserved_bytes if device else None,
    )


def _run_some(infer: Callable[[], object]) -> None:
    for _ in range(INFERENCES):
        start = time.perf_counter()
        infer()
        if time.perf_counter() - start > SLOW_S:
            return
