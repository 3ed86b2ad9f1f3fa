"""The time to compare 500 stored runs."""

from __future__ import annotations

import random
import statistics
from pathlib import Path

import msgspec

from etui.results import Block, RunDocument
from etui.store.transfer import read_documents
from tests.benchmarks.figures import Figure, timed
from tests.machines import ETUI, Machine

RUNS = 500
ROUNDS = 5
SAMPLE = Path(__file__).parents[2] / "sample_results" / "resnet18_fp32_xnnpack.json"


def figures(folder: Path) -> list[Figure]:
    """Time ``etui compare`` of one run with 499 others, each of a separate session, as a whole process."""
    from etui.store import Store

    machine = Machine(folder)
    (real,) = read_documents(SAMPLE)
    chance = random.Random(1)
    runs = [_like(real, number, chance) for number in range(RUNS)]
    with Store.open(machine.database) as store:
        store.import_documents(runs)
    took = [timed([str(ETUI), "compare", *(run.id for run in runs)], machine.environment) for _ in range(ROUNDS)]
    return [
        Figure(
            f"etui compare of {RUNS} runs",
            statistics.median(took),
            2.0,
            "s",
            f"median of {ROUNDS}, from {min(took):.2f} to {max(took):.2f} s",
        )
    ]


def _like(real: RunDocument, number: int, chance: random.Random) -> RunDocument:
    """Return a run as large as a real one, with samples resampled from it."""

    def again(block: Block) -> Block:
        count = len(block.samples_ms) + chance.randrange(-5, 6)
        pace = chance.gauss(1, 0.01)
        return msgspec.structs.replace(
            block, samples_ms=[pace * sample for sample in chance.choices(block.samples_ms, k=count)]
        )

    return msgspec.structs.replace(
        real,
        id=f"{number:012x}",
        session=msgspec.structs.replace(real.session, id=f"5e{number:010x}"),
        blocks=[again(block) for block in real.blocks],
        eager_blocks=[again(block) for block in real.eager_blocks],
    )
