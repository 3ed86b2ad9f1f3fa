"""Synthetic runs whose blocks have a known ratio, for tests of comparisons."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from etui.analysis.latency import latency_stats, speedup
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
    """Return a run with blocks around ``median``: a drift shared by runs of the same ``drift_seed``, an independent
    effect of each block, and 2 % of noise in each sample."""
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


class Machine:
    """A machine whose level changes from session to session, with everything that a session measures: a program of
    known latency, eager and the canary kernel."""

    def __init__(self, seed: int, *, common_sd: float = 0.005, own_sd: float = 0.003, block_sd: float = 0.008) -> None:
        """``common_sd`` changes a whole session, ``own_sd`` each variant of it, ``block_sd`` each block (log scale)."""
        self._generator = np.random.default_rng(seed)
        self._common_sd, self._own_sd, self._block_sd = common_sd, own_sd, block_sd
        self._sessions = 0

    def session(
        self,
        median: float = 16.0,
        *,
        level: float = 1.0,
        eager_level: float = 1.0,
        identity: str = "",
        blocks: int = 6,
        loaded: int = 0,
        eager_loaded: int = 0,
        factor: float = 1.0,
    ) -> RunDocument:
        """Return a run in a separate session. ``level`` multiplies everything, ``eager_level`` only eager. In the first
        ``loaded`` blocks (``eager_loaded`` of eager) another program used a core and made them ``factor`` slower."""
        generator = self._generator
        self._sessions += 1
        name = f"{self._sessions:012x}"
        document = make_document(name, session_id=name, median=median)
        if identity:
            document.model = msgspec.structs.replace(document.model, identity=identity)
        common = generator.normal(0, self._common_sd) + math.log(level)
        sides: dict[str, list[Block]] = {}
        for variant, base, busy in (
            ("fp32/xnnpack", median, loaded),
            ("eager", 24.0 * eager_level, eager_loaded),
        ):
            own = generator.normal(0, self._own_sd)
            sides[variant] = []
            for index in range(blocks):
                block_level = common + own + generator.normal(0, self._block_sd)
                logs = block_level + generator.normal(0, 0.02, 40) + (math.log(factor) if index < busy else 0.0)
                kernel = math.exp(common + generator.normal(0, 0.003))
                sides[variant].append(
                    msgspec.structs.replace(
                        make_block(variant, index, base),
                        samples_ms=[float(base * math.exp(value)) for value in logs],
                        canary_ms=(1.2 * kernel, 1.15 * kernel),
                        foreign_cpu_cores=1.0 if index < busy else 0.0,
                        cpu_pressure=0.0,
                        steal_s=0.0,
                        throttled_ms=0.0,
                    )
                )
        document.blocks, document.eager_blocks = sides["fp32/xnnpack"], sides["eager"]
        document.latency_ms = latency_stats(document.blocks)
        document.eager_latency_ms = latency_stats(document.eager_blocks)
        document.speedup = speedup(document.eager_blocks, document.blocks)
        return document
