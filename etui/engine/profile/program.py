"""Profile a program: run it with tracing and without in turn, and sum up its operators with where they come from."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import torch

from etui.engine.models.bundle import Bundle
from etui.engine.profile.aggregate import side_of
from etui.engine.profile.etdump import read_inferences
from etui.engine.profile.operator_events import OperatorEvents
from etui.engine.runtime.execution import LoadedProgram, RuntimeFailure, TensorTuple, set_threads
from etui.events import Event, utc_now
from etui.formats.chrome_trace import Timeline
from etui.jobs import ProfileJob, ProfileResult
from etui.programs.files import mapped
from etui.programs.program import read_program
from etui.programs.source_map import read_source_map

WARM_UP = 3
FEWEST, MOST = 5, 50
SLOW_S = 1.0
"""From here on an inference is so slow that it is traced twice only, and told of."""

CERTAINLY_SLOW_S = 4.0
TRACED_IF_SLOW = 2
KEPT_INFERENCES = 3
"""Inferences in a trace for other tools."""

ETDUMP, TIMELINE = "program.etdp", "program.timeline.json"

Log = Callable[[Event], None]


def run_profile(job: ProfileJob, say: Log) -> ProfileResult:
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
    inputs = [plain.fit(one) for one in bundle.inputs()]
    with torch.inference_mode():
        inference_s = warm_up(job, plain, inputs, "program", say)
        if inference_s < SLOW_S:
            for number in range(WARM_UP):
                timed(traced, inputs[number % len(inputs)])
        count = planned(job, inference_s)
        plain_s: list[float] = []
        traced_s: list[float] = []
        for number in range(count):
            one = inputs[number % len(inputs)]
            # In turn, so that drift hits both alike; of a slow program only the first once untraced.
            if inference_s < SLOW_S or not plain_s:
                plain_s.append(timed(plain, one))
            traced_s.append(timed(traced, one))
            say_slow(job, say, "program", traced_s[-1], number + 1, count)
    dump = _etdump(traced)
    inferences = read_inferences(dump)[-count:]
    if len(inferences) < count:
        raise RuntimeFailure(f"{count} inferences were traced, but the ETDump has {len(inferences)}")
    leaves = OperatorEvents(read_source_map(path.parent), backend=_backend(path))
    times = [leaves.add(events) for events in inferences]
    if not leaves.seen:
        raise RuntimeFailure("the program ran, but no operator of it was traced", "it may hold no operator at all")
    if job.files_dir is not None:
        folder = Path(job.files_dir)
        (folder / ETDUMP).write_bytes(dump)
        spans = [leaves.spans(events) for events in inferences[-KEPT_INFERENCES:]]
        (folder / TIMELINE).write_bytes(msgspec.json.encode(Timeline(side="ExecuTorch", inferences=spans)))
    side = side_of(leaves.seen, times, [1e3 * s for s in traced_s], [1e3 * s for s in plain_s])
    return ProfileResult(side=side, notes=leaves.notes())


def warm_up(
    job: ProfileJob, call: Callable[[TensorTuple], object], inputs: list[TensorTuple], side: str, say: Log
) -> float:
    """Run untimed inferences, of a slow side as few as tell that it is slow. Returns the seconds of the fastest."""
    fastest_s = timed(call, inputs[0])
    say_slow(job, say, side, fastest_s, 0, TRACED_IF_SLOW)
    for number in range(WARM_UP):
        # The first inference is the slowest by far; only the second tells where the first took long.
        if fastest_s > (CERTAINLY_SLOW_S if number == 0 else SLOW_S):
            break
        fastest_s = min(fastest_s, timed(call, inputs[number % len(inputs)]))
    return fastest_s


def timed(call: Callable[[TensorTuple], object], inputs: TensorTuple) -> float:
    """The seconds of one call."""
    start = time.perf_counter()
    call(inputs)
    return time.perf_counter() - start


def planned(job: ProfileJob, inference_s: float) -> int:
    """How many inferences to trace: as many as were asked for, or fit the budget beside as many untraced ones."""
    if job.inferences is not None:
        return job.inferences
    if inference_s >= SLOW_S:
        return TRACED_IF_SLOW
    return max(FEWEST, min(MOST, int(job.budget_s / (2 * max(inference_s, 1e-6)))))


def say_slow(job: ProfileJob, say: Log, side: str, took_s: float, done: int, total: int) -> None:
    """Tell how far a side is, where an inference takes long enough that somebody would wonder."""
    if took_s < SLOW_S:
        return
    say(
        Event(
            kind="progress",
            message=f"profiling {side}: {done} of {total} inferences, {took_s:.1f} s each",
            at=utc_now(),
            run_id=job.run_id,
            stage="profile",
            done=done,
            total=total,
            left_s=(total - done) * took_s,
        )
    )


def _backend(path: Path) -> str:
    """The backend of all of a program's subgraphs, for programs without a source map; where there are several,
    ``delegate``."""
    with mapped(path) as buffer:
        named = {one.backend for method in read_program(buffer).methods for one in method.delegates}
    return named.pop() if len(named) == 1 else "delegate"


def _etdump(program: LoadedProgram) -> bytes:
    with tempfile.TemporaryDirectory(prefix="etui-") as folder:
        path = Path(folder, ETDUMP)
        program.write_etdump(path)
        return path.read_bytes()
