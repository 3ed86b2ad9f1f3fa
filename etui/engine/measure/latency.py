"""Time one block of one variant: set threads, load, run the first inference, warm up until it is stable, sample."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from etui.engine.delegates.base import DeviceProgram
from etui.engine.lowering.noop_program import NOOP
from etui.engine.measure import host_counters
from etui.engine.measure.call_timing import call_timing
from etui.engine.measure.canary import canary_ms
from etui.engine.models.bundle import Bundle
from etui.engine.models.call_structure import Arguments
from etui.engine.runtime.execution import LoadedProgram, load_program, set_threads
from etui.events import Event, utc_now
from etui.host import cuda
from etui.jobs import MeasureJob
from etui.results import Block, DeviceTiming

Log = Callable[[Event], None]

STABLE_WITHIN = 0.02
"""Warm-up ends when the medians of its last two windows differ by at most this share."""

WINDOW = 5
SLOW_INFERENCE_S = 1.0
"""The duration from which an inference is slow enough for progress events between inferences to have no effect."""


@dataclass
class Subject:
    """Something that can be timed: a call, what it gets in turn (the tensors of a program, the arguments of a module),
    and its load times."""

    call: Callable[[Any], object]
    inputs: list[Any]
    program_load_ms: float | None
    method_load_ms: float | None
    keep: object = field(default=None, repr=False)


def run_measure(job: MeasureJob, log: Log) -> Block:
    """Measure one block in this process, which must be fresh: nothing is loaded and no thread pool is started.

    Raises:
        EtuiError: the program or the model cannot be loaded or run.
    """
    started_at, start = utc_now(), time.perf_counter()
    threads = set_threads(job.threads, cpus=job.cpus)
    bundle = Bundle.open(Path(job.bundle), job.model)
    subject = load_subject(job, bundle) if job.program else load_eager(bundle)

    with torch.inference_mode():
        first_ms = _timed(subject.call, subject.inputs[0])
        if first_ms > SLOW_INFERENCE_S * 1e3:
            log(_progress(job, "first inference done, now timing", 0, job.samples or job.min_samples, first_ms))
        # Before the warm-up, which restores caches and thread pools for the timed inferences.
        canary_before = canary_ms(threads, job.canary_ms[0] if job.canary_ms else None)
        warmups, settled = _warm_up(job, subject, first_ms, log)
        gc.collect()
        gc.freeze()
        gc.disable()
        device = subject.call if isinstance(subject.call, DeviceProgram) else None
        clock_before = cuda.clock_mhz() if device else None
        first_sample_at = utc_now()
        before = host_counters.read_counters(job.cpus)
        samples = _collect(job, subject, time.perf_counter() - start, log)
        changes = host_counters.changes_between(before, host_counters.read_counters(job.cpus))
        # After the counters are read, and still without the garbage collector, as for the samples.
        call = None
        if job.program is not None and isinstance(subject.call, LoadedProgram):
            call = call_timing(subject.call, subject.inputs, samples, Path(job.program).with_name(NOOP))
        timing = None if device is None else _device_timing(device, clock_before, cuda.clock_mhz())
        gc.enable()
    canary_after = canary_ms(threads, job.canary_ms[1] if job.canary_ms else None)

    return Block(
        index=job.index,
        position=job.position,
        variant=job.variant,
        started_at=started_at,
        samples_ms=samples,
        threads=threads,
        program_load_ms=subject.program_load_ms,
        method_load_ms=subject.method_load_ms,
        first_inference_ms=first_ms,
        warmup_count=warmups,
        warmup_settled=settled,
        first_sample_at=first_sample_at,
        wall_s=changes.host.wall_s,
        cpu_s=changes.cpu_s,
        foreign_cpu_cores=changes.foreign_cpu_cores,
        throttled_ms=changes.host.throttled_ms,
        steal_s=changes.host.steal_s,
        frequency_mhz=changes.host.frequency_mhz,
        frequency_range_mhz={str(cpu): (min(mhz), max(mhz)) for cpu, mhz in changes.host.mhz_of.items()} or None,
        memory_pressure=changes.host.memory_pressure,
        cpu_pressure=changes.host.cpu_pressure,
        thermal_throttles=changes.host.thermal_throttles,
        major_faults=changes.major_faults,
        minor_faults=changes.minor_faults,
        canary_ms=(canary_before, canary_after),
        call=call,
        cpus=job.cpus,
        busy_threads=changes.busy_threads,
        device=timing,
    )


def _device_timing(device: DeviceProgram, before: float | None, after: float | None) -> DeviceTiming:
    """Return the name, the wall time and the clocks in MHz of the device that has been timed."""
    return DeviceTiming(
        name=device.name,
        wall_ms=statistics.median(device.wall_ms),
        clock_mhz=None if before is None or after is None else (before, after),
    )


def load_subject(job: MeasureJob, bundle: Bundle) -> Subject:
    """Load the program of a job, with the bundle's inputs as it takes them."""
    assert job.program is not None
    program = load_program(Path(job.program), job.delegate, job.threads, bundle)
    return Subject(
        call=program,
        inputs=[program.fit(inputs) for inputs in bundle.inputs()],
        program_load_ms=program.program_load_ms,
        method_load_ms=program.method_load_ms,
        keep=program,
    )


def load_eager(bundle: Bundle) -> Subject:
    """Load the FP32 eager model of a bundle; its load time is that of building it and reading its weights."""
    start = time.perf_counter()
    model = bundle.eager()
    load_ms = (time.perf_counter() - start) * 1e3

    def infer(arguments: Arguments) -> object:
        return model(*arguments[0], **arguments[1])

    return Subject(call=infer, inputs=bundle.arguments(), program_load_ms=load_ms, method_load_ms=None)


def _timed(call: Callable[[Any], object], inputs: object) -> float:
    start = time.perf_counter_ns()
    call(inputs)
    return (time.perf_counter_ns() - start) / 1e6


def _warm_up(job: MeasureJob, subject: Subject, first_ms: float, log: Log) -> tuple[int, bool | None]:
    """Run untimed inferences: exactly ``job.warmup``, or until two windows agree. Return (count, stable).

    The first inference counts as one. If inferences are so slow that two windows exceed the block's time, the warm-up
    ends early and stable is None.
    """
    if job.warmup is not None:
        for done in range(1, job.warmup):
            time_ms = _timed(subject.call, subject.inputs[done % len(subject.inputs)])
            if time_ms > SLOW_INFERENCE_S * 1e3:
                log(_progress(job, "warming up", done + 1, job.warmup, time_ms))
        return max(1, job.warmup), None
    cap_s = max(job.block_s, 0.25)
    start = time.perf_counter()
    times = [first_ms]
    while True:
        enough = len(times) - 1 >= max(job.min_warmup, 2 * WINDOW)
        if enough and _is_stable(times):
            return len(times), True
        spent_s = time.perf_counter() - start
        if spent_s + times[-1] / 1e3 > cap_s:
            return len(times), (False if enough else None)
        times.append(_timed(subject.call, subject.inputs[len(times) % len(subject.inputs)]))


def _is_stable(times: list[float]) -> bool:
    last, before = statistics.median(times[-WINDOW:]), statistics.median(times[-2 * WINDOW : -WINDOW])
    return abs(last - before) <= STABLE_WITHIN * before


def _collect(job: MeasureJob, subject: Subject, spent_s: float, log: Log) -> list[float]:
    """Run the timed loop. Between two clock reads there is only the inference. A device times it itself; the clock then
    only decides when the loop ends."""
    call, inputs = subject.call, subject.inputs
    on_device = call.timed if isinstance(call, DeviceProgram) else None
    count = len(inputs)
    clock = time.perf_counter_ns
    samples: list[float] = []
    wanted = job.samples
    soonest, latest = int(job.block_s * 1e9), int(max(0.0, job.limit_s - spent_s) * 1e9)
    slow_ns = int(SLOW_INFERENCE_S * 1e9)
    beginning = clock()
    while True:
        tensors = inputs[len(samples) % count]
        if on_device is None:
            start = clock()
            call(tensors)
            end = clock()
            samples.append((end - start) / 1e6)
        else:
            start = clock()
            samples.append(on_device(tensors))
            end = clock()
        if wanted is not None:
            if len(samples) >= wanted:
                return samples
        elif end - beginning >= soonest and len(samples) >= job.min_samples:
            return samples
        # Stop if the next sample would exceed the time limit, even with too few samples.
        if end - beginning + (end - start) > latest and wanted is None:
            return samples
        if end - start > slow_ns:
            log(_progress(job, "timing", len(samples), wanted or job.min_samples, samples[-1]))


def _progress(job: MeasureJob, doing: str, done: int, total: int, time_ms: float) -> Event:
    left_s = max(0, total - done) * time_ms / 1e3
    return Event(
        kind="progress",
        message=f"{job.variant}: {doing} {done} of {total}, {time_ms / 1e3:.1f} s each",
        run_id=job.run_id,
        stage="measure",
        done=done,
        total=total,
        left_s=left_s if job.samples is not None else min(left_s, max(job.limit_s, time_ms / 1e3)),
    )
