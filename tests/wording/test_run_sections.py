"""The facts of a run: every renderer shows them, and what was not measured has none."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from etui.cli.run_text import report
from etui.report import markdown
from etui.results import CallTiming, RunDocument
from etui.tui.markdown import run_markdown
from etui.wording import run_sections
from tests.documents import make_block, make_document, make_evaluation, with_evaluation
from tests.facts import lacking
from tests.insights import look_inside


def filled() -> RunDocument:
    """A run with a fact of every kind."""
    document = with_evaluation(look_inside(make_document(precision="int8")), make_evaluation())
    document.call = CallTiming(inputs_ms=0.02, execute_ms=7.98, outputs_ms=0.01, fixed_ms=0.004)
    document.arithmetic, document.repeats = "bf16", "bbbbbbbbbbb2"
    assert document.environment is not None
    document.environment = msgspec.structs.replace(
        document.environment, nice=5, affinity=[0, 1, 4], variables={"OMP_NUM_THREADS": "4"}, not_readable=["steal"]
    )
    document.blocks = [make_block("int8/xnnpack", 0)]
    return document


@pytest.mark.parametrize(("render", "escape"), [(report, str), (run_markdown, markdown.escaped)])
def test_a_renderer_of_whole_runs_shows_every_fact(
    render: Callable[[RunDocument], str], escape: Callable[[str], str]
) -> None:
    document = filled()
    shown = render(document)
    sections = run_sections.sections(document)
    assert len(sections) == 20
    for section in sections:
        cells = [cell for row in section.table.rows for cell in row] if section.table else []
        texts = [section.title, *(part for entry in section.entries for part in (entry.label, entry.value)), *cells]
        assert not lacking(shown, *(escape(one).strip() for one in texts))


def test_what_was_not_measured_has_no_facts() -> None:
    document = msgspec.structs.replace(
        make_document(), latency_ms=None, eager_latency_ms=None, speedup=None, accuracy=None, memory=None,
        eager_memory=None, artifact=None, delegation=None, environment=None, stages=[], flags=[], note="", tags=[],
        program_load_ms=None, method_load_ms=None, first_inference_ms=None, eager_first_inference_ms=None,
    )  # fmt: skip
    titles = [section.title for section in run_sections.sections(document)]
    assert titles == ["Configuration", "Measurement", "Software", "Process settings"]


def test_eager_is_shown_alone_if_the_program_was_not_measured() -> None:
    document = msgspec.structs.replace(make_document(), latency_ms=None, first_inference_ms=None)
    table = run_sections.latency(document).table
    assert table is not None and table.headings == ["ms", "fp32/xnnpack", "eager"]
    assert ["median", "-", "20.00"] in table.rows
    assert run_sections.start(document).entries[-1] == run_sections.Entry("first inference", "eager 45.0 ms")


def test_outputs_with_the_same_problem_are_listed_once() -> None:
    document = make_document()
    assert document.accuracy is not None
    comparison = document.accuracy.end_to_end
    broken = msgspec.structs.replace(comparison.outputs[1], problem="not finite")
    outputs = [msgspec.structs.replace(broken, input=number) for number in range(9)]
    document.accuracy = msgspec.structs.replace(
        document.accuracy, end_to_end=msgspec.structs.replace(comparison, outputs=outputs)
    )
    (sentence,) = (entry.value for entry in run_sections.errors(document).entries if entry.emphasis == "bad")
    assert not lacking(sentence, "logits of input 1", "3 more", "not finite") and "input 7" not in sentence


def test_the_fastest_and_the_slowest_have_a_ratio_but_a_spread_has_none() -> None:
    table = run_sections.latency(make_document(median=10.0)).table
    assert table is not None
    ratios = {row[0]: row[3] for row in table.rows}
    assert ratios["median"] == "2.00x" and ratios["min"] == "2.11x" and ratios["std"] == ""
