"""The columns of the runs table: what they sort by, and their cells."""

from __future__ import annotations

from pathlib import Path

import msgspec

from etui.facts import RunSummary
from etui.store import Store
from etui.store.filter_language import parse
from etui.tui.glyphs import UNICODE
from etui.tui.runs_columns import BY_NAME, COLUMNS, USUAL, Column, arrowed, fitted, sized_columns
from tests.documents import make_document


def test_the_interval_is_sorted_and_filtered_by_the_width_that_it_shows(tmp_path: Path) -> None:
    documents = []
    for number, (low, high, median) in enumerate([(9.0, 11.0, 10.0), (0.5, 1.5, 1.0), (99.0, 101.0, 100.0)]):
        document = make_document(f"aaaaaaaaaaa{number}", median=median)
        assert document.latency_ms is not None
        document.latency_ms = msgspec.structs.replace(document.latency_ms, ci95=(low, high))
        documents.append(document)
    with Store.open(tmp_path / "etui.db") as store:
        store.import_documents(documents)
        found = store.summaries(order_by=BY_NAME["ci"].order_by, descending=False)
        assert [run.latency_ci95_percent for run in found] == [1.0, 10.0, 50.0]
        assert [run.id[-1] for run in store.summaries(parse("95% ci >= 10%"), order_by="id", descending=False)] == [
            "0",
            "1",
        ]


def _drawn(column: Column, median: float) -> str:
    run = RunSummary.of(make_document(median=median))
    return fitted(column.cell(run, UNICODE)[0], column.cells, UNICODE, right=True)


def test_decimal_points_of_a_column_are_below_each_other() -> None:
    column = BY_NAME["p50"]
    texts = {median: _drawn(column, median) for median in (1.57, 23.7, 114.0, 6718.0)}
    assert {text.index(".") for text in texts.values() if "." in text} == {5}
    assert texts[114.0] == "  114   " and texts[6718.0] == "6,718   "
    # Without room for the spaces the number itself is kept.
    assert _drawn(column, 123_456.0).strip() == "123,456"


def test_names_are_whole_if_there_is_room_for_them_besides_the_interval() -> None:
    name = "efficientnet_v2_s"
    for available, whole in ((120, True), (79, True), (73, False), (56, True)):
        sized = {column.name: cells for column, cells in sized_columns(USUAL, available, {"model": len(name)})}
        assert sum(sized.values()) + len(sized) - 1 <= available
        assert (sized["model"] >= len(name)) is whole
        assert ("ci" in sized) is (available > 60)


def test_names_of_fifteen_letters_are_whole_on_80_columns() -> None:
    texts = {"model": len("efficientnet_b0"), "precision": len("8da4w"), "delegate": len("openvino")}
    sized = {column.name: cells for column, cells in sized_columns(USUAL, 73, texts)}
    assert sized["model"] >= 15 and {"ci", "speedup", "verdict", "when"} <= sized.keys()
    assert BY_NAME["precision"].title_in(sized["precision"]) == "prec"
    # A precision that is longer than that heading is not cut for a longer name.
    sized = {column.name: cells for column, cells in sized_columns(USUAL, 73, {**texts, "precision": 11})}
    assert sized["precision"] == len("precision")


def test_models_whose_names_differ_at_the_end_stay_distinct() -> None:
    names = ["mobilenet_v3_small", "mobilenet_v3_large", "mobilenet_v2", "efficientnet_v2_s", "efficientnet_v2_m"]
    shown = {fitted(name, 12, UNICODE, middle=True) for name in names}
    assert len(shown) == len(names) and {len(name) for name in shown} == {12}


def test_the_arrow_of_the_sort_order_covers_no_letter_of_a_heading() -> None:
    for column in COLUMNS:
        heading = column.title_in(column.cells)
        title, after = arrowed(heading, column.cells, UNICODE, right=column.right, has_gap=True, descending=True)
        assert heading in title and "▼" in title + after


def test_columns_that_few_know_are_shown_only_if_chosen() -> None:
    assert {column.name for column in COLUMNS} - {column.name for column in USUAL} == {
        "sqnr",
        "map",
        "task-top1",
        "first",
        "preset",
        "box",
        "input_size",
        "batch",
        "sequence",
        "dynamic",
        "method",
    }


def test_the_delegate_has_what_else_a_variant_varies() -> None:
    document = make_document()

    def cell() -> str:
        return BY_NAME["delegate"].cell(RunSummary.of(document), UNICODE)[0]

    plain = cell()
    document.input_size, document.batch, document.dynamic = (224, 224), 4, True
    document.variant = f"{document.precision}/{document.delegate} 224x224 batch 4 dynamic"
    assert cell() == f"{plain} 224 b4 dyn"
    document.input_size, document.batch, document.sequence, document.dynamic = (160, 320), None, 64, False
    document.variant, document.threads = f"{document.precision}/{document.delegate} 160x320 sequence 64 threads 2", 2
    assert cell() == f"{plain} 160x320 s64 t2"
