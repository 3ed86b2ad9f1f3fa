"""Fixtures of the engine's tests: jobs for tiny models, and a way to run prepared programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from etui.engine.process.preload import preload_prepare

preload_prepare()

from etui.engine.lowering.lower import run_lower  # noqa: E402
from etui.engine.models.bundle import Bundle, run_bundle  # noqa: E402 - after the libraries are quiet and torchvision works
from etui.engine.runtime.input_dtypes import program_inputs  # noqa: E402
from etui.events import Event  # noqa: E402
from etui.jobs import BundleJob, BundleResult, LowerJob, LowerResult  # noqa: E402

TINY = Path(__file__).with_name("tiny.py")


class Workshop:
    """Prepare models in a separate folder and record the events."""

    def __init__(self, cache_dir: Path) -> None:
        self.cache_dir = cache_dir
        self.events: list[Event] = []

    def bundle(self, model: str, **options: Any) -> BundleResult:
        """Run a bundle job with small counts."""
        fields = {"weights": "auto", "seed": 0, "accuracy_inputs": 3, "calibration_count": 2, **options}
        return run_bundle(BundleJob(model=model, cache_dir=str(self.cache_dir), **fields), self.events.append)

    def lower(
        self,
        model: str,
        bundle: BundleResult,
        precision: str,
        delegate: str = "xnnpack",
        keep_fp32: tuple[str, ...] = (),
    ) -> LowerResult:
        """Run a lowering job."""
        name = "-".join((precision, delegate, *keep_fp32))
        job = LowerJob(
            bundle=bundle.path,
            model=model,
            precision=precision,
            delegate=delegate,
            calibration_count=2,
            program_key=name,
            program_dir=str(self.cache_dir / "programs" / name),
            run_id="run",
            keep_fp32=keep_fp32,
        )
        return run_lower(job, self.events.append)


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Return a workshop that never contacts a hub and does not see the user's cached weights."""
    for name in ("TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return Workshop(tmp_path / "cache")


Runner = Callable[[LowerResult, BundleResult, str, str], list[list[torch.Tensor]]]


@pytest.fixture
def execute() -> Runner:
    """Return a function that runs a prepared program on its bundle's accuracy inputs."""

    def run(lowered: LowerResult, bundle: BundleResult, model: str, precision: str) -> list[list[torch.Tensor]]:
        from executorch.extension.pybindings import _C

        content = Path(lowered.path).read_bytes()  # The program reads from this buffer as long as it exists.
        program = _C._load_program_from_buffer(content)
        method = program.load_method("forward")
        inputs = Bundle.open(Path(bundle.path), model).inputs()
        return [[out.clone() for out in method(program_inputs(one, precision))] for one in inputs]

    return run
