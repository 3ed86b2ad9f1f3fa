"""Correctness of verdicts across sessions on this machine: repeated sessions, some under load, and a slowdown."""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from etui.analysis.comparison import RunComparison, compare
from etui.analysis.disturbance import FEW, session_share
from etui.analysis.latency import latency_stats
from etui.analysis.session_level import levels_of
from etui.analysis.session_variance import SessionLatency, unusual_sessions
from etui.results import RunDocument
from tests.benchmarks.figures import Figure
from tests.benchmarks.load import busy_core
from tests.machines import Machine, machine_in

SESSIONS = 24
LOADED = 8
SLOWDOWN = 0.10
DECIDED = ("faster", "slower")
SEED = 10

MODEL = """
from torch import nn
import torch

def net():
    layers = [nn.Conv2d(3, 24, 3, stride=2), nn.BatchNorm2d(24), nn.ReLU(), nn.Conv2d(24, 48, 3, stride=2),
              nn.BatchNorm2d(48), nn.ReLU(), nn.Conv2d(48, 96, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(96, 10)), (torch.randn(1, 3, 128, 128),)
"""


def figures(folder: Path) -> list[Figure]:
    """Measure sessions of one small network, a third of them under a temporary load on one core; then resnet18 on a
    quiet machine and under a load on every core."""
    (folder / "small.py").write_text(MODEL)
    with machine_in(folder) as machine:
        machine.environment["ETUI_WAIT_QUIET"] = "0"
        reference = f"{folder / 'small.py'}:net"
        machine.etui("run", reference, "--preset", "quick")
        generator = random.Random(SEED)
        loaded = set(generator.sample(range(SESSIONS), LOADED))
        runs = []
        for number in range(SESSIONS):
            with _temporary_load(generator.random()) if number in loaded else ExitStack():
                runs.append((_measured(machine, reference)[0], number in loaded))
        return [
            *_same_program(runs),
            *_planted([run for run, under_load in runs if not under_load]),
            _under_full_load(machine),
        ]


def _same_program(runs: Sequence[tuple[RunDocument, bool]]) -> list[Figure]:
    """Compare every pair of sessions of the same program, with and without the levels of the machine's other
    sessions."""
    levels = [level for run, _ in runs for level in levels_of(run)]
    made = []
    for name, known in (("first comparison", []), ("with history", levels)):
        verdicts: Counter[str] = Counter()
        for (base, _), (other, _) in itertools.combinations(runs, 2):
            verdicts[_one(base, other, known).verdict or "refused"] += 1
        pairs = sum(verdicts.values())
        wrong = sum(verdicts[verdict] for verdict in DECIDED)
        shown = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
        made.append(Figure(f"same program, {name}: called different", 100 * wrong / pairs, 5, "%", shown))
    return made


def _planted(runs: Sequence[RunDocument]) -> list[Figure]:
    """Compare pairs of quiet sessions with every latency of the second raised by a tenth: exactly the result of a
    program that takes a tenth longer. Sessions that were disturbed although no load was planned are omitted, by their
    counters and controls."""
    levels = [level for run in runs for level in levels_of(run)]
    unusual = unusual_sessions(levels)
    disturbed = {run.session.id for run in runs if session_share(run.blocks, run.eager_blocks) >= FEW}
    quiet = [run for run in runs if run.session.id not in unusual | disturbed]
    comparisons = [_one(base, _slowed(other), levels) for base, other in itertools.permutations(quiet, 2)]
    truth = 1 / (1 + SLOWDOWN)
    missed = sum(result.verdict != "slower" for result in comparisons)
    covered = sum(result.ci95[0] <= truth <= result.ci95[1] for result in comparisons if result.ci95 is not None)
    shown = Counter(result.verdict for result in comparisons)
    widths = sorted((result.ci95[1] / result.ci95[0] - 1) / 2 for result in comparisons if result.ci95 is not None)
    return [
        Figure(
            "10 % slower between quiet sessions: not detected", 100 * missed / len(comparisons), 20, "%",
            f"{dict(shown)}; of {len(runs)} sessions {len(disturbed)} were disturbed and {len(unusual)} ran in another "
            f"state of the machine; median half width {100 * widths[len(widths) // 2]:.1f} %",
        ),
        Figure(
            "interval between quiet sessions: misses the truth", 100 * (1 - covered / len(comparisons)), 7, "%",
            f"{len(comparisons)} pairs; session sd {100 * (comparisons[0].session_sd or 0):.1f} %",
        ),
    ]  # fmt: skip


def _under_full_load(machine: Machine) -> Figure:
    """Count verdicts under a load on every core that contradict the quiet machine."""
    quiet = _measured(machine, "resnet18", "-p", "fp32,int8")
    with ExitStack() as loads:
        for _ in range(os.cpu_count() or 1):
            loads.enter_context(busy_core())
        loaded = _measured(machine, "resnet18", "-p", "fp32,int8")
    shown, wrong = [], 0
    for calm, loud in zip(quiet, loaded, strict=True):
        assert calm.speedup is not None and loud.speedup is not None
        wrong += loud.speedup.verdict in DECIDED and not _agrees(calm, loud)
        shown.append(
            f"{calm.precision} {calm.speedup.value:.2f}x quiet, {loud.speedup.value:.2f}x {loud.speedup.verdict} loaded"
        )
        across = _one(calm, loud, [])
        wrong += across.verdict in DECIDED
        shown.append(f"across {across.verdict}")
    return Figure("a load on every core: verdicts that are wrong", float(wrong), 0, "of 4", "; ".join(shown))


def _agrees(calm: RunDocument, loud: RunDocument) -> bool:
    """Whether two speed-ups of the same program agree, each within the other's interval."""
    one, two = calm.speedup, loud.speedup
    assert one is not None and two is not None and one.ci95 is not None and two.ci95 is not None
    return one.ci95[0] <= two.ci95[1] and two.ci95[0] <= one.ci95[1]


def _one(base: RunDocument, other: RunDocument, levels: list[SessionLatency]) -> RunComparison:
    (comparison,) = compare(base, [other], levels=levels)
    return comparison


def _slowed(run: RunDocument) -> RunDocument:
    blocks = [
        msgspec.structs.replace(block, samples_ms=[sample * (1 + SLOWDOWN) for sample in block.samples_ms])
        for block in run.blocks
    ]
    return msgspec.structs.replace(run, blocks=blocks, latency_ms=latency_stats(blocks))


def _measured(machine: Machine, model: str, *options: str) -> list[RunDocument]:
    """Return the runs of a session of the default preset."""
    before = {summary["id"] for summary in machine.summaries()}
    machine.etui("run", model, *options, status=None)
    new = [summary["id"] for summary in machine.summaries() if summary["id"] not in before]
    return [machine.document(run_id) for run_id in reversed(new)]


@contextmanager
def _temporary_load(start: float) -> Iterator[None]:
    """Keep a core busy from up to eight seconds after the start of the session, for up to twelve seconds."""
    gone = threading.Event()

    def load() -> None:
        if not gone.wait(8 * start):
            with busy_core():
                gone.wait(4 + 8 * (1 - start))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        gone.set()
        thread.join()
