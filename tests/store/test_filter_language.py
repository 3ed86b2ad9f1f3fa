"""The filter language: the conditions of a filter, completions, and an error for each mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etui.cli.fact_columns import fact_column
from etui.facts import Fact, RunSummary
from etui.results import RunDocument
from etui.store import Condition, Store
from etui.store.conditions import ANY_TEXT
from etui.store.filter_keys import KEYS
from etui.store.filter_language import FilterMistake, completions, is_filter, parse, read
from tests.documents import make_document

FIRST, LAST = "0001-01-01T00:00+14:00", "9999-12-31"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return _four_runs(tmp_path / "etui.db")


def _four_runs(path: Path) -> Store:
    """Return a database of four runs: two models, one failed, one without accuracy, with notes and tags."""
    first = make_document("aaaaaaaaaaa1", median=16.0)
    second = make_document("aaaaaaaaaaa2", precision="int8", median=5.0)
    second.note = "before the kernel fix"
    second.tags = ["nightly"]
    second.flags = []
    third = make_document("bbbbbbbbbbb1", session_id="5e5510000002", created_at="2026-10-01T08:00:00.000Z")
    third.model = _named(third, "gpt[2]")
    third.status, third.error, third.latency_ms, third.accuracy = "failed", "lowering failed", None, None
    fourth = make_document("bbbbbbbbbbb2", session_id="5e5510000003", median=1500.0)
    fourth.status = "timed out"
    opened = Store.open(path)
    opened.import_documents([first, second, third, fourth])
    return opened


def _named(document: RunDocument, name: str):  # type: ignore[no-untyped-def]
    return msgspec.structs.replace(document.model, name=name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a1 a2 b1 b2"),
        ("   ", "a1 a2 b1 b2"),
        ("RESNET", "a1 a2 b2"),
        ("resnet -int8", "a1 b2"),
        ("model:resnet18", "a1 a2 b2"),
        ("model:resnet", "a1 a2 b2"),
        ("model:NET1", "a1 a2 b2"),
        ("model=resnet", ""),
        ("model=resnet18", "a1 a2 b2"),
        ("model = resnet18", "a1 a2 b2"),
        ("-model:resnet", "b1"),
        ("model:net1,gpt", "a1 a2 b1 b2"),
        ("model:nothing, gpt", "b1"),
        ("model!=resnet18,gpt2", "b1"),
        ("status:fail", "b1"),
        ("status=done,failed", "a1 a2 b1"),
        ("p50 < 10", "a2"),
        ("p50 <1 s", "a1 a2"),
        ("p50:5..16", "a1 a2"),
        ("p50: 5 .. 16 ms", "a1 a2"),
        ("p50:..5", "a2"),
        ("p50:6..", "a1 b2"),
        ("-p50:6..", "a2 b1"),
        ("p50!=5..16", "b1 b2"),
        ("p50 ms<10", "a2"),
        ("×eager>3", "a2"),
        ("xeager > 3x", "a2"),
        ("vs eager>3", "a2"),
        ("against eager>3", "a2"),
        ("machine:nowhere", ""),
        ("latency_min_ms<0", ""),
        ("since:2d", "a1 a2 b2"),
        ("since:2026-10-02", "a1 a2 b2"),
        ("until:2026-10-01", "b1"),
        ("until:3w", "b1"),
        ("until:today", "a1 a2 b1 b2"),
        ("when:2026-09-01..2026-10-01", "b1"),
        ("when:2026-10-02..", "a1 a2 b2"),
        ("when:..2026-10-02", "b1"),
        ("age:1w..100w", "b1"),
        ("age:..1w", "a1 a2 b2"),
        ("age:1w..", "b1"),
        ("precision:int8 or status:failed", "a2 b1"),
        ("resnet precision:int8 or status:failed", "a2 b1"),
        ("resnet and (precision:int8 or status:failed)", "a2"),
        ("-(precision:int8 or status:failed)", "a1 b2"),
        ("not (resnet precision:int8)", "a1 b1 b2"),
        ("not status:failed and not status:timed", "a1 a2"),
        ("NOT not status:failed", "b1"),
        ("((p50<10) OR (id:bbb AND has:p50))", "a2 b2"),
        ('"or"', "a2"),
        ("session:5e5510000003,5e5510000002", "b1 b2"),
        ("model:res*", "a1 a2 b2"),
        ("model:gpt[2*", "b1"),
        ("model~PT", "b1"),
        ("model:resnet18,gpt[2]", "a1 a2 b1 b2"),
        ("-model:resnet18", "b1"),
        ("model!=resnet18", "b1"),
        ("precision:int8", "a2"),
        ("status:failed", "b1"),
        ("status:FAILED,timed-out", "b1 b2"),
        ("-status:failed -status:timed_out", "a1 a2"),
        ("p50<10", "a2"),
        ("p50>=5ms p50<=16", "a1 a2"),
        ("p50>1s", "b2"),
        ("-p50<10", "a1 b1 b2"),
        ("has:mae", "a1 a2 b2"),
        ("-has:mae", "b1"),
        ("size>46MB", "a1 a2 b1 b2"),
        ("size<46", ""),
        ("speedup>3x", "a2"),
        ('"kernel fix"', "a2"),
        ('note:"the kernel"', "a2"),
        ("tag:nightly", "a2"),
        ("tag:night", "a2"),
        ("tag=night", ""),
        ("tag=nightly", "a2"),
        ("tags:release,night", "a2"),
        ("tag:n*y", "a2"),
        ("tag!=nightly", "a1 b1 b2"),
        ("flag:spread", "a1 b1 b2"),
        ("-flag:spread", "a2"),
        ("id:bbb", "b1 b2"),
        ("when:2026-10-01", "b1"),
        ("when<2026-11-01", "b1"),
        ("when>2026-10-01", "a1 a2 b2"),
        ("when:today", "a1 a2 b2"),
        ("age>30d", "b1"),
        ("age<12h model:resnet18 precision:int8", "a2"),
        ("error:lowering", "b1"),
        ("-a-b", "a1 a2 b1 b2"),
    ],
)
def test_filter_matches_exactly_the_expected_runs(
    store: Store, text: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    runs = store.summaries(parse(text, NOW), order_by="id", descending=False)
    assert " ".join(run.id[0] + run.id[-1] for run in runs) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle:resnet18", "'modle'; did you mean model"),
        ("xyzzy:1", "'xyzzy'; one of model, "),
        ("p50<abc", "'abc' is not a number; write p50<10"),
        ("p50<", "p50< needs a value; such as p50<10"),
        ("p50<10kg", "'kg' is not a unit of p50; one of ms, s"),
        ("mae<1ms", "'ms' is not a unit of mae"),
        ("p50~1", "p50 is a number"),
        ("model<3", "model is text and cannot be compared with <; write model:3"),
        ("flag>x", "flag is text and cannot be compared with >"),
        ("status:broken", "'broken' is not a valid status; one of queued, preparing"),
        ("status:", "status: needs a value; one of queued"),
        ("when:soon", "'soon' is not a date; write when:today"),
        ("age<soon", "'soon' is not an age; write age<12h"),
        ("age:3d", "with < or >"),
        ("has:", "has: needs a key"),
        ("has:nothing", "'nothing'"),
        ("-", "a minus must be followed by"),
        ('note:"open', "a quotation mark is not closed"),
        ("(", "a parenthesis is not closed"),
        (")", "a closing parenthesis has no opening one"),
        ("()", "the parentheses are empty"),
        ("or", "or must be between two terms"),
        ("and", "and must be between two terms"),
        ("not", "not must be followed by a term"),
        ("p50:9..2", "the range 9..2 is empty; write the smaller number first: p50:2..9"),
        ("p50:a..2", "'a' is not a number"),
        ("when:2026-11-02..2026-10-01", "is empty"),
        ("since:soon", "'soon' is not a date"),
        ("since<2d", "write since:2d"),
    ],
)
def test_mistake_is_reported_with_its_position(text: str, message: str) -> None:
    with pytest.raises(FilterMistake) as caught:
        parse(f"resnet18 {text}", NOW)
    assert message in str(caught.value)
    assert f"resnet18 {text}"[caught.value.start : caught.value.end] == text


@pytest.mark.parametrize("fact", RunSummary.FACTS, ids=lambda fact: fact.name)
def test_every_column_is_a_key_by_its_heading_and_its_name(store: Store, fact: Fact[Any]) -> None:
    names = [fact.short, fact.text_heading, fact_column(fact).heading]
    names += [fact.cell_heading] if fact.screen is not None else []
    columns = set()
    for name in names:
        value = {"text": "a", "list": "a", "number": "1", "time": "today"}[fact.kind.filter]
        value = fact.filter.values[0] if fact.filter is not None and fact.filter.values else value
        (condition,) = parse(f"{name} : {value}")
        columns.add(condition.column)
        store.count([condition])
    assert len(columns) == 1


def test_filter_is_applied_without_its_mistakes() -> None:
    conditions, mistakes = read("resnet modle:x (p50<10 or p50<abc) )", NOW)
    assert conditions == [Condition(ANY_TEXT, "contains", "resnet"), Condition("latency_median_ms", "<", 10.0)]
    assert [mistake.start for mistake in mistakes] == [7, 26, 35]


def test_saved_filters_are_written_by_name() -> None:
    saved = {"fast": "p50<10", "good": "@fast or verdict:PASS", "loop": "@loop"}
    assert parse("@fast", NOW, saved) == parse("p50<10")
    assert parse("-@good resnet", NOW, saved) == parse("-(p50<10 or verdict:PASS) resnet")
    for text in ("@nothing", "@loop"):
        with pytest.raises(FilterMistake) as caught:
            parse(text, NOW, saved)
        assert (caught.value.start, caught.value.end) == (0, len(text))
    assert parse('"@fast"', NOW, saved) == [Condition(ANY_TEXT, "contains", "@fast")]


@pytest.mark.parametrize("text", ["model:resnet", "p50<10", "a b", "@fast", "-failed", "(a)", "session = last"])
def test_text_that_is_not_an_id_prefix_is_a_filter(text: str) -> None:
    assert is_filter(text) and not is_filter("3f2a")


def test_newest_session_is_named_last(store: Store) -> None:
    newest = max(store.summaries(), key=lambda run: run.created_at).session
    matching = {run.id for run in store.summaries(parse("session:last"))}
    assert matching == {run.id for run in store.summaries() if run.session == newest}
    assert store.count(parse("-session:last")) == 4 - len(matching)


_ALPHABET = st.text(st.sampled_from(' "()-:=<>~.,*@abmo50p\x00é×'), max_size=40)


@given(_ALPHABET)
def test_any_text_is_parsed_and_each_mistake_has_a_position(text: str) -> None:
    _, mistakes = read(text, NOW, {"a": "p50<1"})
    assert all(0 <= mistake.start < mistake.end <= len(text) for mistake in mistakes)
    if mistakes:
        with pytest.raises(FilterMistake):
            parse(text, NOW, {"a": "p50<1"})


_TERMS: dict[str, Callable[[RunSummary], bool]] = {
    "model {} resnet": lambda run: "resnet" in run.model,
    "precision{}=int8": lambda run: run.precision == "int8",
    "status {}= failed": lambda run: run.status == "failed",
    "tag{}:night": lambda run: any("night" in tag for tag in run.tags),
    "p50{}<10 ms": lambda run: run.latency_median_ms is not None and run.latency_median_ms < 10,
    "p50 {} 5 .. 16": lambda run: run.latency_median_ms is not None and 5 <= run.latency_median_ms <= 16,
    "has{}:mae": lambda run: run.mae is not None,
    "id{}:bbb": lambda run: run.id.startswith("bbb"),
}


class _Tree(msgspec.Struct):
    """A filter and the function that decides whether a run matches it."""

    text: str
    holds: Callable[[RunSummary], bool]


def _term(choice: tuple[str, str]) -> _Tree:
    template, space = choice
    operator = ":" if " {} " in template else ""
    return _Tree(template.format(space + operator if operator else space), _TERMS[template])


def _joined(parts: tuple[str, list[_Tree], bool]) -> _Tree:
    word, trees, negated = parts
    every = all if word != " or " else any
    text = "(" + word.join(tree.text for tree in trees) + ")"
    return _Tree(("-" if negated else "") + text, lambda run: every(tree.holds(run) for tree in trees) != negated)


_TREES = st.recursive(
    st.tuples(st.sampled_from(sorted(_TERMS)), st.sampled_from(["", " ", "  "])).map(_term),
    lambda trees: st.tuples(
        st.sampled_from([" ", " and ", " or "]), st.lists(trees, min_size=1, max_size=3), st.booleans()
    ).map(_joined),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Yield the runs of ``store``, for a test that reads them many times."""
    with _four_runs(tmp_path_factory.mktemp("runs") / "etui.db") as opened:
        yield opened


@given(_TREES)
def test_combined_terms_match_the_expected_runs(runs: Store, tree: _Tree) -> None:
    where = parse(tree.text, NOW)
    expected = {run.id for run in runs.summaries() if tree.holds(run)}
    assert {run.id for run in runs.summaries(where)} == expected
    assert runs.count(where) == len(expected)


def test_word_without_a_key_is_searched_in_every_text_column() -> None:
    assert parse("resnet") == [Condition(ANY_TEXT, "contains", "resnet")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mo", ["model:"]),
        ("p50<1 prec", ["precision:"]),
        ("-stat", ["-status:"]),
        ("p9", ["p90<", "p95<", "p99<"]),
        ("status:f", ["status:failed"]),
        ("status:ti", ['status:"timed out"']),
        ("model:re", ["model:resnet18", "model:resnet50"]),
        ("(mo", ["model:"]),
        ("-(p50<1 or status=f", ["status=failed"]),
        ("machine:be", ["machine:bench-1"]),
        ("session:l", ["session:last"]),
        ("@fa", ["@fast"]),
        ("model:gpt2,re", ["model:gpt2,resnet18", "model:gpt2,resnet50"]),
        ("has:mo", ["has:model"]),
        ("nothing:", []),
        ("", []),
    ],
)
def test_word_before_the_cursor_is_completed(text: str, expected: list[str]) -> None:
    known = {"model": ["gpt2", "resnet18", "resnet50"], "box": ["bench-1"]}
    assert completions(text, len(text), known, {"fast": "p50<10"})[:4] == expected


def test_every_key_has_a_column_that_can_be_queried(store: Store) -> None:
    for key in KEYS:
        store.count([*parse(f"has:{key}"), Condition(KEYS[key].column, "is missing")])


@pytest.mark.parametrize(
    "text",
    [
        f"when:{LAST}",
        f"when>{LAST}",
        f"when:{FIRST}",
        f"when<{FIRST}",
        "when:9999-12-31T23:59",
        "when:0001-01-01T00:00+00:01",
        "age<999999w",
        "age>9999999d",
        "age<99999999999999999999w",
        "a" * 5_000,
        "a " * 1_000,
        "model:a\udcff",
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_filter_that_sqlite_cannot_execute_is_reported_with_its_position(store: Store, text: str) -> None:
    with pytest.raises(FilterMistake) as mistake:
        store.summaries(parse(text, NOW))
    assert 0 <= mistake.value.start < mistake.value.end <= len(text)
    assert mistake.value.hint
