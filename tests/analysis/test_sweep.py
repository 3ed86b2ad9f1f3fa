"""Runs of a sweep as lines over the property that varies."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etui.analysis.sweep import Sweep, sweep_of
from etui.facts import RunSummary
from etui.results import RunDocument
from etui.spec import Variant, stored_name
from tests.documents import make_document


def run(number: int, median: float, variant: Variant, eager: float | None = 20.0) -> RunDocument:
    """A run of a variant with this median and that of its eager baseline."""
    document = make_document(f"{number:012x}", precision=variant.precision, delegate=variant.delegate, median=median)
    document.variant, document.input_size, document.batch = stored_name(variant), variant.input_size, variant.batch
    document.sequence, document.dynamic = variant.sequence, variant.dynamic
    document.threads = variant.threads or 2
    assert document.eager_latency_ms is not None
    stats = None if eager is None else msgspec.structs.replace(document.eager_latency_ms, median=eager)
    document.eager_latency_ms = stats
    return document


def rows(runs: Sequence[RunDocument]) -> list[RunSummary]:
    """The runs as rows of the runs table."""
    return [RunSummary.of(document) for document in runs]


def lines(sweep: Sweep | None) -> dict[str, list[tuple[str, float]]]:
    """The labels and latencies of each line by its name."""
    assert sweep is not None
    return {line.name: [(point.label, point.latency_ms) for point in line.points] for line in sweep.lines}


def test_each_configuration_and_its_baseline_are_lines_in_ascending_order() -> None:
    sizes = {1: (224, 224), 2: (128, 128), 3: (160, 320)}
    runs = [run(n, float(n), Variant("fp32", "xnnpack", input_size=size), eager=10.0 * n) for n, size in sizes.items()]
    sweep = sweep_of(rows(runs))
    assert sweep is not None and sweep.axis == "input size" and not sweep.has_items
    assert lines(sweep) == {
        "fp32/xnnpack": [("128", 2.0), ("224", 1.0), ("160x320", 3.0)],
        "eager": [("128", 20.0), ("224", 10.0), ("160x320", 30.0)],
    }


def test_the_property_with_most_values_is_the_axis_and_the_others_name_the_lines() -> None:
    runs = [
        run(number, 1.0 + number, Variant("int8", "xnnpack", input_size=(size, size), batch=batch))
        for number, (size, batch) in enumerate([(64, 1), (64, 2), (64, 4), (96, 1), (96, 2), (96, 4)])
    ]
    sweep = sweep_of(rows(runs))
    assert sweep is not None and sweep.axis == "batch" and sweep.has_items
    assert list(lines(sweep)) == ["int8/xnnpack 64x64", "int8/xnnpack 96x96", "eager 64x64", "eager 96x96"]
    (first, *_) = sweep.lines
    assert [point.per_item_ms for point in first.points] == [1.0, 1.0, 0.75]


def test_dynamic_programs_are_lines_beside_the_static_ones() -> None:
    runs = [
        run(2 * length + dynamic, 1.0, Variant("fp32", "xnnpack", sequence=length, dynamic=bool(dynamic)))
        for length in (16, 64)
        for dynamic in (0, 1)
    ]
    assert [name for name in lines(sweep_of(rows(runs))) if name != "eager"] == ["fp32/xnnpack", "fp32/xnnpack dynamic"]


def test_threads_that_were_varied_are_an_axis() -> None:
    runs = [run(count, 4.0 / count, Variant("fp32", "xnnpack", threads=count)) for count in (1, 2, 4)]
    sweep = sweep_of(rows(runs))
    assert sweep is not None and sweep.axis == "threads"
    assert lines(sweep)["fp32/xnnpack"] == [("1", 4.0), ("2", 2.0), ("4", 1.0)]


def test_a_line_never_mixes_threads_or_sessions() -> None:
    runs = [run(number, 1.0, Variant("fp32", "xnnpack", batch=batch)) for number, batch in enumerate((1, 2, 4))]
    one_thread = [
        run(10 + number, 3.0, Variant("fp32", "xnnpack", batch=batch)) for number, batch in enumerate((1, 2, 4))
    ]
    for each in one_thread:
        each.threads = 1
    found = lines(sweep_of(rows([*runs, *one_thread])))
    assert {latency for _, latency in found["fp32/xnnpack threads 1"]} == {3.0}
    assert {latency for _, latency in found["fp32/xnnpack threads 2"]} == {1.0}
    later = [run(20 + number, 9.0, Variant("fp32", "xnnpack", batch=batch)) for number, batch in enumerate((1, 2, 4))]
    for each in later:
        each.session = msgspec.structs.replace(each.session, id="5e5510000002")
    programs = [points for name, points in lines(sweep_of(rows([*runs, *later]))).items() if "xnnpack" in name]
    assert sorted({latency for _, latency in points} for points in programs) == [{1.0}, {9.0}]


def test_runs_that_differ_in_nothing_or_have_no_latency_have_no_sweep() -> None:
    own = [run(number, 1.0, Variant(precision, "xnnpack")) for number, precision in enumerate(("fp32", "int8"))]
    assert sweep_of(rows(own)) is None and sweep_of([]) is None
    one = run(1, 1.0, Variant("fp32", "xnnpack", batch=2))
    other = run(2, 1.0, Variant("fp32", "xnnpack", batch=4), eager=None)
    other.latency_ms = None
    assert sweep_of(rows([one, other])) is None
