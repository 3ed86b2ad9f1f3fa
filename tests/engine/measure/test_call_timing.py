"""The parts of a call: how often a program is called again to measure them, and when it is not."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch

from etui.engine.measure.call_timing import FEWEST, MOST, call_timing
from etui.engine.runtime.execution import LoadedProgram, TensorTuple

INPUTS = [(torch.zeros(2),), (torch.ones(2),)]


class Program:
    """A fake loaded program that records its inputs, and whose parts of a call take a known time."""

    def __init__(self) -> None:
        self.fed: list[TensorTuple] = []

    def parts_ns(self, inputs: TensorTuple) -> tuple[int, int, int]:
        """Return 20 microseconds for inputs, 3 ms for execute and 10 microseconds for outputs."""
        self.fed.append(inputs)
        return 20_000, 3_000_000, 10_000


@pytest.mark.parametrize(
    ("samples", "sample_ms", "calls"),
    [(20, 3.0, FEWEST), (400, 3.0, 20), (100_000, 0.01, MOST), (20, 500.0, 2), (3, 999.0, 1)],
)
def test_additional_calls_are_few_compared_to_the_samples(
    tmp_path: Path, samples: int, sample_ms: float, calls: int
) -> None:
    program = Program()
    call = call_timing(cast(LoadedProgram, program), INPUTS, [sample_ms] * samples, tmp_path / "missing.pte")
    assert call is not None
    assert (call.inputs_ms, call.execute_ms, call.outputs_ms, call.fixed_ms) == (0.02, 3.0, 0.01, None)
    assert program.fed == [INPUTS[number % 2] for number in range(calls)]


def test_slow_program_is_not_called_again(tmp_path: Path) -> None:
    program = Program()
    assert call_timing(cast(LoadedProgram, program), INPUTS, [1000.0] * 3, tmp_path / "missing.pte") is None
    assert not program.fed
