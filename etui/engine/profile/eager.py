"""Profile the eager model with torch's profiler: what each module's own ATen operators take.

An operator that calls others (``aten::conv2d`` calls ``aten::convolution`` and so on) counts once, as the outermost,
with all the time of what it calls. Which module called it is told by ranges that hooks put around each ``forward``,
since the profiler's own ``with_modules`` knows TorchScript alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from torch import nn
from torch.autograd import profiler

from etui.engine.models.bundle import Bundle
from etui.engine.profile.aggregate import Seen, Times, side_of
from etui.engine.profile.program import KEPT_INFERENCES, TRACED_IF_SLOW, planned, say_slow, timed, warm_up
from etui.engine.runtime.execution import RuntimeFailure, TensorTuple, set_threads
from etui.events import Event
from etui.formats.chrome_trace import Span, Timeline
from etui.insight import Origin
from etui.jobs import ProfileJob, ProfileResult

TIMELINE = "eager.timeline.json"

_MODULE, _INFERENCE = "etui.module:", "etui.inference"
_ATEN = "aten::"

Log = Callable[[Event], None]


class _Call(NamedTuple):
    """One operator that was called in an inference, from Python or by a module: not by another operator."""

    name: str
    module: str
    start_ns: int
    duration_ns: int


def run_eager_profile(job: ProfileJob, say: Log) -> ProfileResult:
    """Profile a bundle's eager model in this process, which must be fresh.

    Raises:
        EtuiError: the model cannot be loaded or run.
    """
    set_threads(job.threads, cpus=job.cpus)
    bundle = Bundle.open(Path(job.bundle), job.model)
    model = bundle.eager()
    inputs = [tuple(tensor.contiguous() for tensor in one) for one in bundle.inputs()]

    def infer(one: TensorTuple) -> object:
        return model(*one)

    with torch.inference_mode():
        inference_s = warm_up(job, infer, inputs, "eager", say)
        count = planned(job, inference_s)
        traced_s, plain_s, inferences = _trace(job, model, infer, inputs, count, say)
    types = {name: type(module).__name__ for name, module in model.named_modules()}
    seen: dict[tuple[object, ...], Seen] = {}
    times: list[Times] = []
    for calls in inferences:
        times.append(_sum(calls, seen, types))
    if not seen:
        raise RuntimeFailure("eager ran, but no operator of it was traced")
    if job.files_dir is not None:
        kept = [
            [
                Span(
                    name=call.name,
                    start_ns=call.start_ns,
                    duration_ns=call.duration_ns,
                    category="aten",
                    module=call.module,
                )
                for call in calls
            ]
            for calls in inferences[-KEPT_INFERENCES:]
        ]
        timeline = Timeline(side="eager PyTorch", inferences=kept)
        Path(job.files_dir, TIMELINE).write_bytes(msgspec.json.encode(timeline))
    notes = []
    if len(types) == 1 or not any(module for _, module in seen):
        notes.append("Eager runs as one graph without modules, so its operators cannot be told apart by module.")
    side = side_of(list(seen.values()), times, [1e3 * s for s in traced_s], [1e3 * s for s in plain_s])
    return ProfileResult(side=side, notes=notes)


def _trace(
    job: ProfileJob,
    model: nn.Module,
    infer: Callable[[TensorTuple], object],
    inputs: list[TensorTuple],
    count: int,
    say: Log,
) -> tuple[list[float], list[float], list[list[_Call]]]:
    """Seconds of the traced and of the plain inferences, run in turn, and the calls of the traced ones."""
    traced_s: list[float] = []
    plain_s: list[float] = []

    def plain(times: int) -> None:
        for number in range(times):
            plain_s.append(timed(infer, inputs[number % len(inputs)]))

    # Half of the plain ones before and half after, so that drift hits both alike; the profiler starts and stops once.
    plain(count // 2)
    with _ranges(model), profiler.profile(use_kineto=True) as recorder:
        for number in range(count):
            start = time.perf_counter()
            with profiler.record_function(_INFERENCE):
                infer(inputs[number % len(inputs)])
            traced_s.append(time.perf_counter() - start)
            say_slow(job, say, "eager", traced_s[-1], number + 1, count)
    plain(count - count // 2 if count > TRACED_IF_SLOW else 0)
    return traced_s, plain_s, _inferences(recorder.kineto_results.events())


@contextmanager
def _ranges(model: nn.Module) -> Iterator[None]:
    """Have each module's ``forward`` recorded as a range with the module's path."""
    open_ranges: list[Any] = []
    handles = []

    def enter(name: str) -> Callable[..., None]:
        def hook(*_arguments: object) -> None:
            record: Any = profiler.record_function(_MODULE + name)
            record.__enter__()
            open_ranges.append(record)

        return hook

    def leave(*_arguments: object) -> None:
        open_ranges.pop().__exit__(None, None, None)

    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(enter(name)))
        handles.append(module.register_forward_hook(leave, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _inferences(events: list[Any]) -> list[list[_Call]]:
    """The outermost operators within each inference's range, from the profiler's raw events.

    An operator that runs on another thread has no range around it there and is a part of one that waits for it.
    """
    thread = next((event.start_thread_id() for event in events if event.name() == _INFERENCE), None)
    own = [event for event in events if event.start_thread_id() == thread]
    found: list[list[_Call]] = []
    modules: list[tuple[int, str]] = []
    begin = busy_until = over = 0
    for event in sorted(own, key=lambda one: (one.start_ns(), -one.duration_ns())):
        name, start = event.name(), event.start_ns()
        end = start + event.duration_ns()
        if name == _INFERENCE:
            found.append([])
            begin, over = start, end
            modules.clear()
            continue
        if start >= over:
            continue
        while modules and modules[-1][0] <= start:
            modules.pop()
        if name.startswith(_MODULE):
            modules.append((end, name.removeprefix(_MODULE)))
        elif name.startswith(_ATEN) and start >= busy_until:
            busy_until = end
            found[-1].append(_Call(name, modules[-1][1] if modules else "", start - begin, end - start))
    return found


def _sum(calls: list[_Call], seen: dict[tuple[object, ...], Seen], types: dict[str, str]) -> Times:
    times: Times = {}
    for call in calls:
        key = (call.name, call.module)
        if key not in seen:
            name = call.name.removeprefix(_ATEN)
            origin = Origin(module=call.module, module_type=types.get(call.module, ""))
            seen[key] = Seen(key, name, None, None, origin)
        count, spent = times.get(key, (0, 0.0))
        times[key] = count + 1, spent + call.duration_ns / 1e6
    return times
