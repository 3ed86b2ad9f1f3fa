"""Rates are amounts of work per second, of programs that XNNPACK executes as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from etui.engine.peaks import run as peaks
from etui.engine.peaks.matrix_products import (
    Layers,
    convolutions,
    linear_layers,
    matrix_product,
    write_program,
    xnnpack_rate,
)
from etui.engine.peaks.memory_traffic import memory_rates
from etui.engine.peaks.timing import rate_of
from etui.errors import EtuiError
from etui.events import Event
from etui.jobs import PeaksJob
from etui.machine_peaks import Arithmetic, Rate


def test_a_peak_is_the_upper_quartile_of_the_repetitions() -> None:
    seconds = iter([9.0, 9.0, 2.0, 1.0, 8.0, 1.0, 4.0])
    found = rate_of("memory", "a library", "a copy", 8e9, lambda: next(seconds), 0.0)
    assert (found.median, found.repeats) == (4.0, 5)
    assert found.low < found.median < found.peak == 8.0


def test_operations_of_layers() -> None:
    assert linear_layers(16).operations == 2 * 16 * 16 * 16
    convolution = convolutions(4, 10)
    assert convolution.operations == 2 * 4 * 4 * 3 * 3 * 10 * 10
    assert convolution.shape == (1, 4, 10, 10) and convolution.make()(torch.zeros(convolution.shape)).shape == (
        1,
        4,
        10,
        10,
    )


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("layers", [linear_layers(16), convolutions(8, 6)])
def test_programs_are_executed_by_xnnpack(precision: Arithmetic, layers: Layers, tmp_path: Path) -> None:
    path = tmp_path / "program.pte"
    write_program(precision, layers, path)
    found = xnnpack_rate(precision, layers, path, 0.0)
    assert (found.kind, found.library) == (precision, "XNNPACK")
    assert found.median > 0


def test_memory_and_pytorch() -> None:
    assert [rate.work.split()[0] for rate in memory_rates(40_000, 0.0)] == ["read", "copy", "triad"]
    assert matrix_product(16, 0.0).kind == "fp32"
    with pytest.raises(EtuiError):
        memory_rates(0, 0.0)


def test_what_fails_is_missing_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(precision: Arithmetic, layers: Layers, path: Path) -> None:
        if precision == "int8":
            raise EtuiError("no kernel")

    def product(precision: Arithmetic, layers: Layers, path: Path, repeat_s: float) -> Rate:
        if precision == "fp16":
            raise RuntimeError("not on this CPU")
        return rate_of(precision, "XNNPACK", "", 1.0, lambda: 1.0, 0.0)

    monkeypatch.setattr(peaks, "write_program", write)
    monkeypatch.setattr(peaks, "xnnpack_rate", product)
    monkeypatch.setattr(peaks, "set_threads", lambda threads, cpus: threads)
    events: list[Event] = []
    job = PeaksJob(threads=1, cpus=[0], array_bytes=0, sizes=(16,), convolutions=(), torch_sizes=(), repeat_s=0.0)
    made = peaks.run_peaks(job, events.append)
    assert [rate.kind for rate in made.rates] == ["fp32"]
    assert set(made.missing) == {"int8", "fp16", "memory"}
    assert made.missing["int8"] == "no kernel" and "not on this CPU" in made.missing["fp16"]
    assert events
