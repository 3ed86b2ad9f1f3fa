"""What a prediction says if Arm's tools refuse a model, or put nothing of it on the NPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.engine.lowering.npu import run_npu
from etui.errors import PreparationError
from etui.jobs import NpuJob
from tests.engine.conftest import TINY, Workshop

MODEL = f"{TINY}:convolutional"
EMPTY = '{"subgraphs": [], "fallback": {"sort": 1}, "versions": {}}'


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("echo 'ERROR: Vela does not like it' >&2; exit 1", "cannot be lowered for ethos-u55-128: .*does not like it"),
        ("exit 3", "exit status 3"),
        (f"echo '{EMPTY}' > \"$3/prediction.json\"", "no operator of .* can run on ethos-u55-128"),
    ],
)
def test_what_cannot_be_predicted_is_one_line(workshop: Workshop, tmp_path: Path, script: str, cause: str) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ntest -s "$3/model.pt2" -a -s "$3/calibration.pt" || exit 9\n{script}\n')
    python.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    job = NpuJob(
        bundle=workshop.bundle(MODEL).path, model=MODEL, npu="ethos-u55-128", calibration_count=2, python=str(python),
        work=str(work),
    )  # fmt: skip
    with pytest.raises(PreparationError, match=cause) as refused:
        run_npu(job, lambda _event: None)
    assert "\n" not in str(refused.value)
