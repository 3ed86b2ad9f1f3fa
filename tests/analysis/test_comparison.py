"""Comparisons of two runs: the verdict if the data support one, otherwise the reasons, in both directions."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import pytest

from etui.analysis import side_by_side
from etui.analysis.bootstrap import LogEstimate
from etui.analysis.comparison import RunComparison, compare, more_blocks
from etui.analysis.gates import Limits, check
from etui.results import Metrics, RunDocument
from etui.wording import comparison as comparison_wording
from etui.wording.comparison import needs_duel
from tests.analysis.comparisons import LATER, measured
from tests.facts import lacking
from tests.golden import Golden

MIRRORED = {"faster": "slower", "slower": "faster", "equivalent": "equivalent", "inconclusive": "inconclusive"}


def compare_pair(base: RunDocument, other: RunDocument, **options: float | bool) -> RunComparison:
    (comparison,) = compare(base, [other], **options)  # type: ignore[arg-type]
    return comparison


def sentences(base: RunDocument, other: RunDocument, *, force: bool = False) -> str:
    names = comparison_wording.names([base, other])
    return " ".join(comparison_wording.sentences(compare_pair(base, other, force=force), names))


def test_same_program_under_two_labels_rarely_differs() -> None:
    called = [
        compare_pair(
            measured("aaaaaaaaaaa1", seed=2 * seed, drift_seed=seed),
            measured("bbbbbbbbbbb2", seed=2 * seed + 1, drift_seed=seed, delegate="openvino"),
        ).verdict
        for seed in range(40)
    ]
    assert sum(verdict in ("faster", "slower") for verdict in called) <= 2
    assert called.count("equivalent") >= 30


@pytest.mark.parametrize("slowdown", [0.03, 0.05, 0.10])
def test_interval_contains_a_known_slowdown(slowdown: float) -> None:
    covered, called = 0, []
    for seed in range(20):
        comparison = compare_pair(
            measured("aaaaaaaaaaa1", seed=2 * seed, drift_seed=seed),
            measured(
                "bbbbbbbbbbb2", median=16.0 * (1 + slowdown), seed=2 * seed + 1, drift_seed=seed, delegate="openvino"
            ),
        )
        assert comparison.ci95 is not None
        covered += comparison.ci95[0] <= 1 / (1 + slowdown) <= comparison.ci95[1]
        called.append(comparison.verdict)
    assert covered >= 17
    assert "faster" not in called and "equivalent" not in called
    if slowdown >= 0.05:
        assert called.count("slower") >= 18


@pytest.mark.parametrize("session_id", ["5e5510000001", LATER])
@pytest.mark.parametrize("median", [8.0, 15.5, 16.0, 16.4, 40.0])
def test_swapped_runs_give_the_reciprocal_ratio_and_the_opposite_verdict(session_id: str, median: float) -> None:
    first = measured("aaaaaaaaaaa1", seed=1)
    second = measured("bbbbbbbbbbb2", seed=2, median=median, session_id=session_id)
    there, back = compare_pair(first, second), compare_pair(second, first)
    assert there.ratio is not None and back.ratio is not None and there.ci95 and back.ci95
    assert there.kind == back.kind == ("paired" if session_id != LATER else "historical")
    assert there.ratio == pytest.approx(1 / back.ratio, rel=1e-12)
    assert there.ci95 == pytest.approx((1 / back.ci95[1], 1 / back.ci95[0]), rel=1e-12)
    assert there.verdict is not None and back.verdict == MIRRORED[there.verdict]
    assert (there.p, there.p_adjusted, there.more_blocks) == (back.p, back.p_adjusted, back.more_blocks)


def test_one_disturbed_block_changes_the_ratio_by_less_than_its_interval() -> None:
    base, other = measured("aaaaaaaaaaa1", seed=1), measured("bbbbbbbbbbb2", seed=2, delegate="openvino")
    quiet = compare_pair(base, other)
    other.blocks[3] = msgspec.structs.replace(
        other.blocks[3], samples_ms=[2 * sample for sample in other.blocks[3].samples_ms]
    )
    loaded = compare_pair(base, other)
    assert quiet.ratio and loaded.ratio and loaded.ci95
    assert loaded.ci95[0] < quiet.ratio < loaded.ci95[1]


def test_estimated_number_of_blocks_shrinks_the_interval_to_the_margin() -> None:
    wide = LogEstimate(math.log(1.03), 0.05)
    wanted = more_blocks(wide, 6, 0.02)
    assert wanted is not None and 80 < wanted < 120
    assert more_blocks(wide, 6, 0.10) == more_blocks(wide.reciprocal(), 6, 0.10)
    assert more_blocks(LogEstimate(math.log(1.02), 0.05), 6, 0.02) is None
    assert more_blocks(LogEstimate(0.1), 1, 0.02) is None


CHANGES: list[tuple[str, Callable[[RunDocument], object]]] = [
    ("threads", lambda run: setattr(run, "threads", 1)),
    ("weights", lambda run: setattr(run, "weights", _with(run.weights, sha256="11" * 32))),
    ("inputs", lambda run: setattr(run, "inputs", _with(run.inputs, sha256="22" * 32))),
    ("model", lambda run: setattr(run, "model", _with(run.model, identity="another"))),
    ("box", lambda run: setattr(run, "environment", _with(run.environment, box="bench-2"))),
    ("box", lambda run: setattr(run, "environment", _with(run.environment, cpu="Another CPU"))),
    ("governor", lambda run: setattr(run, "environment", _with(run.environment, governor="powersave"))),
    ("arithmetic", lambda run: setattr(run, "arithmetic", "bf16")),
]


def _with(part: msgspec.Struct | None, **changes: str) -> msgspec.Struct:
    assert part is not None
    return msgspec.structs.replace(part, **changes)


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_difference_refuses_the_verdict_and_is_reported_with_a_forced_one(
    name: str, change: Callable[[RunDocument], object]
) -> None:
    base, other = measured("aaaaaaaaaaa1"), measured("bbbbbbbbbbb2", seed=1, median=8.0, session_id=LATER)
    change(other)
    refused, forced = compare_pair(base, other), compare_pair(base, other, force=True)
    assert (refused.verdict, refused.ratio, refused.forced) == (None, None, False)
    assert [reason.name for reason in refused.reasons] == [name]
    assert (forced.verdict, forced.forced, forced.reasons) == ("faster", True, refused.reasons)
    (reason,) = refused.reasons
    assert not lacking(sentences(base, other), "fp32/xnnpack bbbbbb", "fp32/xnnpack aaaaaa", reason.detail)
    assert not lacking(sentences(base, other, force=True), "times as fast", reason.detail)
    timed = [row for row in side_by_side.rows(base, [other], [refused]) if row.group in ("latency", "start")]
    assert all(cell.change is None for row in timed for cell in row.cells)


def test_different_arithmetic_within_a_session_is_a_caution() -> None:
    base, other = measured("aaaaaaaaaaa1"), measured("bbbbbbbbbbb2", delegate="openvino", median=8.0)
    other.arithmetic = "bf16"
    assert compare_pair(base, other).verdict == "faster"
    assert not lacking(sentences(base, other), "arithmetic", "bf16")


def test_comparisons_across_sessions_are_corrected_for_their_number() -> None:
    base = measured("aaaaaaaaaaa1")
    alone = compare(base, [measured("bbbbbbbbbbb2", median=8.0, session_id=LATER)])
    assert alone[0].p is not None and alone[0].p_adjusted == alone[0].p and alone[0].verdict == "faster"
    many = compare(
        base,
        [measured("bbbbbbbbbbb2", median=8.0, session_id=LATER)]
        + [measured(f"ccccccccccc{index}", seed=index, session_id=LATER) for index in range(4)],
    )
    assert many[0].p_adjusted is not None and many[0].p_adjusted > alone[0].p
    assert many[0].verdict == "faster"


def test_two_sessions_that_more_blocks_cannot_distinguish_suggest_a_duel() -> None:
    base = measured("aaaaaaaaaaa1", blocks=3)
    other = measured("bbbbbbbbbbb2", blocks=3, median=16.5, session_id=LATER)
    comparison = compare_pair(base, other)
    assert (comparison.verdict, comparison.more_blocks) == ("inconclusive", None)
    assert needs_duel(comparison) and "duel" in sentences(base, other)


def test_runs_that_cannot_be_compared_give_the_reason(golden: Golden) -> None:
    base, failed = measured("aaaaaaaaaaa1"), measured("bbbbbbbbbbb2", precision="int8")
    failed.status, failed.blocks, failed.latency_ms = "failed", [], None
    assert not lacking(sentences(base, failed), "bbbbbbbbbbb2", "failed")
    summary = measured("ccccccccccc3", precision="int8", median=8.0)
    summary.blocks, summary.summary_only = [], True
    assert not lacking(sentences(base, summary), "ccccccccccc3", "summary")
    assert compare_pair(base, summary).ratio is None
    forced = sentences(base, summary, force=True)
    assert "medians" in forced and ("1.9" in forced or "2.0" in forced)
    assert "same run" in sentences(base, base) and compare_pair(base, base).verdict is None
    partial = measured("ddddddddddd4", precision="int8", blocks=4)
    partial.status = "timed out"
    assert not lacking(sentences(base, partial), "ddddddddddd4", "timed out")
    golden(
        "comparison_limits",
        "\n\n".join([sentences(base, failed), sentences(base, summary), forced, sentences(base, partial)]),
    )


@pytest.mark.parametrize(
    ("median", "verdict", "facts"),
    [
        (4.0, "faster", [" times "]),
        (64.0, "slower", [" times "]),
        (17.6, "slower", ["% ", "interval +"]),
        (14.4, "faster", ["% ", "interval -"]),
        (16.0, "equivalent", ["within 2 %"]),
    ],
)
def test_verdict_comes_first(median: float, verdict: str, facts: list[str]) -> None:
    base = measured("aaaaaaaaaaa1", seed=1)
    other = measured("bbbbbbbbbbb2", seed=2, median=median, precision="int8")
    assert compare_pair(base, other).verdict == verdict
    assert sentences(base, other).startswith("int8/xnnpack ")
    assert not lacking(sentences(base, other), "fp32/xnnpack", "95 %", "6 pairs of blocks", *facts)


def test_wording_of_every_verdict(golden: Golden) -> None:
    base = measured("aaaaaaaaaaa1", seed=1)
    others = [measured("bbbbbbbbbbb2", seed=2, median=one, precision="int8") for one in (4.0, 64.0, 17.6, 14.4, 16.0)]
    others.append(measured("bbbbbbbbbbb2", seed=5, median=15.0, block_sd=0.2, precision="int8"))
    golden("comparison", "\n\n".join(sentences(base, other) for other in others))


def test_rows_contain_changes_intervals_and_the_best_value() -> None:
    base, other = measured("aaaaaaaaaaa1", seed=1), measured("bbbbbbbbbbb2", seed=2, median=8.0, precision="int8")
    rows = {row.name: row for row in side_by_side.rows(base, [other], compare(base, [other]))}
    median = rows["median ms"]
    assert median.differs and [cell.best for cell in median.cells] == [False, True]
    assert median.cells[1].change == pytest.approx(-50, abs=1) and median.cells[1].ci95 is not None
    assert rows["first inference ms"].cells[1].change is not None
    assert not rows["size MB"].differs and not any(cell.best for cell in rows["size MB"].cells)
    assert rows["threads"].cells[0].value == "2" and rows["governor"].cells[1].value == "not readable"


@pytest.mark.parametrize(
    ("median", "limit", "outcome"), [(17.6, 5, "crossed"), (16.0, 5, "held"), (16.8, 5, "open"), (8.0, 0, "held")]
)
def test_limit_is_crossed_only_by_the_whole_interval(median: float, limit: float, outcome: str) -> None:
    base = measured("aaaaaaaaaaa1", seed=1)
    other = measured("bbbbbbbbbbb2", seed=2, median=median, precision="int8")
    checks = check(compare_pair(base, other), other, Limits(slower=limit, mae=0.5, inconclusive=True))
    assert [result.outcome for result in checks] == [outcome, "held", "crossed" if outcome == "open" else "held"]


def test_limit_without_comparable_data_is_not_judged() -> None:
    base, other = measured("aaaaaaaaaaa1"), measured("bbbbbbbbbbb2", session_id=LATER)
    other.threads, other.accuracy = 1, None
    checks = check(compare_pair(base, other), other, Limits(slower=5, mae=0.1, inconclusive=True))
    assert [result.outcome for result in checks] == ["not judged", "not judged", "crossed"]
    assert "threads differ: 2 and 1" in checks[0].detail


def broken(document: RunDocument, *, whole: int) -> RunDocument:
    """Return a run that FAILs because all but ``whole`` of its eight outputs contain NaN."""
    assert document.accuracy is not None
    fine = document.accuracy.end_to_end.outputs[0]
    rows = [msgspec.structs.replace(fine, input=number) for number in range(whole)]
    rows += [
        msgspec.structs.replace(fine, input=number, metrics=None, problem=f"output 0 holds NaN on input {number}")
        for number in range(whole, 8)
    ]
    overall = document.accuracy.end_to_end.overall if whole else Metrics()
    end_to_end = msgspec.structs.replace(document.accuracy.end_to_end, outputs=rows, overall=overall, worst=overall)
    accuracy = msgspec.structs.replace(document.accuracy, verdict="FAIL", reason="NaN", end_to_end=end_to_end)
    return msgspec.structs.replace(document, accuracy=accuracy)


@pytest.mark.parametrize("whole", [0, 1, 7])
@pytest.mark.parametrize(
    "limits", [Limits(mae=1e9), Limits(slower=50), Limits(slower=50, mae=1e9), Limits(inconclusive=True)]
)
def test_broken_outputs_cross_every_limit(whole: int, limits: Limits) -> None:
    base, other = measured("aaaaaaaaaaa1", seed=1), broken(measured("bbbbbbbbbbb2", seed=2, median=8.0), whole=whole)
    checks = check(compare_pair(base, other), other, limits)
    (crossed,) = [result for result in checks if result.outcome == "crossed" and "NaN" in result.detail]
    assert crossed.name == ("MAE above 1e+09" if limits.mae else "broken outputs")
    assert not check(compare_pair(base, other), other, Limits())


def test_best_value_is_marked_only_if_it_is_significant() -> None:
    base = measured("aaaaaaaaaaa1", seed=1)
    near = measured("bbbbbbbbbbb2", seed=2, median=15.9, precision="int8")
    fast = measured("ccccccccccc3", seed=3, median=8.0, delegate="openvino")
    again = measured("ddddddddddd4", seed=4, median=8.02, precision="int8", delegate="openvino")

    def marks(name: str, *others: RunDocument) -> list[bool]:
        rows = {row.name: row for row in side_by_side.rows(base, others, compare(base, others))}
        return [cell.best for cell in rows[name].cells]

    assert marks("median ms", near) == [False, False]
    assert marks("median ms", near, fast) == marks("p90 ms", near, fast) == [False, False, True]
    assert marks("median ms", near, fast, again) == [False] * 4
    assert marks("std ms", near, fast) == [False] * 3
    assert fast.environment is not None
    fast.environment = msgspec.structs.replace(fast.environment, governor="powersave")
    assert marks("median ms", fast) == [False, False]


def shaped(run_id: str, median: float, **requested: object) -> RunDocument:
    """Return a run of the one session with this requested shape or method."""
    document = measured(run_id, seed=int(run_id[-1]), median=median)
    for name, value in requested.items():
        setattr(document, name, value)
    height, width = document.input_size or (224, 224)
    assert document.inputs is not None
    document.inputs = msgspec.structs.replace(
        document.inputs, shapes=[[document.batch or 1, 3, height, width]], sha256=f"{document.batch}{height}{width}"
    )
    document.variant = " ".join(("fp32/xnnpack", *map(str, requested.values())))
    return document


def test_threads_may_differ_within_a_session_only() -> None:
    base, other = measured("aaaaaaaaaaa1", seed=1), measured("bbbbbbbbbbb2", seed=2, median=8.0)
    other.threads = 1
    (comparison,) = compare(base, [other])
    assert comparison.verdict == "faster" and any("threads" in caution for caution in comparison.cautions)
    other.session = msgspec.structs.replace(other.session, id=LATER)
    (refused,) = compare(base, [other])
    assert {reason.name for reason in refused.reasons} == {"threads"}


@pytest.mark.parametrize(
    ("one", "two", "name"),
    [
        ({"input_size": (128, 128)}, {"input_size": (224, 224)}, "input size"),
        ({"input_size": (128, 128)}, {}, "input shapes"),
        ({"sequence": 16}, {"sequence": 64}, "sequence"),
        ({"method": "encode"}, {}, "method"),
        ({"batch": 4}, {}, "input shapes"),
        ({"batch": 1, "input_size": (128, 128)}, {"batch": 4}, "batch"),
        ({"batch": 1, "input_size": (128, 128)}, {"batch": 4, "input_size": (224, 224)}, "input size"),
    ],
)
def test_different_work_is_not_faster_in_one_session_or_in_two(
    one: dict[str, object], two: dict[str, object], name: str
) -> None:
    base, other = shaped("aaaaaaaaaaa1", 4.0, **one), shaped("bbbbbbbbbbb2", 16.0, **two)
    for session in (base.session.id, LATER):
        other.session = msgspec.structs.replace(other.session, id=session)
        refused = compare_pair(base, other)
        assert refused.verdict is None and refused.ratio is None and refused.reasons[0].name == name
        timed = [row for row in side_by_side.rows(base, [other], [refused]) if row.group in ("latency", "start")]
        assert all(cell.change is None and not cell.best for row in timed for cell in row.cells)


def test_batches_of_a_session_are_compared_per_item() -> None:
    base, other = shaped("aaaaaaaaaaa1", 4.0, batch=1), shaped("bbbbbbbbbbb2", 8.0, batch=4)
    there, back = compare_pair(base, other), compare_pair(other, base)
    assert there.items == (1, 4) and there.verdict == "faster" and there.ratio == pytest.approx(2.0, rel=0.02)
    assert (
        there.ratio is not None
        and back.items == (4, 1)
        and back.verdict == "slower"
        and back.ratio == pytest.approx(1 / there.ratio, rel=1e-9)
    )
    assert there.other_median_ms == pytest.approx(2.0, rel=0.02)
    assert not lacking(sentences(base, other), "times as fast per item", "ms per item", "batch")
    changed = {row.name: row.cells[1] for row in side_by_side.rows(base, [other], [there]) if row.group == "latency"}
    (per_item,) = (cell for name, cell in changed.items() if name.startswith("per item"))
    assert per_item.change == pytest.approx(-50, abs=2) and per_item.best
    accuracies = [row.cells[1] for row in side_by_side.rows(base, [other], [there]) if row.group == "accuracy"]
    assert accuracies and all(cell.change is None and not cell.best for cell in accuracies)
    others = [cell for name, cell in changed.items() if not name.startswith("per item")]
    assert all(cell.change is None and not cell.best for cell in others)
    (crossed,) = check(back, base, Limits(slower=5.0))
    assert crossed.outcome == "crossed" and "per item" in crossed.detail


def test_batches_without_a_common_block_are_not_compared() -> None:
    base, other = shaped("aaaaaaaaaaa1", 4.0, batch=1), shaped("bbbbbbbbbbb2", 8.0, batch=4)
    other.blocks = [msgspec.structs.replace(block, index=block.index + 100) for block in other.blocks]
    assert compare_pair(base, other).verdict is None
    forced = compare_pair(base, other, force=True)
    assert forced.forced and forced.items is None and forced.ratio == pytest.approx(0.5, rel=0.02)
    (per_item,) = [row for row in side_by_side.rows(base, [other], [forced]) if row.name.startswith("per item")]
    assert per_item.cells[1].change == pytest.approx(-50, abs=2)


def test_names_are_extended_until_they_differ() -> None:
    runs = [measured("aaaaaaaaaaa1"), measured("aaaaaaaaaab2"), measured("ccccccccccc3", precision="int8")]
    assert list(comparison_wording.names(runs).values()) == [
        "fp32/xnnpack aaaaaaaaaaa",
        "fp32/xnnpack aaaaaaaaaab",
        "int8/xnnpack",
    ]


def test_different_process_settings_refuse_the_comparison() -> None:
    base, other = measured("aaaaaaaaaaa1"), measured("bbbbbbbbbbb2", session_id=LATER)
    settings = (
        {"nice": 0, "affinity": [0, 1], "variables": {"OMP_WAIT_POLICY": "passive", "HF_HOME": "/hf"}},
        {"nice": 19, "affinity": [2, 3], "variables": {"KMP_BLOCKTIME": "0", "HF_HOME": "/elsewhere"}},
    )
    for run, fields in zip((base, other), settings, strict=True):
        assert run.environment is not None
        run.environment = msgspec.structs.replace(run.environment, **fields)
    comparison = compare_pair(base, other)
    assert comparison.refused
    # The location of the weights does not affect the latency; their content has a hash.
    assert [reason.detail for reason in comparison.reasons] == [
        "nice level differs: 0 and 19",
        "CPU affinity differs: 0-1 and 2-3",
        "environment variable KMP_BLOCKTIME differs: not set and 0",
        "environment variable OMP_WAIT_POLICY differs: passive and not set",
    ]


def test_settings_not_recorded_by_an_earlier_version_do_not_refuse_the_comparison() -> None:
    base, other = measured("aaaaaaaaaaa1"), measured("bbbbbbbbbbb2", session_id=LATER)
    assert other.environment is not None
    other.environment = msgspec.structs.replace(
        other.environment, nice=19, affinity=[0], variables={"OMP_WAIT_POLICY": "passive"}
    )
    assert not compare_pair(base, other).reasons and not compare_pair(other, base).reasons


@pytest.mark.parametrize("sample", [0.0, 5e-324, 1e308])
def test_block_with_an_invalid_latency_is_omitted(sample: float) -> None:
    base, other = measured("aaaaaaaaaaa1", seed=1), measured("bbbbbbbbbbb2", seed=2, median=8.0)
    sound = compare_pair(base, other)
    other.blocks[0].samples_ms[0] = sample
    other.blocks[1].program_load_ms = -1.0
    comparison = compare_pair(base, other)
    assert (sound.verdict, comparison.verdict, sound.base_blocks - comparison.base_blocks) == ("faster", "faster", 1)
    assert side_by_side.rows(base, [other], [comparison])


@pytest.mark.parametrize("median", [0.0, 5e-324, 1e308])
def test_summary_with_an_invalid_median_has_no_ratio(median: float) -> None:
    base, other = measured("aaaaaaaaaaa1"), measured("bbbbbbbbbbb2")
    other.blocks, other.summary_only = [], True
    assert other.latency_ms is not None
    other.latency_ms = msgspec.structs.replace(other.latency_ms, median=median)
    assert compare_pair(base, other, force=True).ratio is None
    assert "nothing is known" not in sentences(base, other, force=True)
