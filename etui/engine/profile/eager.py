"""Profile the eager model with torch's profiler: the time of each module's ATen operators.

An operator that calls others (``aten::conv2d`` calls ``aten::convolution`` and so on) counts once, as the outermost,
with the time of everything it calls. Hooks record a range around each module's ``forward`` to find the calling module,
since the profiler's ``with_modules`` supports only TorchScript.
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

from etui.analysis_kinds.profile import ProfileJob, ProfileResult
from etui.engine.models.bundle import Bundle
from etui.engine.models.call_structure import Arguments
from etui.engine.profile.aggregate import Times, TracedOperator, side_of
from etui.engine.profile.program import (
    KEPT_INFERENCES,
    TRACED_IF_SLOW,
    inference_count,
    log_if_slow,
    timed,
    warm_up,
)
from etui.engine.runtime.execution import RuntimeFailure, set_threads
from etui.events import Event
from etui.formats.chrome_trace import Span, Timeline
from etui.insight import Origin

TIMELINE = "eager.timeline.json"

_MODULE, _INFERENCE = "etui.module:", "etui.inference"
_ATEN = "aten::"

Log = Callable[[Event], None]


class _Call(NamedTuple):
    """One call of an operator in an inference, not made by another operator."""

    name: str
    module: str
    start_ns: int
    duration_ns: int


def run_eager_profile(job: ProfileJob, log: Log) -> ProfileResult:
    """Profile a bundle's eager model in this process, which must be fresh.

    Raises:
        EtuiError: the model cannot be loaded or run.
    """
    set_threads(job.threads, cpus=job.cpus)
    bundle = Bundle.open(Path(job.bundle), job.model)
    model = bundle.eager()
    inputs = bundle.arguments()

    def infer(arguments: Arguments) -> object:
        return model(*arguments[0], **arguments[1])

    with torch.inference_mode():
        inference_s = warm_up(job, infer, inputs, "eager", log)
        count = inference_count(job, inference_s)
        traced_s, plain_s, inferences = _trace(job, model, infer, inputs, count, log)
    types = {name: type(module).__name__ for name, module in model.named_modules()}
    operators: dict[tuple[object, ...], TracedOperator] = {}
    times: list[Times] = []
    for calls in inferences:
        times.append(_sum(calls, operators, types))
    if not operators:
        raise RuntimeFailure("eager ran, but no operators were traced")
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
    if len(types) == 1 or not any(module for _, module in operators):
        notes.append("The eager model has no submodules, so its operators cannot be attributed to modules.")
    side = side_of(list(operators.values()), times, [1e3 * s for s in traced_s], [1e3 * s for s in plain_s])
    return ProfileResult(side=side, notes=notes)


def _trace(
    job: ProfileJob,
    model: nn.Module,
    infer: Callable[[Arguments], object],
    inputs: list[Arguments],
    count: int,
    log: Log,
) -> tuple[list[float], list[float], list[list[_Call]]]:
    """Return the seconds of the traced and of the untraced inferences, and the operator calls of the traced ones."""
    traced_s: list[float] = []
    plain_s: list[float] = []

    def plain(times: int) -> None:
        for number in range(times):
            plain_s.append(timed(infer, inputs[number % len(inputs)]))

    # Half of the untraced ones before and half after, so that drift affects both alike; the profiler starts only once.
    plain(count // 2)
    with _ranges(model), profiler.profile(use_kineto=True) as recorder:
        for number in range(count):
            start = time.perf_counter()
            with profiler.record_function(_INFERENCE):
                infer(inputs[number % len(inputs)])
            traced_s.append(time.perf_counter() - start)
            log_if_slow(job, log, "eager", traced_s[-1], number + 1, count)
    plain(count - count // 2 if count > TRACED_IF_SLOW else 0)
    return traced_s, plain_s, _inferences(recorder.kineto_results.events())


@contextmanager
def _ranges(model: nn.Module) -> Iterator[None]:
    """Record each module's ``forward`` as a range named by the module's path."""
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
    """Return the outermost operators within each inference's range, from the profiler's raw events.

    Operators on other threads are ignored: they are part of an operator that waits for them.
    """
    thread = next((event.start_thread_id() for event in events if event.name() == _INFERENCE), None)
    own_events = [event for event in events if event.start_thread_id() == thread]
    inferences: list[list[_Call]] = []
    modules: list[tuple[int, str]] = []
    inference_start = busy_until = inference_end = 0
    for event in sorted(own_events, key=lambda item: (item.start_ns(), -item.duration_ns())):
        name, start = event.name(), event.start_ns()
        end = start + event.duration_ns()
        if name == _INFERENCE:
            inferences.append([])
            inference_start, inference_end = start, end
            modules.clear()
            continue
        if start >= inference_end:
            continue
        while modules and modules[-1][0] <= start:
            modules.pop()
        if name.startswith(_MODULE):
            modules.append((end, name.removeprefix(_MODULE)))
        elif name.startswith(_ATEN) and start >= busy_until:
            busy_until = end
            module = modules[-1][1] if modules else ""
            inferences[-1].append(_Call(name, module, start - inference_start, end - start))
    return inferences


def _sum(calls: list[_Call], operators: dict[tuple[object, ...], TracedOperator], types: dict[str, str]) -> Times:
    """Return the times of one inference's operators, and add new operators to ``operators``."""
    times: Times = {}
    for call in calls:
        key = (call.name, call.module)
        if key not in operators:
            name = call.name.removeprefix(_ATEN)
            origin = Origin(module=call.module, module_type=types.get(call.module, ""))
            operators[key] = TracedOperator(key, name, None, None, origin)
        count, spent = times.get(key, (0, 0.0))
        times[key] = count + 1, spent + call.duration_ns / 1e6
    return times
