"""The columns of the runs table: what they sort by, and their cells."""

from __future__ import annotations

from pathlib import Path

import msgspec

from etui.store import Store
from etui.store.filter_language import parse
from etui.tui.runs_columns import BY_NAME
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
