"""torch.compile's Inductor, compiled ahead of time: one shared library per program, which contains the weights.

``torch.compile`` itself compiles in the process that runs the model, which takes seconds in every fresh worker.
AOTInductor makes the same kernels with the same C++ compiler once, in preparation; without Dynamo's checks of the
arguments at every call.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from etui.engine.delegates.base import BaselineFailure, BaselineSupport, BaselineWork, Executable
from etui.engine.explain.error_text import first_line
from etui.text import size

Inputs = list[torch.Tensor]


class _CompiledProgram:
    """A loaded library. Its generated code does not check inputs, so their count, shapes and dtypes are checked here
    if they were not the ones it was compiled for."""

    method_load_ms: float | None = None

    def __init__(self, path: Path) -> None:
        start = time.perf_counter()
        try:
            self._runner = torch._C._aoti.AOTIModelContainerRunnerCpu(str(path), 1)
        except RuntimeError as error:
            raise BaselineFailure(
                f"the compiled library {path.name} cannot be loaded: {first_line(error)}",
                "measure without the program cache; on a file system mounted noexec, set ETUI_CACHE to another folder",
            ) from error
        self.program_load_ms = (time.perf_counter() - start) * 1e3

    def fit(self, inputs: Sequence[torch.Tensor]) -> Inputs:
        return [tensor.contiguous() for tensor in inputs]

    def __call__(self, inputs: Inputs) -> list[torch.Tensor]:
        return self._runner.run(inputs)

    def tensors(self, outputs: list[torch.Tensor]) -> list[torch.Tensor]:
        return outputs


class _Compile(BaselineSupport):
    takes_half_precision = True

    def prepare(self, work: BaselineWork) -> int | None:
        with (
            work.stage("compile", f"compiling for {work.threads} threads") as details,
            tempfile.TemporaryDirectory(dir=work.target.parent, prefix=".inductor-") as folder,
            # Nothing is shared between programs, versions or processes.
            _variable("TORCHINDUCTOR_CACHE_DIR", folder),
        ):
            torch.set_num_threads(work.threads)
            library = Path(folder, "out", work.target.name)
            library.parent.mkdir()
            with torch.no_grad():
                assert work.exported is not None
                torch._inductor.aot_compile(
                    work.exported.module(check_guards=False),
                    work.inputs,
                    options={"aot_inductor.output_path": str(library), "compile_threads": 1},
                )
            library.replace(work.target)
            details.append(size(work.target.stat().st_size))
        return None

    def load(self, path: Path, threads: int) -> Executable:
        if (used := torch.get_num_threads()) != threads:
            raise BaselineFailure(f"{threads} threads were requested, but the compiled library uses {used}")
        return _CompiledProgram(path)


@contextlib.contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable, which Inductor reads at each compilation, within this context."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


DELEGATE = _Compile("compile")
