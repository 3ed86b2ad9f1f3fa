"""Time one block of one variant: hold the threads, load, infer once, warm up until it settles, then only samples."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from etui.engine.lowering.noop_program import NOOP
from etui.engine.measure import host_counters as boxwatch
from etui.engine.measure.call_timing import call_timing
from etui.engine.measure.canary import canary_ms
from etui.engine.models.bundle import Bundle
from etui.engine.runtime.execution import LoadedProgram, TensorTuple, set_threads
from etui.events import Event, utc_now
from etui.jobs import MeasureJob
from etui.results import Block

Log = Callable[[Event], None]

SETTLED_WITHIN = 0.02
"""Warm-up has settled when the medians of its last two windows differ by less than this share."""

WINDOW = 5
SLOW_INFERENCE_S = 1.0
"""From here on an inference is so slow that a progress event between two of them disturbs nothing."""


@dataclass
class Subject:
    """Something that can be timed: a call, the inputs it is fed in turn, and how long loading it took."""

    call: Callable[[TensorTuple], object]
    inputs: list[TensorTuple]
    program_load_ms: float | None
    method_load_ms: float | None
    keep: object = field(default=None, repr=False)


def run_measure(job: MeasureJob, say: Log) -> Block:
    """Measure one block in this process, which must be fresh: nothing loaded, no thread pool started.

    Raises:
        EtuiError: the program or the model cannot be loaded or run.
    """
    started_at, start = utc_now(), time.perf_counter()
    threads = set_threads(job.threads, cpus=job.cpus)
    bundle = Bundle.open(Path(job.bundle), job.model)
    subject = load_program(job, bundle) if job.program else load_eager(bundle)

    with torch.inference_mode():
        first_ms = _timed(subject.call, subject.inputs[0])
        if first_ms > SLOW_INFERENCE_S * 1e3:
            say(_progress(job, "first inference done, now timing", 0, job.samples or job.min_samples, first_ms))
        # Before the warm-up, which brings caches and thread pools back to what is timed.
        canary_before = canary_ms(threads, job.canary_ms[0] if job.canary_ms else None)
        warmups, settled = _warm_up(job, subject, first_ms, say)
        gc.collect()
        gc.freeze()
        gc.disable()
        first_sample_at = utc_now()
        before = boxwatch.read(job.cpus)
        samples = _collect(job, subject, time.perf_counter() - start, say)
        watched = boxwatch.between(before, boxwatch.read(job.cpus))
        # After everything that is counted, and still without the collector, as the samples were taken.
        call = None
        if job.program is not None and isinstance(subject.call, LoadedProgram):
            call = call_timing(subject.call, subject.inputs, samples, Path(job.program).with_name(NOOP))
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
        wall_s=watched.box.wall_s,
        cpu_s=watched.cpu_s,
        foreign_cpu_cores=watched.foreign_cpu_cores,
        throttled_ms=watched.box.throttled_ms,
        steal_s=watched.box.steal_s,
        frequency_mhz=watched.box.frequency_mhz,
        frequency_range_mhz={str(cpu): (min(seen), max(seen)) for cpu, seen in watched.box.mhz_of.items()} or None,
        memory_pressure=watched.box.memory_pressure,
        cpu_pressure=watched.box.cpu_pressure,
        thermal_throttles=watched.box.thermal_throttles,
        major_faults=watched.major_faults,
        minor_faults=watched.minor_faults,
        canary_ms=(canary_before, canary_after),
        call=call,
        cpus=job.cpus,
        busy_threads=watched.busy_threads,
    )


def load_program(job: MeasureJob, bundle: Bundle) -> Subject:
    """The lowered program of a job, loaded, with the bundle's inputs in the dtypes it takes."""
    assert job.program is not None
    program = LoadedProgram(Path(job.program), delegate=job.delegate)
    return Subject(
        call=program,
        inputs=[program.fit(inputs) for inputs in bundle.inputs()],
        program_load_ms=program.program_load_ms,
        method_load_ms=program.method_load_ms,
        keep=program,
    )


def load_eager(bundle: Bundle) -> Subject:
    """The FP32 eager model of a bundle; building it and reading its weights is its load time."""
    start = time.perf_counter()
    model = bundle.eager()
    load_ms = (time.perf_counter() - start) * 1e3
    inputs = [tuple(tensor.contiguous() for tensor in one) for one in bundle.inputs()]
    return Subject(call=lambda one: model(*one), inputs=inputs, program_load_ms=load_ms, method_load_ms=None)


def _timed(call: Callable[[TensorTuple], object], inputs: TensorTuple) -> float:
    start = time.perf_counter_ns()
    call(inputs)
    return (time.perf_counter_ns() - start) / 1e6


def _warm_up(job: MeasureJob, subject: Subject, first_ms: float, say: Log) -> tuple[int, bool | None]:
    """Run untimed inferences: exactly ``job.warmup``, or until two windows agree. Returns (count, settled).

    The first inference counts as one. An inference so slow that a window of them exceeds the block's time is not
    warmed up further; whether it settled is then unknown.
    """
    if job.warmup is not None:
        for done in range(1, job.warmup):
            took_ms = _timed(subject.call, subject.inputs[done % len(subject.inputs)])
            if took_ms > SLOW_INFERENCE_S * 1e3:
                say(_progress(job, "warming up", done + 1, job.warmup, took_ms))
        return max(1, job.warmup), None
    cap_s = max(job.block_s, 0.25)
    start = time.perf_counter()
    times = [first_ms]
    while True:
        enough = len(times) - 1 >= max(job.min_warmup, 2 * WINDOW)
        if enough and _settled(times):
            return len(times), True
        spent_s = time.perf_counter() - start
        if spent_s + times[-1] / 1e3 > cap_s:
            return len(times), (False if enough else None)
        times.append(_timed(subject.call, subject.inputs[len(times) % len(subject.inputs)]))


def _settled(times: list[float]) -> bool:
    last, before = statistics.median(times[-WINDOW:]), statistics.median(times[-2 * WINDOW : -WINDOW])
    return abs(last - before) <= SETTLED_WITHIN * before


def _collect(job: MeasureJob, subject: Subject, spent_s: float, say: Log) -> list[float]:
    """The timed loop. Between two clock reads stands the inference and nothing else."""
    call, inputs = subject.call, subject.inputs
    count = len(inputs)
    clock = time.perf_counter_ns
    samples: list[float] = []
    wanted = job.samples
    soonest, latest = int(job.block_s * 1e9), int(max(0.0, job.limit_s - spent_s) * 1e9)
    slow_ns = int(SLOW_INFERENCE_S * 1e9)
    beginning = clock()
    while True:
        one = inputs[len(samples) % count]
        start = clock()
        call(one)
        end = clock()
        samples.append((end - start) / 1e6)
        if wanted is not None:
            if len(samples) >= wanted:
                return samples
        elif end - beginning >= soonest and len(samples) >= job.min_samples:
            return samples
        # The next sample would end past the limit: better few samples than a block without end.
        if end - beginning + (end - start) > latest and wanted is None:
            return samples
        if end - start > slow_ns:
            say(_progress(job, "timing", len(samples), wanted or job.min_samples, samples[-1]))


def _progress(job: MeasureJob, doing: str, done: int, total: int, took_ms: float) -> Event:
    left_s = max(0, total - done) * took_ms / 1e3
    return Event(
        kind="progress",
        message=f"{job.variant}: {doing} {done} of {total}, {took_ms / 1e3:.1f} s each",
        run_id=job.run_id,
        stage="measure",
        done=done,
        total=total,
        left_s=left_s if job.samples is not None else min(left_s, max(job.limit_s, took_ms / 1e3)),
    )
