"""The overhead of a session beyond its inferences, warm-ups and canaries, with cached programs and a warm runner; and
a sweep of twelve cached programs next to its sessions one by one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from etui.engine.measure.canary import REPEATS
from etui.events import Event
from etui.results import Block
from etui.store import Store
from tests.benchmarks.figures import Figure, ratio
from tests.machines import Machine, machine_in, until

TIMES = 5
PAIRS = 3
MODELS = ("small", "medium", "large")
SWEEP = ("--precision", "fp32,fp16", "--delegate", "xnnpack,portable", "--preset", "quick", "--repeat", "20")

SOURCE = """
import torch
from torch import nn

def _net(width):
    layers = [nn.Conv2d(3, width, 3, stride=2), nn.ReLU(), nn.Conv2d(width, width, 3, stride=2), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)]
    return nn.Sequential(*layers, *head), torch.randn(1, 3, 64, 64)

def small():
    return _net(8)

def medium():
    return _net(16)

def large():
    return _net(24)
"""


def figures(folder: Path) -> list[Figure]:
    """Measure sessions of resnet18 in a warm runner, and a sweep of three models with four variants each."""
    with machine_in(folder) as machine:
        command = ("run", "resnet18", "--preset", "quick")
        machine.etui(*command)
        blocks_s: list[float] = []
        sessions_s: list[float] = []
        for _ in range(TIMES):
            per_block, per_session = _overhead(machine, command)
            blocks_s += per_block
            sessions_s.append(per_session)
        return [
            Figure(
                "overhead per block",
                statistics.median(blocks_s),
                0.2,
                "s",
                f"{len(blocks_s)} blocks, worst {max(blocks_s):.2f}",
            ),
            Figure(
                "overhead per session",
                statistics.median(sessions_s),
                0.8,
                "s",
                f"{TIMES} sessions, from the start of `etui run` to its end, worst {max(sessions_s):.2f}",
            ),
            _sweep(machine, folder),
        ]


def _overhead(machine: Machine, command: tuple[str, ...]) -> tuple[list[float], float]:
    """Return the overhead of each block and of the rest of a session, in seconds."""
    start = time.time()
    machine.etui(*command)
    session_s = time.time() - start
    run = machine.document(machine.summaries()[0]["id"])
    until(lambda: not machine.jobs())
    walls_s = list(_walls_s(machine, run.id))
    # In the order of measurement, as the events are.
    blocks = sorted([*run.blocks, *run.eager_blocks, *run.superseded_blocks], key=lambda block: block.started_at)
    overheads_s = [wall_s - _used_s(block) for wall_s, block in zip(walls_s, blocks, strict=True)]
    return overheads_s, session_s - sum(walls_s)


def _walls_s(machine: Machine, run_id: str) -> Iterator[float]:
    """Yield the seconds of each block, from the request for it to its result."""
    with Store.open(machine.database, create=False) as store:
        events = store.events_after(store.summary(run_id).session, 0)
    began: float | None = None
    for event in events:
        if event.kind == "progress" and event.message.startswith("block "):
            began = _moment(event)
        elif began is not None and (event.kind == "block" or "is measured again" in event.message):
            yield _moment(event) - began
            # The repetition of a block begins at once.
            began = _moment(event)


def _used_s(block: Block) -> float:
    """Return the seconds of a block's samples, warm-ups, canaries, and the calls that are timed by part."""
    typical_ms = statistics.median(block.samples_ms)
    further = max(10, len(block.samples_ms) // 20) if block.call is not None else 0
    warm_ups_ms = (block.first_inference_ms or 0.0) + (block.warmup_count - 1 + further) * typical_ms
    return (sum(block.samples_ms) + warm_ups_ms + REPEATS * sum(block.canary_ms or ())) / 1e3


def _moment(event: Event) -> float:
    return datetime.fromisoformat(event.at).timestamp()


def _sweep(machine: Machine, folder: Path) -> Figure:
    (folder / "nets.py").write_text(SOURCE)
    models = [f"{folder / 'nets.py'}:{name}" for name in MODELS]
    machine.etui("run", *models, *SWEEP)
    together_s: list[float] = []
    one_by_one_s: list[float] = []
    for _ in range(PAIRS):
        start = time.perf_counter()
        machine.etui("run", *models, *SWEEP)
        together_s.append(time.perf_counter() - start)
        start = time.perf_counter()
        for model in models:
            machine.etui("run", model, *SWEEP)
        one_by_one_s.append(time.perf_counter() - start)
    return ratio("sweep of twelve cached programs", together_s, one_by_one_s, 1.0, "its sessions one by one")
