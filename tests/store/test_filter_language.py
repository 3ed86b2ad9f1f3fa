"""The filter language: the conditions of a filter, completions, and an error for each mistake."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from etui.results import RunDocument
from etui.store import Condition, Store
from etui.store.conditions import ANY_TEXT
from etui.store.filter_language import KEYS, FilterMistake, completions, parse
from tests.documents import make_document

FIRST, LAST = "0001-01-01T00:00+14:00", "9999-12-31"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four runs: two models, one failed, one without accuracy, with notes and tags."""
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
    opened = Store.open(tmp_path / "etui.db")
    opened.import_documents([first, second, third, fourth])
    return opened


def _named(document: RunDocument, name: str):  # type: ignore[no-untyped-def]
    import msgspec

    return msgspec.structs.replace(document.model, name=name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a1 a2 b1 b2"),
        ("   ", "a1 a2 b1 b2"),
        ("RESNET", "a1 a2 b2"),
        ("resnet -int8", "a1 b2"),
        ("model:resnet18", "a1 a2 b2"),
        ("model:resnet", ""),
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
        ("tag:night", ""),
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
    ],
)
def test_mistake_is_reported_with_its_position(text: str, message: str) -> None:
    with pytest.raises(FilterMistake) as caught:
        parse(f"resnet18 {text}", NOW)
    assert message in str(caught.value)
    assert f"resnet18 {text}"[caught.value.start : caught.value.end] == text


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
        ("model:gpt2,re", ["model:gpt2,resnet18", "model:gpt2,resnet50"]),
        ("has:mo", ["has:model"]),
        ("nothing:", []),
        ("", []),
    ],
)
def test_word_before_the_cursor_is_completed(text: str, expected: list[str]) -> None:
    known = {"model": ["gpt2", "resnet18", "resnet50"]}
    assert completions(text, len(text), known)[:4] == expected


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
