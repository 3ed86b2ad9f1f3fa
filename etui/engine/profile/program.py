"""Profile a program: run it alternately with and without tracing, and aggregate its operators with their origins."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import torch

from etui.analysis_kinds.profile import ProfileJob, ProfileResult
from etui.engine.models.bundle import Bundle
from etui.engine.profile.aggregate import side_of
from etui.engine.profile.etdump import read_inferences
from etui.engine.profile.operator_events import OperatorEvents
from etui.engine.runtime.execution import LoadedProgram, RuntimeFailure, set_threads
from etui.events import Event, utc_now
from etui.formats.chrome_trace import Timeline
from etui.programs.files import mapped
from etui.programs.program import read_program
from etui.programs.source_map import read_source_map

WARM_UP = 3
FEWEST, MOST = 5, 50
SLOW_S = 1.0
"""The duration from which an inference is traced only twice, and progress is reported."""

CERTAINLY_SLOW_S = 4.0
TRACED_IF_SLOW = 2
KEPT_INFERENCES = 3
"""The number of inferences in a trace for other tools."""

ETDUMP, TIMELINE = "program.etdp", "program.timeline.json"

Log = Callable[[Event], None]
T = TypeVar("T")
"""What one side takes for one inference."""


def run_profile(job: ProfileJob, log: Log) -> ProfileResult:
    """Profile a job's program in this process, which must be fresh.

    Raises:
        EtuiError: the program cannot be loaded, run or traced.
    """
    assert job.program is not None
    path = Path(job.program)
    set_threads(job.threads, cpus=job.cpus)
    bundle = Bundle.open(Path(job.bundle), job.model)
    plain = LoadedProgram(path, delegate=job.delegate)
    traced = LoadedProgram(path, delegate=job.delegate, trace=True)
    inputs = [plain.fit(tensors) for tensors in bundle.inputs()]
    with torch.inference_mode():
        inference_s = warm_up(job, plain, inputs, "program", log)
        if inference_s < SLOW_S:
            for number in range(WARM_UP):
                timed(traced, inputs[number % len(inputs)])
        count = inference_count(job, inference_s)
        plain_s: list[float] = []
        traced_s: list[float] = []
        for number in range(count):
            tensors = inputs[number % len(inputs)]
            # Alternating, so that drift affects both alike; a slow program runs only once untraced.
            if inference_s < SLOW_S or not plain_s:
                plain_s.append(timed(plain, tensors))
            traced_s.append(timed(traced, tensors))
            log_if_slow(job, log, "program", traced_s[-1], number + 1, count)
    dump = _etdump(traced)
    inferences = read_inferences(dump)[-count:]
    if len(inferences) < count:
        raise RuntimeFailure(f"{count} inferences were traced, but the ETDump contains {len(inferences)}")
    collected = OperatorEvents(read_source_map(path.parent), backend=_backend(path))
    times = [collected.add(events) for events in inferences]
    if not collected.operators:
        raise RuntimeFailure("the program ran, but no operators were traced", "check whether it contains operators")
    if job.files_dir is not None:
        folder = Path(job.files_dir)
        (folder / ETDUMP).write_bytes(dump)
        spans = [collected.spans(events) for events in inferences[-KEPT_INFERENCES:]]
        (folder / TIMELINE).write_bytes(msgspec.json.encode(Timeline(side="ExecuTorch", inferences=spans)))
    side = side_of(collected.operators, times, [1e3 * s for s in traced_s], [1e3 * s for s in plain_s])
    return ProfileResult(side=side, notes=collected.notes())


def warm_up(job: ProfileJob, call: Callable[[T], object], inputs: list[T], side: str, log: Log) -> float:
    """Run untimed inferences, as few as possible if they are slow. Return the seconds of the fastest."""
    fastest_s = timed(call, inputs[0])
    log_if_slow(job, log, side, fastest_s, 0, TRACED_IF_SLOW)
    for number in range(WARM_UP):
        # The first inference is by far the slowest, so a second one decides, unless the first was certainly slow.
        if fastest_s > (CERTAINLY_SLOW_S if number == 0 else SLOW_S):
            break
        fastest_s = min(fastest_s, timed(call, inputs[number % len(inputs)]))
    return fastest_s


def timed(call: Callable[[T], object], inputs: T) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    call(inputs)
    return time.perf_counter() - start


def inference_count(job: ProfileJob, inference_s: float) -> int:
    """Return the number of inferences to trace: as requested, or as fit the budget with as many untraced ones."""
    if job.inferences is not None:
        return job.inferences
    if inference_s >= SLOW_S:
        return TRACED_IF_SLOW
    return max(FEWEST, min(MOST, int(job.budget_s / (2 * max(inference_s, 1e-6)))))


def log_if_slow(job: ProfileJob, log: Log, side: str, time_s: float, done: int, total: int) -> None:
    """Report the progress of a side if an inference takes at least ``SLOW_S``."""
    if time_s < SLOW_S:
        return
    log(
        Event(
            kind="progress",
            message=f"profiling {side}: {done} of {total} inferences, {time_s:.1f} s each",
            at=utc_now(),
            run_id=job.run_id,
            stage="profile",
            done=done,
            total=total,
            left_s=(total - done) * time_s,
        )
    )


def _backend(path: Path) -> str:
    """Return the backend of a program's subgraphs, for programs without a source map; ``delegate`` if there are
    several."""
    with mapped(path) as buffer:
        names = {subgraph.backend for method in read_program(buffer).methods for subgraph in method.delegates}
    return names.pop() if len(names) == 1 else "delegate"


def _etdump(program: LoadedProgram) -> bytes:
    with tempfile.TemporaryDirectory(prefix="etui-") as folder:
        path = Path(folder, ETDUMP)
        program.write_etdump(path)
        return path.read_bytes()
