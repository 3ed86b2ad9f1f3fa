"""The time to a profile's table with a warm runner, the overhead of tracing, the difference of its sum from the
inference, and the time to read a page of 10,000 operators."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from etui.analysis.profiles import overhead
from etui.insight import OperatorSide
from etui.store import Store
from tests.benchmarks.figures import Figure
from tests.documents import make_document
from tests.machines import Machine, machine_in
from tests.profiles import make_profile

TIMES = 5
FEW = ("--preset", "quick", "--repeat", "20", "--warmup", "3")


def figures(folder: Path) -> list[Figure]:
    """Measure resnet18 on XNNPACK in FP32, and a synthetic profile."""
    with machine_in(folder) as machine:
        (run_id,) = machine.detach("resnet18", *FEW)
        machine.wait_for_status(run_id, "done", "failed")
        machine.etui("profile", run_id)
        profiles = [_profile(machine, run_id) for _ in range(TIMES)]
    seconds = [spent for spent, _ in profiles]
    sides = [side for _, side in profiles]
    added = [100 * (overhead(side) or 0.0) for side in sides]
    off = [100 * abs(side.operators_ms / (side.untraced_ms or side.inference_ms) - 1) for side in sides]
    return [
        Figure(
            "profile of a cached resnet18, runner warm", statistics.median(seconds), 3.0, "s",
            f"{TIMES} times, worst {max(seconds):.2f}",
        ),
        Figure("tracing adds to an inference", statistics.median(added), 10.0, "%", f"worst {max(added):.1f}"),
        Figure("sum of operators from the inference", statistics.median(off), 10.0, "%", f"worst {max(off):.1f}"),
        _reading(folder / "pages.db"),
    ]  # fmt: skip


def _profile(machine: Machine, run_id: str) -> tuple[float, OperatorSide]:
    start = time.perf_counter()
    machine.etui("profile", run_id, "--again")
    spent = time.perf_counter() - start
    profile = machine.document(run_id).profile
    assert profile is not None
    return spent, profile.program


def _reading(path: Path) -> Figure:
    with Store.open(path) as store:
        document = make_document()
        store.save_document(document)
        store.save_result(document.id, make_profile(10_000))
        spent = []
        for _ in range(20):
            start = time.perf_counter()
            store.document(document.id, operators=False)
            spent.append(1e3 * (time.perf_counter() - start))
        start = time.perf_counter()
        store.document(document.id)
        whole = 1e3 * (time.perf_counter() - start)
    return Figure(
        "a run read without its 10,000 operators", statistics.median(spent), 50.0, "ms",
        f"worst {max(spent):.0f}; with them {whole:.1f} ms",
    )  # fmt: skip
