"""What a profile says: modules with both sides, sums that hold or say by how much not."""

from __future__ import annotations

import msgspec
import pytest

from etui.analysis.profiles import (
    NOT_KNOWN,
    agrees,
    below,
    by_operator,
    in_order,
    module_tree,
    one_by_one,
    opened,
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


def test_each_operator_counts_once_in_every_module_above_it() -> None:
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


def test_what_only_eager_runs_has_no_program_figures() -> None:
    profile = make_profile(10)
    assert profile.eager is not None
    eager = msgspec.structs.replace(profile.eager, operators=[make_operator("batch_norm", "bn1", 2.0, 0.5)])
    root = module_tree(msgspec.structs.replace(profile, eager=eager))
    group = below(root, "bn1")
    assert group is not None
    assert (group.median_ms, group.share, group.calls, group.eager_ms) == (None, None, None, 2.0)
    assert in_order(root.children, "share")[-1] is group


def test_a_module_that_only_holds_another_is_passed_over() -> None:
    operators = [make_operator(f"linear #{index}", f"net.body.{index}.fc", 1.0, 0.5) for index in range(2)]
    program = msgspec.structs.replace(side(2.0, 2.0), operators=operators)
    root = module_tree(Profile(created_at="", threads=1, program=program))
    assert opened(root).path == "net.body"
    assert [row.path for row in rows_of(opened(root))] == ["net.body.0", "net.body.1"]


def test_operators_of_one_kind_are_one_line_whatever_their_number() -> None:
    groups = by_operator(make_profile(30))
    assert [(group.name, group.calls) for group in groups] == [
        ("Convolution", 30), ("rest of XnnpackBackend", 1), ("conv2d", None),
    ]  # fmt: skip
    assert by_operator(make_profile(30), "layer2")[0].calls == 10
    alone = one_by_one(make_profile(30).program, "layer2")
    assert [group.name for group in in_order(alone, "order")] == [f"Convolution #{index}" for index in range(20, 30)]


@pytest.mark.parametrize(
    ("operators_ms", "untraced_ms", "holds", "words"),
    [(9.5, 10.0, True, "agree within 10%"), (7.0, 10.0, False, "30% less"), (13.0, 10.0, False, "30% more")],
)
def test_the_sum_agrees_or_says_by_how_much_not(
    operators_ms: float, untraced_ms: float, holds: bool, words: str
) -> None:
    checked = side(operators_ms, untraced_ms)
    assert agrees(checked) is holds
    assert words in sum_check(checked, "program")


def test_tracing_says_what_it_adds() -> None:
    assert overhead(side(9.0, 10.0, 10.5)) == pytest.approx(0.05)
    assert "5.0%" in overhead_words(side(9.0, 10.0, 10.5))
    assert "nothing" in overhead_words(side(9.0, 10.0, 9.9))
    assert "not measured" in overhead_words(side(9.0, None))
