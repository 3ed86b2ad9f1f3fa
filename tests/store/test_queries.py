"""Pages of runs: filtered and sorted in SQL by an index, missing values last, ids from prefixes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from etui.errors import StoreError, UsageError
from etui.facts import RunSummary
from etui.store import Condition, Store
from etui.store.columns import IN_ORDER
from etui.store.run_pages import Sorting, Window
from tests.documents import MODEL, make_document, make_spec

ROWS = 20_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "etui.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A database of 20,000 runs, every third without a median, every eleventh failed or cancelled without a verdict."""
    path = tmp_path_factory.mktemp("large") / "etui.db"
    with Store.open(path) as store:
        store.save_document(make_document())
        connection = sqlite3.connect(path)
        names = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
        template = dict(zip(names, connection.execute(f"SELECT {', '.join(names)} FROM runs").fetchone(), strict=True))  # noqa: S608
        marks = ", ".join("?" * len(names))
        rows = []
        for index in range(1, ROWS):
            median = None if index % 3 == 0 else float((index * 7919) % ROWS)
            changed = {
                "id": f"{index:012x}",
                "model": f"model{index % 10}",
                "latency_median_ms": median,
                "created_at": f"2026-01-01T{index:08d}",
            }
            if index % 11 == 0:
                ending = {"status": ("failed", "cancelled")[index % 2], "verdict": None, "error": f"error {index % 5}"}
                changed |= ending | {"note": ("", "a note")[index % 3 == 0]}
            rows.append(tuple((template | changed).values()))
        connection.executemany(f"INSERT INTO runs VALUES ({marks})", rows)  # noqa: S608 - question marks
        connection.commit()
        connection.close()
        yield store


@pytest.mark.slow
def test_consecutive_pages_have_no_gap_and_no_duplicate(large: Store) -> None:
    seen: list[str] = []
    for offset in range(0, 600, 200):
        page = large.summaries(order_by="latency_median_ms", descending=False, limit=200, offset=offset)
        medians = [summary.latency_median_ms for summary in page]
        assert None not in medians
        assert medians == sorted(medians, key=float)  # type: ignore[arg-type]
        seen += [summary.id for summary in page]
    assert len(set(seen)) == 600


@pytest.mark.parametrize("descending", [True, False])
def test_runs_without_a_value_come_last_in_either_direction(large: Store, descending: bool) -> None:
    medians = [
        summary.latency_median_ms for summary in large.summaries(order_by="latency_median_ms", descending=descending)
    ]
    assert len(medians) == ROWS == large.count()
    first_missing = medians.index(None)
    assert set(medians[first_missing:]) == {None}
    assert large.count([Condition("latency_median_ms", "is missing")]) == ROWS - first_missing


@pytest.mark.parametrize("column", sorted(IN_ORDER - {"id"}))
@pytest.mark.parametrize("descending", [True, False])
def test_sorted_page_is_read_from_an_index(large: Store, column: str, descending: bool) -> None:
    statements: list[str] = []
    connection = large._database._connection
    connection.set_trace_callback(statements.append)
    large.summaries(order_by=column, descending=descending, limit=50, offset=1000)
    connection.set_trace_callback(None)
    (select,) = [statement for statement in statements if statement.startswith("SELECT")]
    plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {select}"))
    assert f"USING INDEX runs_by_{column}" in plan
    assert "TEMP B-TREE" not in plan


def test_conditions_narrow_and_combine(store: Store) -> None:
    first = make_document(median=16.0)
    second = make_document("aaaaaaaaaaa2", precision="int8", median=8.0)
    second.note = "A Note_on 100%"
    store.import_documents([first, second])

    def ids(*where: Condition) -> list[str]:
        return [summary.id for summary in store.summaries(where, descending=False)]

    assert ids(Condition("precision", "=", "int8")) == [second.id]
    assert ids(Condition("precision", "!=", "int8")) == [first.id]
    assert ids(Condition("latency_median_ms", "<", 10)) == [second.id]
    assert ids(Condition("latency_median_ms", ">=", 8), Condition("model", "=", "resnet18")) == [first.id, second.id]
    assert ids(Condition("precision", "in", ["fp32", "fp16"])) == [first.id]
    assert ids(Condition("precision", "in", [])) == []
    assert ids(Condition("note", "contains", "note_ON 100%")) == [second.id]
    assert ids(Condition("error", "is missing")) == [first.id, second.id]
    assert ids(Condition("model", "=", "'; DROP TABLE runs; --")) == []


def test_unknown_column_or_operator_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="no column id; DROP"):
        store.summaries(order_by="id; DROP TABLE runs")
    with pytest.raises(UsageError, match="no column p50"):
        store.count([Condition("p50", "<", 10)])
    with pytest.raises(UsageError, match="not a comparison"):
        store.count([Condition("model", "OR 1=1 --", 10)])  # type: ignore[arg-type]


def test_prefix_must_match_exactly_one_run(store: Store) -> None:
    store.import_documents([make_document(), make_document("aaaaaaaaaaa2"), make_document("b%_")])
    assert store.resolve("b") == "b%_"
    assert store.resolve("aaaaaaaaaaa2") == "aaaaaaaaaaa2"
    with pytest.raises(UsageError, match=r"aaaaaaaaaaa1 \(resnet18 fp32/xnnpack\), aaaaaaaaaaa2"):
        store.resolve("aaa")
    for unknown in ("c", "%", "", "aaaaaaaaaaa11"):
        with pytest.raises(UsageError):
            store.resolve(unknown)
    with pytest.raises(StoreError):
        store.document("c")


def test_live_runs_and_runs_of_a_session_being_measured_cannot_be_deleted(store: Store) -> None:
    session = store.add_session(make_spec(), model=MODEL, box="")
    store.import_documents([make_document()])
    with pytest.raises(UsageError, match=r"is queued.*cancel it first"):
        store.delete_runs(["aaaaaaaaaaa1", session.runs[0][0]])
    assert store.count() == 3
    assert store.live_run_ids() == [run_id for run_id, _ in session.runs]


def test_note_can_be_changed_without_the_tags(store: Store) -> None:
    store.import_documents([make_document()])
    store.annotate("aaaaaaaaaaa1", note="")
    assert (store.summary("aaaaaaaaaaa1").note, store.summary("aaaaaaaaaaa1").tags) == ("", ["tag"])
    with pytest.raises(UsageError):
        store.annotate("unknown", note="x")


@pytest.mark.slow
@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("order_by", ["latency_median_ms", "created_at", "model"])
@pytest.mark.parametrize(
    "where",
    [
        [],
        [Condition("model", "=", "model3")],
        [Condition("words", "contains", "MODEL3"), Condition("status", "=", "failed", negated=True)],
        [Condition("latency_median_ms", "<", 150.0)],
        [Condition("model", "glob", "*7", negated=True)],
    ],
)
def test_page_is_a_slice_of_the_runs_with_its_position(
    large: Store, where: list[Condition], order_by: str, descending: bool
) -> None:
    every = [run.id for run in large.summaries(where, order_by=order_by, descending=descending)]
    sorting = Sorting(column=order_by, descending=descending)
    for index in (0, len(every) // 3, len(every) - 3):
        window = Window(limit=40, around=every[index], before=20)
        total, first, place, rows = large.page(where, sorting, window)
        assert (total, place) == (len(every), index)
        assert [run.id for run in rows] == every[first : first + 40]
        seen = large.glimpse(where, sorting, window)
        assert [run.id for run in seen[-1]] == every[max(0, index - 20) : index + 20] if seen[0] is None else rows
    for offset in (0, len(every) // 2, len(every)):
        _, first, _, rows = large.page(where, sorting, Window(limit=40, offset=offset))
        assert [run.id for run in rows] == every[min(offset, len(every) - 40) :][:40]


@pytest.mark.slow
@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("where", [[], [Condition("model", "=", "model3")], [Condition("status", "!=", "done")]])
@pytest.mark.parametrize("column", ["verdict", "note"])
def test_page_can_be_sorted_by_what_the_table_shows(
    large: Store, column: str, where: list[Condition], descending: bool
) -> None:
    def shown(run: RunSummary) -> str | None:
        if column == "note":
            return run.note or run.error
        return (run.verdict or "done") if run.status == "done" else run.status

    def age(run: RunSummary) -> int:
        return 0 if run.id == make_document().id else int(run.id, 16)

    by_age = sorted(large.summaries(where), key=age, reverse=descending)
    known = sorted((run for run in by_age if shown(run)), key=lambda run: str(shown(run)), reverse=descending)
    every = [run.id for run in (*known, *(run for run in by_age if not shown(run)))]
    assert len({shown(run) for run in known}) > 1
    sorting = Sorting(column=column, descending=descending, as_shown=True)
    for index in (0, len(every) // 3, len(every) - 3):
        window = Window(limit=40, around=every[index], before=20)
        total, first, place, rows = large.page(where, sorting, window)
        assert (total, place) == (len(every), index)
        assert [run.id for run in rows] == every[first : first + 40]
    assert [run.id for run in large.glimpse(where, sorting, Window(limit=40))[-1]] == every[:40]


@pytest.mark.slow
def test_page_is_first_read_without_a_total_if_counting_is_slow(large: Store) -> None:
    where = [Condition("words", "contains", "model3", negated=True)]
    for column in ("latency_median_ms", "model", "tags"):
        sorting = Sorting(column=column, descending=False)
        every = [run.id for run in large.summaries(where, order_by=column, descending=False)]
        for around, place, last in ((None, None, 40), (every[7], 7, 27)):
            seen = large.glimpse(where, sorting, Window(limit=40, around=around, before=20))
            assert seen[:2] == (None, place)
            assert [run.id for run in seen[-1]] == every[:last]


def test_run_that_does_not_match_the_filter_has_no_position(large: Store) -> None:
    where = [Condition("model", "=", "model3")]
    assert large.page(where, Sorting(column="id", descending=False), Window(limit=10, around=f"{1:012x}"))[2] is None
    assert large.distinct("model")[:3] == ["model0", "model1", "model2"]
