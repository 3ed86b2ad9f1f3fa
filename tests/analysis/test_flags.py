"""Each flag is raised by what it is about, and by nothing else."""

from __future__ import annotations

import msgspec
import pytest

from etui.analysis.flags import find_flags
from etui.analysis.latency import latency_stats
from etui.results import Block
from tests.documents import ENVIRONMENT

QUIET = Block(
    index=0,
    position=0,
    variant="fp32/xnnpack",
    started_at="",
    samples_ms=[10.0 + 0.01 * step for step in range(30)],
    threads=2,
    warmup_settled=True,
    wall_s=0.3,
    cpu_s=0.6,
    foreign_cpu_cores=0.0,
    throttled_ms=0.0,
    steal_s=0.0,
    frequency_mhz=(3000.0, 3000.0),
    memory_pressure=0.0,
)


def names(blocks: list[Block], *, governor: str | None = "performance", planned: int | None = None) -> set[str]:
    flags = find_flags(
        stats=latency_stats(blocks),
        blocks=blocks,
        eager_blocks=[],
        environment=msgspec.structs.replace(ENVIRONMENT, governor=governor),
        planned_blocks=len(blocks) if planned is None else planned,
        fixed_samples=False,
    )
    assert all(flag.detail for flag in flags)
    return {flag.name for flag in flags}


def changed(**fields: object) -> Block:
    return msgspec.structs.replace(QUIET, **fields)


def test_a_quiet_box_raises_none() -> None:
    assert names([QUIET] * 3) == set()


@pytest.mark.parametrize(
    ("block", "flag"),
    [
        (changed(foreign_cpu_cores=0.5), "foreign load"),
        (changed(throttled_ms=12.0), "throttled"),
        (changed(steal_s=0.2), "steal"),
        (changed(frequency_mhz=(3000.0, 2000.0)), "frequency"),
        (changed(memory_pressure=20.0), "memory pressure"),
        (changed(warmup_settled=False), "unsettled"),
        (changed(threads=1), "threads"),
    ],
)
def test_each_flag_is_raised_by_one_block(block: Block, flag: str) -> None:
    assert names([QUIET, block, QUIET]) == {flag}


def test_few_samples_and_few_blocks() -> None:
    assert names([changed(samples_ms=[37_000.0])], planned=6) == {"few blocks", "few samples"}


def test_wide_samples() -> None:
    assert names([changed(samples_ms=[10.0 + 2 * (step % 2) for step in range(30)])] * 3) == {"spread"}


def test_a_trend_over_blocks_is_drift_and_one_odd_block_is_not() -> None:
    rising = [changed(samples_ms=[10.0 + 0.2 * index] * 30) for index in range(6)]
    assert names(rising) == {"drift"}
    odd = [QUIET, QUIET, changed(samples_ms=[10.6] * 30), QUIET, QUIET, QUIET]
    assert "drift" not in names(odd)


def test_the_governor_counts_only_where_it_is_readable() -> None:
    assert names([QUIET] * 3, governor="powersave") == {"governor"}
    assert names([QUIET] * 3, governor=None) == set()
