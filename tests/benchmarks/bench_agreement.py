"""Whether etui's median is that of a plain loop, and what runner and front end cost while a block is measured."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.benchmarks.figures import Figure
from tests.boxes import Box, box_in, until

ROUNDS = 6
SAMPLES = 120
LOOP_SAMPLES = 600
REST_S = 8.0
"""A core that has worked for seconds is a few percent slower than one that comes from a rest or from importing. So both
sides start from the same rest, after all imports, and keep the cores busy for about as long."""


def figures(folder: Path) -> list[Figure]:
    """Rounds of both, every second one in the other order, so that drift hits both alike."""
    with box_in(folder) as box:
        box.etui("run", "resnet18", "--repeat", "20")
        run = box.document(box.summaries()[0]["id"])
        assert run.artifact is not None and run.threads is not None
        program = box.cache / "programs" / run.artifact.key / "program.pte"
        logs = []
        for number in range(ROUNDS):
            if number % 2:
                loop = _loop_ms(program, run.threads)
                ours = _etui_ms(box)
            else:
                ours = _etui_ms(box)
                loop = _loop_ms(program, run.threads)
            logs.append(math.log(ours / loop))
        share, rss = _overhead(box)
    off = statistics.median(logs)
    return [
        Figure(
            "etui's median against a plain loop",
            abs(math.expm1(off)) * 100,
            2.0,
            "%",
            f"median of {ROUNDS} paired ratios {math.exp(off):.4f}, "
            f"from {math.exp(min(logs)):.4f} to {math.exp(max(logs)):.4f}",
        ),
        Figure("CPU of runner and front end while measuring", share * 100, 2.0, "%", "of one core"),
        Figure("memory of runner and front end", rss / 1e6, 150.0, "MB", "RSS of both together"),
    ]


def _etui_ms(box: Box) -> float:
    time.sleep(REST_S)
    done = box.etui("run", "resnet18", "--repeat", str(SAMPLES), "--warmup", "20", "--json")
    median: float = json.loads(done.stdout)[0]["latency_ms"]["median"]
    return median


def _loop_ms(program: Path, threads: int) -> float:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.benchmarks.plain_loop",
            str(program),
            str(threads),
            str(LOOP_SAMPLES),
            str(REST_S),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def _overhead(box: Box) -> tuple[float, int]:
    """CPU seconds a second, and bytes, of the runner and of ``etui run`` together, over the blocks of a run."""
    front = box.start("run", "resnet18", "--repeat", "2000", "--warmup", "5")
    until(lambda: any(one["status"] == "measuring" for one in box.summaries()))
    pair = [box.runner(), psutil.Process(front.pid)]
    run_id = next(one["id"] for one in box.summaries() if one["status"] == "measuring")
    wall_before, cpu_before = time.monotonic(), _cpu_s(pair)
    rss = sum(process.memory_info().rss for process in pair)
    until(lambda: _blocks(box, run_id) >= 8)
    wall, cpu = time.monotonic() - wall_before, _cpu_s(pair) - cpu_before
    box.etui("cancel", run_id)
    front.communicate()
    return cpu / wall, rss


def _blocks(box: Box, run_id: str) -> int:
    run = box.document(run_id)
    return len(run.blocks) + len(run.eager_blocks)


def _cpu_s(processes: list[psutil.Process]) -> float:
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))
