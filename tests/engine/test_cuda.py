"""Eager on a GPU: what is moved, converted, timed and counted, and what is said if memory runs out.

``torch.cuda`` is behind one small class; without a GPU its place is taken by one whose device is the CPU and whose
events have their own clock. The tests at the end need a GPU.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from etui.engine.delegates import baseline_support, cuda
from etui.engine.delegates.base import BaselineFailure
from etui.engine.delegates.cuda import Cuda, ModuleOnDevice, set_tf32
from etui.engine.measure.latency import load_subject, run_measure
from etui.engine.measure.memory import run_memory
from etui.engine.models.bundle import Bundle
from etui.engine.models.call_structure import CallStructure, plain_structure
from etui.engine.models.outputs import flat_outputs
from etui.engine.runtime.execution import load_program
from etui.jobs import BundleResult, LowerResult, MeasureJob, MemoryJob
from tests.engine.conftest import TINY, Workshop
from tests.engine.lowering.test_lower import sqnr_db

MODEL = f"{TINY}:convolutional"
VARIANTS = {"cuda": "fp32", "cuda-tf32": "fp32", "cuda-fp16": "fp16", "cuda-bf16": "fp32"}


class CountingEvent:
    """An event of a device that reaches one every 2.5 ms of its own time."""

    reached = 0.0

    def __init__(self) -> None:
        self.at = 0.0

    def record(self) -> None:
        CountingEvent.reached += 2.5
        self.at = CountingEvent.reached

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, end: CountingEvent) -> float:
        return end.at - self.at


class OnCpu(Cuda):
    """The boundary without a GPU."""

    place = "cpu"

    def __init__(self) -> None:
        self.emptied = 0

    def name(self) -> str:
        return "Pretended GPU"

    def event(self) -> CountingEvent:
        return CountingEvent()

    def synchronize(self) -> None:
        pass

    def empty_cache(self) -> None:
        self.emptied += 1

    def free_bytes(self) -> int:
        return 3_000_000

    def memory_stats(self) -> dict[str, Any]:
        return {"allocated_bytes.all.current": 7, "allocated_bytes.all.peak": 11, "reserved_bytes.all.peak": 16}


class Limited(nn.Module):
    """A model whose device has memory for ``most`` items."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.linear, self.most = nn.Linear(4, 2), most

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> dict[str, torch.Tensor]:
        if x.shape[0] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return {"y": self.linear(x) + ids.to(x.dtype).sum()}


class Source:
    """A model as a bundle provides it."""

    def __init__(self, module: nn.Module, inputs: int = 2) -> None:
        self.module = module
        self.inputs = inputs

    @property
    def structure(self) -> CallStructure:
        return plain_structure(self.inputs)

    def eager(self) -> nn.Module:
        return self.module

    def flat(self, outputs: Any) -> list[torch.Tensor]:
        return flat_outputs(outputs)


def inputs_of(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(batch, 4), torch.arange(batch)


@pytest.fixture(autouse=True)
def _tf32_as_before() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("dtype", [None, torch.float16, torch.bfloat16])
def test_weights_and_floating_inputs_are_converted_and_integers_are_not(dtype: torch.dtype | None) -> None:
    module = Limited(8)
    expected = module(*inputs_of(2))["y"].dtype if dtype is None else dtype
    program = ModuleOnDevice(Source(module), dtype, OnCpu())
    arguments = program.fit(inputs_of(2))
    assert [tensor.dtype for tensor in arguments.args] == [expected, torch.int64]
    assert {each.dtype for each in module.parameters()} == {expected}
    (output,) = program.tensors(program(arguments))
    assert (output.dtype, tuple(output.shape)) == (expected, (2, 2))


def test_a_timed_call_has_the_devices_time_and_the_wall_time() -> None:
    program = ModuleOnDevice(Source(Limited(8)), None, OnCpu())
    arguments = program.fit(inputs_of(2))
    program(arguments)
    assert program.wall_ms == []
    assert [program.timed(arguments), program.timed(arguments)] == [2.5, 2.5]
    assert len(program.wall_ms) == 2
    assert program.memory() == (7, 11, 16)


@pytest.mark.parametrize(("most", "said"), [(3, "batch 2 fits"), (1, "batch 1 fits"), (0, "and for batch 1")])
def test_too_large_a_batch_is_reported_with_the_one_that_fits(most: int, said: str) -> None:
    device = OnCpu()
    program = ModuleOnDevice(Source(Limited(most)), None, device)
    for run in (program, program.timed):
        with pytest.raises(BaselineFailure, match=r"too small for batch 8") as refused:
            run(program.fit(inputs_of(8)))
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)
    assert device.emptied


def test_weights_that_do_not_fit_are_reported_with_the_free_memory() -> None:
    class Heavy(Limited):
        def to(self, *_arguments: Any, **_options: Any) -> Heavy:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(BaselineFailure, match=r"weights do not fit.*3\.00 MB"):
        ModuleOnDevice(Source(Heavy(8)), None, OnCpu())


@pytest.mark.parametrize("on", [True, False])
def test_tf32_is_switched_for_products_and_convolutions(on: bool) -> None:
    set_tf32(not on)
    set_tf32(on)
    assert torch.backends.cuda.matmul.allow_tf32 is on
    assert torch.backends.cudnn.allow_tf32 is on


def prepared(workshop: Workshop, name: str) -> tuple[BundleResult, LowerResult]:
    bundle = workshop.bundle(MODEL)
    return bundle, workshop.lower(MODEL, bundle, VARIANTS[name], name)


@pytest.mark.parametrize(
    ("name", "described", "arithmetic"),
    [
        ("cuda", {"device": "cuda", "dtype": None, "tf32": False}, None),
        ("cuda-tf32", {"device": "cuda", "dtype": None, "tf32": True}, "tf32"),
        ("cuda-fp16", {"device": "cuda", "dtype": "fp16", "tf32": False}, None),
        ("cuda-bf16", {"device": "cuda", "dtype": "bf16", "tf32": False}, "bf16"),
    ],
)
def test_preparing_needs_no_gpu_and_no_export(
    workshop: Workshop, name: str, described: dict[str, object], arithmetic: str | None
) -> None:
    _, lowered = prepared(workshop, name)
    assert json.loads(Path(lowered.path).read_text()) == described
    assert [stage.name for stage in lowered.stages] == ["load"]
    assert lowered.arithmetic == arithmetic


def test_a_block_on_a_device_has_its_time_as_samples(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "Cuda", OnCpu)
    bundle, lowered = prepared(workshop, "cuda")
    before, cpus = torch.get_num_threads(), os.sched_getaffinity(0)
    job = MeasureJob(
        bundle=bundle.path, model=MODEL, program=lowered.path, delegate="cuda", variant="fp32/cuda", index=0,
        position=0, threads=1, warmup=2, samples=4, block_s=0.1, min_samples=3, min_warmup=1, limit_s=10.0,
    )  # fmt: skip
    try:
        block = run_measure(job, lambda _event: None)
        memory = run_memory(
            MemoryJob(bundle=bundle.path, model=MODEL, program=lowered.path, delegate="cuda", threads=1),
            lambda _event: None,
        )
    finally:
        torch.set_num_threads(before)
        os.sched_setaffinity(0, cpus)
    assert block.samples_ms == [2.5] * 4
    assert block.device is not None
    assert (block.device.name, block.call) == ("Pretended GPU", None)
    assert block.device.wall_ms > 0
    assert (memory.device_loaded_bytes, memory.device_peak_bytes, memory.device_reserved_bytes) == (7, 11, 16)
    subject = load_subject(job, Bundle.open(Path(bundle.path), MODEL))
    assert subject.call is subject.keep


def test_without_a_gpu_a_worker_says_so() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    support = baseline_support("cuda")
    assert support is not None
    with pytest.raises(BaselineFailure, match="cannot use a CUDA device"):
        support.load_module(Source(Limited(1)))


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("name", "least_db"), [("cuda", 80), ("cuda-tf32", 40), ("cuda-fp16", 40), ("cuda-bf16", 25)])
def test_eager_on_the_gpu_agrees_with_eager(workshop: Workshop, name: str, least_db: float) -> None:
    bundle, lowered = prepared(workshop, name)
    opened = Bundle.open(Path(bundle.path), MODEL)
    program = load_program(Path(lowered.path), name, torch.get_num_threads(), opened)
    assert isinstance(program, ModuleOnDevice)
    with torch.inference_mode():
        outputs = [program.tensors(program(program.fit(tensors))) for tensors in opened.inputs()]
        assert program.timed(program.fit(opened.inputs()[0])) > 0
    assert sqnr_db(opened.reference(), outputs) > least_db
    memory = program.memory()
    assert memory.loaded_bytes and memory.peak_bytes and memory.reserved_bytes
    assert memory.loaded_bytes <= memory.peak_bytes <= memory.reserved_bytes


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_batch_that_does_not_fit_on_the_gpu_is_reported() -> None:
    class Large(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            # One item takes an eighth of what is free.
            free = torch.cuda.mem_get_info()[0]
            return torch.empty(x.shape[0], free // 8, dtype=torch.uint8, device=x.device)[:, :1] + x[:, :1]

    program = ModuleOnDevice(Source(Large(), inputs=1), None, Cuda())
    with pytest.raises(BaselineFailure, match=r"batch 16; batch \d fits"):
        program(program.fit((torch.randn(16, 4),)))
