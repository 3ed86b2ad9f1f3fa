"""The charts of a sweep in a report, and its baselines."""

from __future__ import annotations

import re

from etui.analysis.sweep import sweep_of
from etui.report import sweep
from etui.report.content import report_of
from etui.results import RunDocument
from etui.spec import Variant
from tests.analysis.test_sweep import rows, run


def batches() -> list[RunDocument]:
    """Three batches in one session, each with its own eager baseline."""
    made = []
    for number, batch in enumerate((1, 2, 4)):
        variant = Variant("fp32", "xnnpack", batch=batch)
        document = run(number + 1, 4.0 * batch - number, variant, eager=9.0 * batch)
        for block in document.eager_blocks:
            block.variant = variant.eager_label
        made.append(document)
    return made


def test_latency_and_latency_per_item_are_drawn_with_every_line_named() -> None:
    found = sweep_of(rows(batches()))
    for per_item in (False, True):
        drawing = sweep.lines(found, per_item=per_item)
        assert drawing.count("<circle") == 6 and "over batch" in drawing
        assert [f">{name}<" in drawing for name in ("fp32/xnnpack", "eager", "1", "2", "4")] == [True] * 5
        places = [float(at) for at in re.findall(r'cx="([0-9.]+)"', drawing)[:3]]
        assert places == sorted(places)


def test_without_batches_there_is_no_chart_per_item() -> None:
    runs = [run(size, 1.0, Variant("fp32", "xnnpack", input_size=(size, size))) for size in (64, 96)]
    found = sweep_of(rows(runs))
    assert sweep.lines(found) and not sweep.lines(found, per_item=True)
    assert sweep.lines(None) == ""


def test_every_baseline_of_a_session_is_a_row_of_the_results() -> None:
    (section,) = report_of(batches(), margin=0.02).sections
    names = [row[0].text for row in section.results.rows]
    assert [name for name in names if name.startswith("eager")] == ["eager batch 1", "eager batch 2", "eager batch 4"]
    assert len({bar.name for bar in section.medians}) == 6
