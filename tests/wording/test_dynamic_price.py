"""The price of a dynamic program against the static ones of its session."""

from __future__ import annotations

import msgspec

from etui.results import Memory, RunDocument
from etui.wording.dynamic_price import dynamic_prices
from tests.analysis.comparisons import measured
from tests.facts import lacking


def run(run_id: str, median: float, *, size: int, dynamic: bool, planned: int) -> RunDocument:
    """A run at a size, all of one session."""
    document = measured(run_id, median=median, seed=size + dynamic)
    document.input_size, document.dynamic = (size, size), dynamic
    document.variant = f"fp32/xnnpack {size}x{size}{' dynamic' if dynamic else ''}"
    document.memory = msgspec.structs.replace(document.memory or Memory(), planned_bytes=planned)
    return document


def test_each_dynamic_run_is_compared_with_the_static_run_of_its_shape() -> None:
    small, large = (
        run("a" * 12, 4.0, size=128, dynamic=False, planned=600_000),
        run("b" * 12, 16.0, size=224, dynamic=False, planned=1_200_000),
    )
    slow, equal = (
        run("c" * 12, 8.0, size=128, dynamic=True, planned=3_000_000),
        run("d" * 12, 16.0, size=224, dynamic=True, planned=3_000_000),
    )
    first, second = dynamic_prices([small, large, slow, equal])
    assert not lacking(first, "128x128 dynamic", "2", "times as long", "3.00 MB against 600 kB")
    assert not lacking(second, "224x224 dynamic", "3.00 MB against 1.20 MB") and "times" not in second


def test_without_a_static_run_of_the_shape_nothing_is_said() -> None:
    static, dynamic = (
        run("a" * 12, 4.0, size=128, dynamic=False, planned=1),
        run("c" * 12, 8.0, size=224, dynamic=True, planned=1),
    )
    assert dynamic_prices([static, dynamic]) == [] and dynamic_prices([static]) == []
