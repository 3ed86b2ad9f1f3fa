"""Evaluation of profiles: modules with both sides, and whether the sum of the operators agrees with the total."""

from __future__ import annotations

import msgspec
import pytest

from etui.analysis.profiles import (
    ITS_OWN,
    MOST_NESTED,
    NOT_KNOWN,
    agrees,
    below,
    by_kind,
    by_operator,
    in_order,
    module_tree,
    one_by_one,
    opened,
    outline,
    overhead,
    overhead_words,
    rows_of,
    sum_check,
)
from etui.insight import OperatorSide, Profile
from tests.profiles import make_operator, make_profile


def side(operators_ms: float, untraced_ms: float | None, traced_ms: float = 10.0) -> OperatorSide:
    return OperatorSide(
        inferences=5, inference_ms=traced_ms, operators_ms=operators_ms, operators=[], untraced_ms=untraced_ms
    )


def test_operator_counts_once_in_every_enclosing_module() -> None:
    profile = make_profile(30)
    root = module_tree(profile)
    assert root.median_ms == pytest.approx(sum(one.median_ms for one in profile.program.operators))
    assert root.eager_ms == pytest.approx(6.0)
    assert [group.path for group in root.children] == ["layer0", "layer1", "layer2", NOT_KNOWN]
    first = below(root, "layer1")
    assert first is not None and first.calls == 10 and first.eager_ms == 2.0
    assert first.delegated == pytest.approx(
        sum(one.median_ms for one in profile.program.operators[11:20:2]) / (first.median_ms or 0)
    )
    inner = below(root, "layer1.3")
    assert inner is not None and inner.p90_ms == profile.program.operators[13].p90_ms
    assert below(root, "layer1.99") is None and below(root, "layer") is None


def test_module_run_only_by_eager_has_no_program_metrics() -> None:
    profile = make_profile(10)
    assert profile.eager is not None
    eager = msgspec.structs.replace(profile.eager, operators=[make_operator("batch_norm", "bn1", 2.0, 0.5)])
    root = module_tree(msgspec.structs.replace(profile, eager=eager))
    group = below(root, "bn1")
    assert group is not None
    assert (group.median_ms, group.share, group.calls, group.eager_ms) == (None, None, None, 2.0)
    assert in_order(root.children, "share")[-1] is group


def test_module_that_only_contains_another_is_skipped() -> None:
    operators = [make_operator(f"linear #{index}", f"net.body.{index}.fc", 1.0, 0.5) for index in range(2)]
    program = msgspec.structs.replace(side(2.0, 2.0), operators=operators)
    root = module_tree(Profile(created_at="", threads=1, program=program))
    assert opened(root).path == "net.body"
    assert [row.path for row in rows_of(opened(root))] == ["net.body.0", "net.body.1"]


def deep_profile() -> Profile:
    """Return two stages in a wrapper, the first with two blocks of three layers, and one operator of an unknown
    module."""
    heavy = [
        make_operator(f"linear #{block}{layer}", f"net.first.{block}.fc{layer}", 3.0, 0.12)
        for block in range(2)
        for layer in range(3)
    ]
    rest = [
        make_operator("add #1", "net.first.0", 1.0, 0.04),
        make_operator("mul #1", "net.first.0", 1.0, 0.04),
        make_operator("linear #9", "net.second", 2.0, 0.08),
        make_operator("rest of XnnpackBackend", "", 3.0, 0.12),
    ]
    return Profile(
        created_at="", threads=1, program=msgspec.structs.replace(side(25.0, 25.0), operators=[*heavy, *rest])
    )


def outline_of(limit: int, module: str = "") -> list[tuple[int, str, bool]]:
    _, lines = outline(module_tree(deep_profile()), "share", limit, module)
    return [(line.depth, line.label, line.is_open) for line in lines]


def test_outline_expands_the_slowest_modules_within_the_number_of_lines() -> None:
    top, _ = outline(module_tree(deep_profile()), "share", 25)
    assert top.path == "net"
    closed = [(0, "first", False), (0, NOT_KNOWN, False), (0, "second", False)]
    assert outline_of(3) == outline_of(2) == closed
    assert outline_of(5) == [(0, "first", True), (1, "0", False), (1, "1", False), *closed[1:]]
    block = [(2, f"fc{layer}", False) for layer in range(3)]
    assert outline_of(9) == [
        (0, "first", True), (1, "0", True), *block, (2, ITS_OWN, False), (1, "1", False), *closed[1:]
    ]  # fmt: skip
    everything = [
        (0, "first", True), (1, "0", True), *block, (2, ITS_OWN, False), (1, "1", True), *block, *closed[1:]
    ]  # fmt: skip
    assert outline_of(12) == outline_of(0) == everything
    # Each level adds up to the line above it, whichever lines are expanded.
    _, lines = outline(module_tree(deep_profile()), "share", 0)
    assert sum(line.group.share or 0.0 for line in lines if line.depth == 0) == pytest.approx(1.0)
    inner = [line.group.median_ms or 0.0 for line in lines[1:] if line.depth == 1]
    assert sum(inner) == pytest.approx(lines[0].group.median_ms)


def test_outline_of_a_module_lists_its_operators() -> None:
    assert outline_of(25, "net.first.0") == [
        (0, "fc0", False), (0, "fc1", False), (0, "fc2", False), (0, "add", False), (0, "mul", False)
    ]  # fmt: skip
    with pytest.raises(KeyError):
        outline(module_tree(deep_profile()), "share", 25, "net.third")


def test_operator_too_short_to_time_is_kept() -> None:
    tiny = [make_operator("Clamp (NC)", "act", 0.0, 0.0, delegate="XnnpackBackend")]
    root = module_tree(
        Profile(created_at="", threads=1, program=msgspec.structs.replace(side(0.0, 1.0), operators=tiny))
    )
    group = below(root, "act")
    assert group is not None and group.delegated == 1.0


def test_kinds_of_work_by_time() -> None:
    kind, share = by_kind(deep_profile().program)[0]
    assert (kind, share) == ("linear layers", 20 / 25)
    assert by_kind(side(0.0, 1.0)) == []


def test_operators_of_one_kind_are_one_line() -> None:
    groups = by_operator(make_profile(30))
    assert [(group.name, group.calls) for group in groups] == [
        ("Convolution", 30), ("rest of XnnpackBackend", 1), ("conv2d", None),
    ]  # fmt: skip
    assert by_operator(make_profile(30), "layer2")[0].calls == 10
    alone = one_by_one(make_profile(30).program, "layer2")
    assert [group.name for group in in_order(alone, "order")] == [f"Convolution #{index}" for index in range(20, 30)]


@pytest.mark.parametrize(
    ("operators_ms", "untraced_ms", "holds", "message"),
    [(9.5, 10.0, True, "10 %"), (7.0, 10.0, False, "30 % less"), (13.0, 10.0, False, "30 % more")],
)
def test_sum_agrees_or_reports_the_difference(
    operators_ms: float, untraced_ms: float, holds: bool, message: str
) -> None:
    checked = side(operators_ms, untraced_ms)
    assert agrees(checked) is holds
    assert message in sum_check(checked, "program")


def test_large_sum_is_attributed_to_tracing_only_if_tracing_has_overhead() -> None:
    blames = [sum_check(side(13.0, 10.0, traced_ms=traced), "program") for traced in (12.0, 10.0)]
    assert ["tracing" in one for one in blames] == [True, False]


def test_overhead_of_tracing_is_reported() -> None:
    assert overhead(side(9.0, 10.0, 10.5)) == pytest.approx(0.05)
    assert "5.0 %" in overhead_words(side(9.0, 10.0, 10.5))
    assert "no measurable" in overhead_words(side(9.0, 10.0, 9.9))
    assert "not measured" in overhead_words(side(9.0, None))


def test_module_path_of_any_depth_can_be_traversed() -> None:
    profile = make_profile(4)
    deep = ".".join(["block"] * 3_000)
    operators = [make_operator("Convolution", deep, 2.0, 0.5), *profile.program.operators]
    profile = msgspec.structs.replace(profile, program=msgspec.structs.replace(profile.program, operators=operators))
    root, levels = module_tree(profile), 0
    group = next(one for one in root.children if one.name == "block")
    while group.children:
        group, levels = group.children[0], levels + 1
    assert levels < MOST_NESTED and group.path == deep
    assert outline(root, "share", 0)[1]
