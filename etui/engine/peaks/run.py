"""Measure the peaks of this machine with the libraries that execute models: XNNPACK through ExecuTorch, and PyTorch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from etui.engine.explain.error_text import headline
from etui.engine.peaks.matrix_products import (
    Layers,
    convolutions,
    linear_layers,
    matrix_product,
    write_program,
    xnnpack_rate,
)
from etui.engine.peaks.memory_traffic import memory_rates
from etui.engine.runtime.execution import set_threads
from etui.errors import EtuiError
from etui.events import Event, utc_now
from etui.jobs import PeaksJob
from etui.machine_peaks import Arithmetic, MeasuredRates, Rate

Log = Callable[[Event], None]

_PRECISIONS: tuple[Arithmetic, ...] = ("fp32", "fp16", "int8")


def run_peaks(job: PeaksJob, log: Log) -> MeasuredRates:
    """Measure every rate in this process, which must be fresh.

    A kind that cannot be measured is missing, with the reason.

    Raises:
        RuntimeFailure: the number of threads, or a CPU, is not available.
    """
    missing: dict[str, str] = {}
    work = [*map(linear_layers, job.sizes), *(convolutions(*each) for each in job.convolutions)]
    steps = len(_PRECISIONS) * len(work)
    total, done = 2 * steps + 1 + len(job.torch_sizes), 0

    def begin(stage: str, message: str) -> None:
        nonlocal done
        log(Event(kind="stage", stage=stage, message=message, done=done, total=total, at=utc_now()))
        done += 1

    def attempted(kind: str, title: str, measure: Callable[[], list[Rate]]) -> Iterator[Rate]:
        begin(kind, f"measuring {title}")
        try:
            yield from measure()
        except MemoryError:
            raise
        except (EtuiError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
            missing.setdefault(kind, _reason(error))

    with tempfile.TemporaryDirectory(prefix="etui-peaks-") as folder:
        programs: list[tuple[Arithmetic, Layers, Path]] = []
        torch.set_num_threads(1)
        # Programs are prepared first: exporting leaves threads and memory that are not those of a measurement.
        for precision in _PRECISIONS:
            for number, layers in enumerate(work):
                path = Path(folder, f"{precision}-{number}.pte")
                begin("prepare", "preparing matrix products and convolutions")
                try:
                    write_program(precision, layers, path)
                except (EtuiError, RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
                    missing.setdefault(precision, _reason(error))
                else:
                    programs.append((precision, layers, path))
        set_threads(job.threads, cpus=job.cpus)
        rates = list(attempted("memory", "memory traffic", lambda: memory_rates(job.array_bytes, job.repeat_s)))
        with torch.no_grad():
            for size in job.torch_sizes:
                rates += attempted("fp32", "FP32", lambda size=size: [matrix_product(size, job.repeat_s)])  # type: ignore[misc]
            for precision, layers, path in programs:
                rates += attempted(
                    precision,
                    precision.upper(),
                    lambda precision=precision, layers=layers, path=path: [  # type: ignore[misc]
                        xnnpack_rate(precision, layers, path, job.repeat_s)
                    ],
                )
    return MeasuredRates(rates=rates, missing={kind: why for kind, why in missing.items() if not _has(rates, kind)})


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, EtuiError) else headline(error)[:200]


def _has(rates: list[Rate], kind: str) -> bool:
    return any(rate.kind == kind for rate in rates)
