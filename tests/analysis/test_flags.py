"""Each warning flag is raised by its own cause only."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from etui.analysis import canary
from etui.analysis.flags import find_eager_flags, find_flags
from etui.analysis.latency import latency_stats
from etui.results import Block, Flag, QuietCheck
from etui.runner.build_document import with_figures
from etui.wording.flags import explained, not_readable
from tests.documents import ENVIRONMENT, make_document
from tests.facts import lacking

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


def flags_of(
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
        eager_stats=latency_stats(eager or []),
    )


def names(blocks: list[Block], *, governor: str | None = "performance", planned: int | None = None) -> set[str]:
    flags = flags_of(blocks, governor=governor, planned=planned)
    assert all(flag.detail and explained(flag.name) for flag in flags)
    return {flag.name for flag in flags}


def changed(**fields: object) -> Block:
    return msgspec.structs.replace(QUIET, **fields)


def test_quiet_machine_raises_no_flag() -> None:
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
def test_one_block_raises_each_flag(block: Block, flag: str) -> None:
    assert names([QUIET, block, QUIET]) == {flag}


def test_few_samples_and_few_blocks() -> None:
    assert names([changed(samples_ms=[37_000.0])], planned=6) == {"few blocks", "few samples"}


def test_wide_samples() -> None:
    chance = random.Random(1)
    for share, flag in ((0.1, "spread"), (0.3, "wide spread")):
        wide = [changed(samples_ms=[chance.gauss(10, 10 * share) for _ in range(50)]) for _ in range(3)]
        assert names(wide) == {flag}


def test_autocorrelation_and_two_modes() -> None:
    chance = random.Random(2)
    wandering = [changed(samples_ms=[10 + math.sin(step / 8) / 5 for step in range(60)]) for _ in range(3)]
    assert names(wandering) == {"autocorrelation"}
    two = [changed(samples_ms=[chance.choice((10, 10, 11)) + chance.gauss(0, 0.1) for _ in range(60)])] * 3
    assert names(two) == {"two modes"}
    assert not lacking(flags_of(two)[0].detail, "10 ms", "11 ms")


def test_superseded_block_is_kept_and_reported() -> None:
    spoiled = changed(canary_ms=(1.0, 1.5), superseded=True)
    (flag,) = flags_of([QUIET] * 3, superseded=[spoiled])
    assert flag.name == "canary" and "1 of 3 blocks" in flag.detail
    assert flags_of([QUIET] * 3, superseded=[msgspec.structs.replace(spoiled, variant="eager")]) == []


def test_fewer_cores_than_eager_is_reported() -> None:
    eager = [changed(variant="eager")] * 3
    (flag,) = flags_of([changed(cpu_s=0.3)] * 3, eager=eager)
    assert flag.name == "parallelism" and not lacking(flag.detail, "2 threads", "1.00", "2.00", "eager")
    assert flags_of([QUIET] * 3, eager=eager) == []


def test_unreadable_counters_are_listed() -> None:
    silent = msgspec.structs.replace(ENVIRONMENT, not_readable=["steal", "thermal throttling"])
    assert not_readable(silent) == ["governor", "turbo", "steal", "thermal throttling"]
    # Documents of versions that did not record this claim nothing.
    assert not_readable(ENVIRONMENT) == [] and not_readable(None) == []


def test_trend_over_blocks_is_drift_but_one_outlier_is_not() -> None:
    rising = [changed(samples_ms=[10.0 + 0.2 * index] * 30) for index in range(6)]
    assert names(rising) == {"drift"}
    odd = [QUIET, QUIET, changed(samples_ms=[10.6] * 30), QUIET, QUIET, QUIET]
    assert "drift" not in names(odd)


def test_governor_is_judged_only_if_readable() -> None:
    assert names([QUIET] * 3, governor="powersave") == {"governor"}
    assert names([QUIET] * 3, governor=None) == set()


def test_canary_is_judged_by_its_session_and_its_time() -> None:
    assert canary.typical([(1.0, 2.0)] * 2) is None
    usual = canary.typical([(1.0, 2.0), (1.01, 2.02), (0.99, 1.98), (9.0, 9.0)])
    assert usual == pytest.approx((1.005, 2.01))
    assert not canary.deviated(changed(canary_ms=(1.04, 2.09)), usual)
    assert canary.deviated(changed(canary_ms=(1.0, 2.2)), usual) and canary.deviated(
        changed(canary_ms=(0.9, 2.0)), usual
    )
    assert not canary.deviated(changed(canary_ms=None), usual) and not canary.deviated(QUIET, None)
    message = canary.deviation_text(changed(canary_ms=(0.9, 2.2)), usual)
    assert message.index("10 % faster") < message.index("before") < message.index("9 % slower") < message.index("after")


EAGER_QUIET = msgspec.structs.replace(QUIET, variant="eager")

OF_EAGER = [
    ({"foreign_cpu_cores": 0.5}, "foreign load"),
    ({"throttled_ms": 12.0}, "throttled"),
    ({"steal_s": 0.2}, "steal"),
    ({"cpu_pressure": 40.0}, "CPU pressure"),
    ({"thermal_throttles": 2}, "thermal"),
    ({"memory_pressure": 20.0}, "memory pressure"),
    ({"frequency_mhz": (3000.0, 2000.0)}, "frequency"),
    ({"major_faults": 1}, "page faults"),
    ({"warmup_settled": False}, "unsettled"),
    ({"canary_ms": (1.0, 1.2)}, "canary"),
]


@pytest.mark.parametrize(("fields", "flag"), OF_EAGER)
def test_eager_blocks_are_judged_like_those_of_the_program(fields: dict[str, object], flag: str) -> None:
    eager = [EAGER_QUIET, msgspec.structs.replace(EAGER_QUIET, **fields), EAGER_QUIET]
    environment = msgspec.structs.replace(ENVIRONMENT, governor="performance")
    assert {one.name for one in find_eager_flags(latency_stats(eager), eager, environment, [QUIET] * 3)} == {flag}
    # One flag of the run represents them, because the ratio to eager is also a metric of the run.
    (of_run,) = flags_of([QUIET] * 3, eager=eager)
    assert of_run.name == "eager" and flag in of_run.detail and explained("eager")


def test_eager_samples_are_judged() -> None:
    chance = random.Random(1)
    wide = [msgspec.structs.replace(EAGER_QUIET, samples_ms=[chance.gauss(10, 3) for _ in range(50)]) for _ in range(3)]
    assert {one.name for one in find_eager_flags(latency_stats(wide), wide, None)} == {"wide spread"}
    assert find_eager_flags(None, [], None) == []


def test_derived_document_has_the_flags_of_both_sides() -> None:
    document = make_document()
    document.eager_blocks = [msgspec.structs.replace(block, foreign_cpu_cores=1.9) for block in document.eager_blocks]
    judged = with_figures(document)
    assert "foreign load" in {flag.name for flag in judged.eager_flags}
    assert "eager" in {flag.name for flag in judged.flags}
    assert "foreign load" not in {flag.name for flag in judged.flags}


def test_each_cpu_frequency_is_compared_with_its_own() -> None:
    fast_and_slow = {"0": (3500.0, 3500.0), "8": (2400.0, 2400.0)}
    same = [changed(frequency_range_mhz=fast_and_slow, frequency_mhz=(3500.0, 2400.0))] * 3
    assert names(same) == set()
    slowed = [*same, changed(frequency_range_mhz={"0": (2000.0, 3500.0)})]
    (flag,) = flags_of(slowed)
    assert flag.name == "frequency" and not lacking(flag.detail, "CPU 0 ", "2000", "3500 MHz")
    assert "CPU 8" not in flag.detail


def test_more_threads_than_requested_are_flagged() -> None:
    (flag,) = flags_of([changed(busy_threads=2), changed(busy_threads=4), changed(busy_threads=2)])
    assert flag.name == "threads" and not lacking(flag.detail, "4 threads", "program", "2")
    assert flags_of([changed(busy_threads=2)] * 3) == []
    (flag,) = flags_of([QUIET] * 3, eager=[msgspec.structs.replace(EAGER_QUIET, busy_threads=8)] * 3)
    assert not lacking(flag.detail, "8 threads", "eager", "2")


def test_openvino_on_fewer_threads_is_flagged() -> None:
    (flag,) = flags_of([changed(variant="fp32/openvino", busy_threads=1)] * 3)
    assert flag.name == "threads" and not lacking(flag.detail, "OpenVINO", "1 thread", "2")
    # For the other delegates, the number of threads that the operators keep busy does not matter.
    assert flags_of([changed(busy_threads=1)] * 3) == []


def test_load_in_most_blocks_on_every_core_suggests_one_thread() -> None:
    loaded = [changed(foreign_cpu_cores=1.0, cpu_pressure=90.0)] * 2 + [QUIET]
    by_name = {flag.name: flag.detail for flag in flags_of(loaded)}
    assert "one thread" in by_name["foreign load"] and "one thread" not in by_name["CPU pressure"]
    for spared in (
        [QUIET, QUIET, loaded[0]],
        [msgspec.structs.replace(block, threads=1, cpu_s=0.3) for block in loaded],
    ):
        assert not any("one thread" in flag.detail for flag in flags_of(spared))


def test_busy_machine_before_the_first_block_is_flagged() -> None:
    busy = QuietCheck(waited_s=30.0, calm=False, foreign_cpu_cores=1.5, by=["stress (pid 7, user bob) 1.5 cores"])
    (flag,) = find_flags(
        stats=None, blocks=[], eager_blocks=[], environment=None, planned_blocks=0, fixed_samples=False, quiet=busy
    )
    assert flag.name == "busy start" and "30.0 s" in flag.detail and "stress (pid 7, user bob)" in flag.detail
    assert "wait longer" in explained("busy start")
    calm = msgspec.structs.replace(busy, calm=True)
    assert not find_flags(
        stats=None, blocks=[], eager_blocks=[], environment=None, planned_blocks=0, fixed_samples=False, quiet=calm
    )
