"""Each flag is raised by what it is about, and by nothing else."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from etui.analysis import canary
from etui.analysis.flag_words import explained, not_readable
from etui.analysis.flags import find_flags
from etui.analysis.latency import latency_stats
from etui.results import Block, Flag
from tests.documents import ENVIRONMENT

QUIET = Block(
    index=0,
    position=0,
    variant="fp32/xnnpack",
    started_at="",
    samples_ms=[10.0 + 0.01 * (7 * step % 30) for step in range(30)],
    threads=2,
    warmup_settled=True,
    wall_s=0.3,
    cpu_s=0.6,
    foreign_cpu_cores=0.0,
    throttled_ms=0.0,
    steal_s=0.0,
    frequency_mhz=(3000.0, 3000.0),
    memory_pressure=0.0,
    cpu_pressure=0.0,
    thermal_throttles=0,
    major_faults=0,
    minor_faults=0,
    canary_ms=(1.0, 1.1),
)


def found(
    blocks: list[Block],
    *,
    governor: str | None = "performance",
    planned: int | None = None,
    eager: list[Block] | None = None,
    superseded: list[Block] | None = None,
) -> list[Flag]:
    return find_flags(
        stats=latency_stats(blocks),
        blocks=blocks,
        eager_blocks=eager or [],
        environment=msgspec.structs.replace(ENVIRONMENT, governor=governor),
        planned_blocks=len(blocks) if planned is None else planned,
        fixed_samples=False,
        superseded=superseded or [],
    )


def names(blocks: list[Block], *, governor: str | None = "performance", planned: int | None = None) -> set[str]:
    flags = found(blocks, governor=governor, planned=planned)
    assert all(flag.detail and explained(flag.name) for flag in flags)
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
        (changed(frequency_mhz=(2500.0, 2500.0)), "frequency"),
        (changed(cpu_pressure=40.0), "CPU pressure"),
        (changed(thermal_throttles=2), "thermal"),
        (changed(major_faults=1), "page faults"),
        (changed(canary_ms=(1.0, 1.2)), "canary"),
        (changed(cpu_s=0.4), "parallelism"),
        (changed(warmup_settled=False), "unsettled"),
        (changed(threads=1), "threads"),
    ],
)
def test_each_flag_is_raised_by_one_block(block: Block, flag: str) -> None:
    assert names([QUIET, block, QUIET]) == {flag}


def test_few_samples_and_few_blocks() -> None:
    assert names([changed(samples_ms=[37_000.0])], planned=6) == {"few blocks", "few samples"}


def test_wide_samples() -> None:
    chance = random.Random(1)
    for share, flag in ((0.1, "spread"), (0.3, "wide spread")):
        wide = [changed(samples_ms=[chance.gauss(10, 10 * share) for _ in range(50)]) for _ in range(3)]
        assert names(wide) == {flag}


def test_a_wandering_pace_and_two_paces() -> None:
    chance = random.Random(2)
    wandering = [changed(samples_ms=[10 + math.sin(step / 8) / 5 for step in range(60)]) for _ in range(3)]
    assert names(wandering) == {"autocorrelation"}
    two = [changed(samples_ms=[chance.choice((10, 10, 11)) + chance.gauss(0, 0.1) for _ in range(60)])] * 3
    assert names(two) == {"two modes"}
    assert "10 ms, and 11 ms in " in found(two)[0].detail


def test_a_block_measured_again_is_kept_and_said() -> None:
    spoiled = changed(canary_ms=(1.0, 1.5), superseded=True)
    (flag,) = found([QUIET] * 3, superseded=[spoiled])
    assert (flag.name, flag.detail) == ("canary", "1 of 3 blocks measured again, both kept")
    assert found([QUIET] * 3, superseded=[msgspec.structs.replace(spoiled, variant="eager")]) == []


def test_fewer_cores_than_eager_used_is_said() -> None:
    eager = [changed(variant="eager")] * 3
    (flag,) = found([changed(cpu_s=0.3)] * 3, eager=eager)
    assert (flag.name, flag.detail) == ("parallelism", "with 2 threads the program used 1.00 cores and eager 2.00")
    assert found([QUIET] * 3, eager=eager) == []


def test_what_cannot_be_read_is_said_to_be_not_readable() -> None:
    silent = msgspec.structs.replace(ENVIRONMENT, not_readable=["steal", "thermal throttling"])
    assert not_readable(silent) == ["governor", "turbo", "steal", "thermal throttling"]
    # Of documents of before that was noted, nothing is claimed.
    assert not_readable(ENVIRONMENT) == [] and not_readable(None) == []


def test_a_trend_over_blocks_is_drift_and_one_odd_block_is_not() -> None:
    rising = [changed(samples_ms=[10.0 + 0.2 * index] * 30) for index in range(6)]
    assert names(rising) == {"drift"}
    odd = [QUIET, QUIET, changed(samples_ms=[10.6] * 30), QUIET, QUIET, QUIET]
    assert "drift" not in names(odd)


def test_the_governor_counts_only_where_it_is_readable() -> None:
    assert names([QUIET] * 3, governor="powersave") == {"governor"}
    assert names([QUIET] * 3, governor=None) == set()


def test_a_canary_is_judged_by_the_session_and_by_the_moment() -> None:
    assert canary.typical([(1.0, 2.0)] * 2) is None
    usual = canary.typical([(1.0, 2.0), (1.01, 2.02), (0.99, 1.98), (9.0, 9.0)])
    assert usual == pytest.approx((1.005, 2.01))
    assert not canary.is_off(changed(canary_ms=(1.04, 2.09)), usual)
    assert canary.is_off(changed(canary_ms=(1.0, 2.2)), usual) and canary.is_off(changed(canary_ms=(0.9, 2.0)), usual)
    assert not canary.is_off(changed(canary_ms=None), usual) and not canary.is_off(QUIET, None)
    said = canary.words(changed(canary_ms=(0.9, 2.2)), usual)
    assert said == "the canary was 10 % faster before it and 9 % slower after it than is typical of the session"
