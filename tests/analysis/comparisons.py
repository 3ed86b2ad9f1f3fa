"""Made-up runs whose blocks have a known ratio, for tests of comparisons."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from etui.analysis.latency import latency_stats
from etui.results import Block, RunDocument
from tests.documents import make_block, make_document

LATER = "5e5510000002"


def measured(
    run_id: str,
    *,
    median: float = 16.0,
    seed: int = 0,
    drift_seed: int = 0,
    blocks: int = 6,
    block_sd: float = 0.003,
    drift_sd: float = 0.03,
    session_id: str = "5e5510000001",
    precision: str = "fp32",
    delegate: str = "xnnpack",
) -> RunDocument:
    """A run of blocks around ``median``: a drift that runs of the same ``drift_seed`` share, an effect of each block
    of its own, and 2 % of noise in each sample."""
    document = make_document(run_id, session_id=session_id, precision=precision, delegate=delegate, median=median)
    drift = np.random.default_rng(1_000 + drift_seed).normal(0, drift_sd, blocks)
    generator = np.random.default_rng(seed)
    made: list[Block] = []
    for index in range(blocks):
        logs = drift[index] + generator.normal(0, block_sd) + generator.normal(0, 0.02, 40)
        block = make_block(f"{precision}/{delegate}", index % 60, median)
        made.append(msgspec.structs.replace(block, samples_ms=[float(median * math.exp(value)) for value in logs]))
    document.blocks = made
    document.latency_ms = latency_stats(made)
    return document
