"""Every fact of a run is read from the database as it was in the document, and has all derived columns and formats."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from etui.errors import StoreError
from etui.facts import BY_KEY, BY_SHORT, FACTS, Fact, RunSummary
from etui.facts.registry import DOCUMENT_FACTS
from etui.results import RunDocument
from etui.store import Store
from etui.store.columns import IN_ORDER, SCANNED
from etui.store.conditions import Condition
from etui.store.filter_keys import KEYS
from etui.store.filter_language import parse
from tests.documents import make_document
from tests.store.strategies import any_document

STORED = pytest.mark.parametrize("fact", RunSummary.FACTS, ids=lambda fact: fact.name)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("facts") / "etui.db"
    with Store.open(path) as store:
        store.import_documents([make_document("aaaaaaaaaaa1")])
    return path


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=any_document())
def test_every_fact_is_read_back_from_its_row(tmp_path_factory: pytest.TempPathFactory, document: RunDocument) -> None:
    with Store.open(tmp_path_factory.mktemp("any") / "etui.db") as store:
        store.save_document(document)
        row = store.summary(document.id)
    made = RunSummary.of(document)
    for fact in RunSummary.FACTS:
        assert fact.of(row) == fact.read(document), fact.name
        assert fact.of(made) == fact.read(document), fact.name


@STORED
def test_fact_has_its_columns_with_their_type(path: Path, fact: Fact[Any]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        types = {name: kind for _, name, kind, *_ in connection.execute("PRAGMA table_info(runs)")}
    assert {column: types.get(column) for column in fact.columns} == dict.fromkeys(fact.columns, fact.kind.sql)


def test_no_two_facts_share_a_name_a_column_or_a_place() -> None:
    places = [fact.json for fact in RunSummary.FACTS if fact.json]
    columns = [column for fact in RunSummary.FACTS for column in fact.columns]
    rows = [(fact.comparison.group, fact.compared_heading) for fact in FACTS if fact.comparison]
    for names in ([fact.name for fact in FACTS], places, columns, rows):
        assert len(names) == len(set(names))
    assert len(BY_SHORT) == len(RunSummary.FACTS)
    assert len(BY_KEY) == sum(fact.filter is not None for fact in RunSummary.FACTS)
    assert all(BY_SHORT.get(name, fact) is fact for name, fact in BY_KEY.items())


def test_indexes_of_the_facts_are_those_of_the_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
        page = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'runs_page'").fetchone()[0]
    # The index of ``error`` contains only runs with an error, so it has no order; the id is the primary key. Verdict
    # and note have a second index, for what the tables show of them.
    by_column = {name.removeprefix("runs_by_") for name in names if name.startswith("runs_by_")}
    assert by_column - {"error", "shown_verdict", "shown_note"} | {"id"} == IN_ORDER
    assert {"error", "shown_verdict", "shown_note"} <= by_column
    assert set(re.findall(r"\w+", page.partition("(")[2])) == SCANNED


_EXAMPLES: dict[str, Callable[[str], list[str]]] = {
    "text": lambda key: [f"{key}:a", f"{key}~a", f"{key}!=a", f"{key}:a*"],
    "list": lambda key: [f"{key}:a", f"{key}~a", f"{key}!=a"],
    "number": lambda key: [f"{key}{operator}1" for operator in ("<", "<=", ">", ">=", ":", "!=")],
    "time": lambda key: [f"{key}:today", f"{key}>2026-11-01"],
    "age": lambda key: [f"{key}<7d", f"{key}>1h"],
    "since": lambda key: [f"{key}:7d", f"{key}:today"],
    "until": lambda key: [f"{key}:7d", f"{key}:2026-11-01"],
}


@pytest.mark.parametrize("name", KEYS)
def test_every_filter_key_is_parsed_and_queried(path: Path, name: str) -> None:
    key = KEYS[name]
    texts = [f"{name}:{value.replace(' ', '-')}" for value in key.values] or _EXAMPLES[key.kind](name)
    texts += [f"{name}<3{unit}" for unit in key.units] + [f"has:{name}", f"-has:{name}"]
    with Store.open(path) as store:
        for text in texts:
            (condition,) = parse(text)
            assert condition.column == key.column
            assert store.count([condition]) in (0, 1)
        (has,) = parse(f"has:{name}")
        assert store.count([has]) + store.count([Condition(key.column, "is missing")]) == 1


def test_units_of_a_filter_multiply_its_number() -> None:
    assert [condition.value for text in ("p50<2s", "size<2", "size<2GB") for condition in parse(text)] == [
        2e3,
        2e6,
        2e9,
    ]


@STORED
def test_value_is_formatted_as_text_and_as_a_cell(fact: Fact[Any]) -> None:
    value = fact.read(make_document("aaaaaaaaaaa1"))
    assert fact.text(value) and fact.text(None) == "-" and fact.cell(None) == ""
    assert isinstance(fact.cell(value), str)
    assert fact.title in fact.text_heading and fact.about


def test_json_summary_has_every_fact_at_its_path() -> None:
    run = RunSummary.of(make_document("aaaaaaaaaaa1"))
    data: Any = run.as_json()
    for fact in RunSummary.FACTS:
        if fact.json:
            place = data
            for part in fact.json.split("."):
                place = place[part]
            assert place == fact.of(run), fact.name


def test_document_fact_has_no_column() -> None:
    assert all(not fact.columns and fact.comparison is not None for fact in DOCUMENT_FACTS)


def test_rows_with_equal_values_are_equal() -> None:
    one, same, other = (RunSummary.of(make_document(name * 12)) for name in ("a", "a", "b"))
    assert one == same and one != other


def test_damaged_value_raises_a_store_error(tmp_path: Path) -> None:
    path = tmp_path / "etui.db"
    with Store.open(path) as store:
        store.import_documents([make_document("aaaaaaaaaaa1")])
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE runs SET tags = '[1'")
        with pytest.raises(StoreError, match="damaged"):
            store.summaries()
