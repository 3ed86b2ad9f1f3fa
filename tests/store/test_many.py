"""Many runs: every search strategy finds the same runs, and its work does not grow with the number of runs."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from etui.store import Condition, Store, index_search, run_pages
from etui.store.columns import IN_ORDER
from etui.store.conditions import GROUP, where_clause
from etui.store.database import Overtaken
from etui.store.filter_keys import KEYS
from etui.store.filter_language import parse
from etui.store.run_pages import Sorting, Window
from tests.benchmarks.bench_load import FILTERS
from tests.benchmarks.many_runs import RARE_MODEL, fill, run_id
from tests.documents import make_document

pytestmark = pytest.mark.slow

SMALLER, LARGER = 5_000, 20_000

WORDS = ("", "a", "B", "ab", "1b", "*", "[", "é", "模", "res", "fp32", "a1", "AB", "xy", "1 f", "00", "abc", "0fed",
         "1AB", "0A")  # fmt: skip
COLUMNS = ("created_at", "latency_median_ms", "model", "tags", "top1", "latency_ci95_low_ms", "id", "note")


@pytest.fixture(scope="module")
def smaller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("smaller") / "etui.db"
    fill(path, SMALLER)
    with Store.open(path) as store:
        yield store


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("larger") / "etui.db"
    fill(path, LARGER)
    with Store.open(path) as store:
        yield store


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a store of runs whose texts are drawn from a few letters, so that any word may occur in any of them; some
    ids do not have etui's format."""
    chance = random.Random(2)

    def word(letters: str = "abAB1 *[é模") -> str:
        return "".join(chance.choice(letters) for _ in range(chance.randrange(5)))

    documents = []
    for number in range(300):
        document = make_document(
            f"{number:03x}{chance.choice(['abc', 'fed', '1b', 'AB', 'xyz', '.é'])}",
            session_id=f"{number // 3 * 31:04{chance.choice('xX')}}" + "b" * (number // 3 % 3),
            precision=chance.choice(["fp32", "int8", word()]),
            median=chance.choice([1.0, 2.0, chance.random() * 10]),
            created_at=f"2026-11-{1 + number // 20:02d}T10:00:00.000Z",
        )
        document.model = msgspec.structs.replace(document.model, name=chance.choice(["resnet18", "gpt2", word()]))
        document.note, document.tags = word(), [word() for _ in range(chance.randrange(3))]
        document.error = chance.choice([None, word()])
        if chance.random() < 0.3:
            document.latency_ms, document.accuracy, document.weights = None, None, None
        documents.append(document)
    with Store.open(tmp_path_factory.mktemp("odd") / "etui.db") as store:
        store.import_documents(documents)
        yield store


def every(store: Store, where: Sequence[Condition], sorting: Sorting) -> list[str]:
    """Return the ids in order, from a scan of every row."""
    clause, values = where_clause(where)
    direction = "DESC" if sorting.descending else "ASC"
    connection = sqlite3.connect(store.path)
    rows = connection.execute(
        f"SELECT id FROM runs NOT INDEXED {clause} ORDER BY {sorting.column} {direction} NULLS LAST, rowid {direction}",  # noqa: S608
        values,
    ).fetchall()
    connection.close()
    return [row[0] for row in rows]


def check_reads(store: Store, where: Sequence[Condition], sorting: Sorting, chance: random.Random) -> None:
    """Check that every way to read the runs gives the result of ``every``."""
    expected = every(store, where, sorting)
    assert store.count(where) == len(expected)
    matching = store.summaries(where, order_by=sorting.column, descending=sorting.descending, limit=30)
    assert [run.id for run in matching] == expected[:30]
    around = chance.choice(expected) if expected else None
    place = None if around is None else expected.index(around)
    total, first, found_place, rows = store.page(where, sorting, Window(limit=20, around=around, before=8))
    assert (total, found_place) == (len(expected), place)
    assert [run.id for run in rows] == expected[first : first + 20]
    seen = store.glimpse(where, sorting, Window(limit=20, around=around, before=8))
    begin = first if seen[0] is not None else max(0, (place or 0) - 8)
    assert [run.id for run in seen[-1]][:12] == expected[begin : begin + 20][:12]
    offset = chance.randrange(len(expected) + 1)
    _, first, _, rows = store.page(where, sorting, Window(limit=20, offset=offset))
    assert [run.id for run in rows] == expected[first : first + 20]


@pytest.mark.parametrize("text", ["", *FILTERS])
def test_filter_over_many_runs_agrees_with_a_full_scan(smaller: Store, text: str) -> None:
    chance = random.Random(text)
    for column in chance.sample(COLUMNS, 3):
        check_reads(smaller, parse(text), Sorting(column=column, descending=chance.random() < 0.5), chance)
    newest = every(smaller, parse(text), run_pages.NEWEST_FIRST)
    assert [run.id for run in smaller.newest(parse(text))] == newest


@pytest.mark.parametrize("seed", range(60))
def test_any_condition_agrees_with_a_full_scan(odd: Store, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits are reduced so that every search strategy is used."""
    chance = random.Random(seed)
    monkeypatch.setattr(run_pages, "_MANY", chance.choice([0, 100]))
    monkeypatch.setattr(run_pages, "_FEW", chance.choice([3, 40]))
    monkeypatch.setattr(run_pages, "_HELD", chance.choice([3, 40]))
    monkeypatch.setattr(run_pages, "_PASSED", chance.choice([4, 100]))
    monkeypatch.setattr(run_pages, "_MUCH_SHORTER", chance.choice([1, 5, 40]))
    monkeypatch.setattr(run_pages, "_PATIENCE", chance.choice([2, 60]))
    monkeypatch.setattr(run_pages, "_SHORTER", chance.choice([1, 2, 100]))
    monkeypatch.setattr(index_search, "_FEW_VALUES", chance.choice([0, 4, 300]))
    texts = [key.column for key in KEYS.values() if key.kind in ("text", "list")]
    figures = ["latency_median_ms", "mae", "threads", "top5", "latency_p99_ms"]

    def condition(*, nested: bool = True) -> Condition:
        word = chance.choice(WORDS)
        negated = chance.random() < 0.3
        kind = chance.randrange(9 if nested else 7)
        if kind >= 7:
            operator = chance.choice(["any", "all"])
            members = tuple(condition(nested=False) for _ in range(chance.randrange(1, 4)))
            return Condition(GROUP, operator, members, negated)  # type: ignore[arg-type]
        if kind == 6:
            return Condition("session", "of newest", None, negated)
        if kind == 0:
            return Condition("words", "contains", word, negated)
        if kind == 1:
            return Condition(chance.choice(texts), "contains", word, negated)
        if kind == 2:
            return Condition(chance.choice(texts), "glob", chance.choice([word + "*", f"*{word}*", word]), negated)
        if kind == 3:
            values = chance.choice([[], ["gpt2"], ["resnet18", word], [word, "int8"]])
            return Condition(chance.choice(texts), "in", values, negated)
        if kind == 4:
            if chance.random() < 0.2:
                return Condition(chance.choice(figures), "within", [1.0, 2.0], negated)
            operator = chance.choice(["=", "!=", "<", "<=", ">", ">="])
            return Condition(chance.choice(figures), operator, chance.choice([1.0, 2.0, 2, 5.0]), negated)  # type: ignore[arg-type]
        return Condition(chance.choice([*texts, *figures]), "is missing", None, negated)

    for _ in range(12):
        where = [condition() for _ in range(chance.randrange(1, 4))]
        check_reads(odd, where, Sorting(column=chance.choice(COLUMNS), descending=chance.random() < 0.5), chance)
        newest = every(odd, where, run_pages.NEWEST_FIRST)
        assert [run.id for run in odd.newest(where)] == newest


@pytest.mark.parametrize("text", ["e", "-status:failed net", "int precision:8", "NET p50<20"])
@pytest.mark.parametrize("column", ["model", "precision"])
def test_word_of_one_column_finds_all_its_values_in_the_order_of_that_column(
    smaller: Store, text: str, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(text)
    for limit, value in (("_MANY", 300), ("_FEW", 300), ("_HELD", 300), ("_PATIENCE", 300)):
        monkeypatch.setattr(run_pages, limit, value)
    for descending in (True, False):
        check_reads(smaller, parse(text), Sorting(column=column, descending=descending), chance)


def steps(store: Store, call: Callable[[], object]) -> int:
    """Return the work of a call in hundreds of instructions of SQLite's virtual machine."""
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    connection = store._database._connection

    connection.set_progress_handler(step, 100)
    call()
    connection.set_progress_handler(None, 0)
    return taken


@pytest.mark.parametrize(
    "text",
    [
        "resnet18", "model:gpt2", f"model:{RARE_MODEL}", "status:failed", "p50<1.5", "p99>40", "top1>0.99",
        "tag:nightly", "has:error", "note:nowhere",
        "error:nowhere", "nowhere", "zq", "id:3f2", "age>900w", "-status:failed resnet", "3f2a", "session:3f2",
    ],
)  # fmt: skip
def test_first_page_takes_no_more_work_over_more_runs(
    smaller: Store, larger: Store, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Scaled limits, so that 5,000 runs correspond to a million runs with the original limits.
    for limit, value in (("_MANY", 300), ("_FEW", 300), ("_HELD", 300), ("_PATIENCE", 300), ("_PASSED", 7_500)):
        monkeypatch.setattr(run_pages, limit, value)
    where, window = parse(text), Window(limit=40)
    few = steps(smaller, lambda: smaller.glimpse(where, run_pages.NEWEST_FIRST, window))
    many = steps(larger, lambda: larger.glimpse(where, run_pages.NEWEST_FIRST, window))
    assert many < 2 * few + 200


def test_read_that_is_no_longer_needed_is_interrupted(larger: Store) -> None:
    where = parse('-nowhere "resnet18 int8"')
    with pytest.raises(Overtaken):
        larger.page(where, Sorting(column="tags", descending=True), Window(limit=10), lambda: True)
    assert larger.page(where, Sorting(column="tags", descending=True), Window(limit=10), lambda: False)[0] > 0


def test_values_of_a_column_are_read_without_a_full_scan(smaller: Store, larger: Store) -> None:
    assert larger.distinct("box") == ["arm-board", "bench-1", "bench-2", "laptop"]
    assert larger.distinct("error", 2) == larger.distinct("error")[:2] != []
    assert steps(larger, lambda: larger.distinct("model")) < 2 * steps(smaller, lambda: smaller.distinct("model")) + 10


@pytest.mark.parametrize("column", ["verdict", "note"])
@pytest.mark.parametrize("is_around", [False, True])
def test_page_in_the_order_that_is_shown_is_read_without_a_full_scan(
    smaller: Store, larger: Store, column: str, is_around: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_pages, "_MANY", 300)
    sorting = Sorting(column=column, descending=True, as_shown=True)
    where = parse("-status:failed")

    def work(store: Store) -> int:
        passed = store.summaries([Condition("verdict", "=", "PASS")], order_by="created_at", descending=False, limit=1)
        window = Window(limit=10, around=passed[0].id if is_around else None, before=5)
        return steps(store, lambda: store.glimpse(where, sorting, window))

    assert work(larger) < 2 * work(smaller)


def test_rows_around_a_run_with_a_word_are_read_without_passing_runs_of_other_models(
    smaller: Store, larger: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_pages, "_MANY", 300)
    monkeypatch.setattr(run_pages, "_FEW", 300)
    monkeypatch.setattr(run_pages, "_HELD", 300)
    where, sorting = parse("-status:failed resnet18"), Sorting(column="model", descending=True)

    def work(store: Store) -> int:
        first = store.summaries(where, order_by="model", descending=True, limit=1)[0]
        return steps(store, lambda: store.glimpse(where, sorting, Window(limit=40, around=first.id, before=20)))

    assert work(larger) < 2 * work(smaller)


def test_every_sortable_column_has_an_index(smaller: Store) -> None:
    connection = sqlite3.connect(smaller.path)
    indexes = {row[1] for row in connection.execute("PRAGMA index_list(runs)")}
    connection.close()
    assert {index_search.INDEXES[column] for column in IN_ORDER} <= indexes


def test_deleting_and_importing_allow_other_writers_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etui.store.batches.HOLD_S", 0.0)
    made = [make_document(f"{number:012x}", session_id=f"{number // 4:012x}") for number in range(12)]
    with Store.open(tmp_path / "etui.db") as store:
        store.import_documents([make_document("fffffffffff1", session_id="fffffffffff1")])
        other = sqlite3.connect(store.path, timeout=0, isolation_level=None)
        note = "UPDATE runs SET note = ? WHERE id = 'fffffffffff1'"
        for number, outcomes in enumerate(store.import_in_batches(made)):
            assert outcomes == ["new"]
            other.execute(note, (f"import {number}",))
        assert store.summary("fffffffffff1").note == "import 11"
        for number, deleted in enumerate(store.delete_in_batches([one.id for one in made])):
            assert deleted == 1
            other.execute(note, (f"delete {number}",))
        assert store.summary("fffffffffff1").note == "delete 11"
        assert store.run_ids() == ["fffffffffff1"]
        other.close()


def test_runs_imported_before_an_interruption_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etui.store.batches.HOLD_S", 0.0)
    made = [make_document(f"{number:012x}") for number in range(5)]
    with Store.open(tmp_path / "etui.db") as store:
        stopped = store.import_in_batches(made)
        assert [next(stopped), next(stopped)] == [["new"], ["new"]]
        stopped.close()  # type: ignore[attr-defined]
        assert sorted(store.run_ids()) == [one.id for one in made[:2]]
        assert store.document(made[1].id) == made[1]
        assert store.import_documents(made) == ["known"] * 2 + ["new"] * 3


def test_deleting_one_run_takes_no_more_work_over_more_runs(smaller: Store, larger: Store) -> None:
    few = steps(smaller, lambda: smaller.delete_runs([run_id(17)]))
    many = steps(larger, lambda: larger.delete_runs([run_id(17)]))
    assert many < 2 * few + 10


def test_part_of_an_id_matches_while_its_run_exists(tmp_path: Path) -> None:
    part, whole = parse("3f2a"), "00013f2a0001"

    def matching_ids(store: Store) -> list[str]:
        return [run.id for run in store.summaries(part)]

    with Store.open(tmp_path / "etui.db") as store:
        store.import_documents([make_document(f"{number:012x}", session_id="5") for number in range(20)])
        assert matching_ids(store) == []
        store.import_documents([make_document(whole, session_id="6")])
        store.annotate(whole, note="annotated")
        assert matching_ids(store) == [whole]
        store.delete_runs([f"{number:012x}" for number in range(0, 20, 2)])
    with sqlite3.connect(tmp_path / "etui.db") as connection:
        connection.execute("VACUUM")
    with Store.open(tmp_path / "etui.db") as store:
        assert matching_ids(store) == [whole]
        store.delete_runs([whole])
        assert (matching_ids(store), store.count(part)) == ([], 0)


def test_deleting_one_run_reads_only_its_own_environment(tmp_path: Path) -> None:
    taken = []
    for count in (20, 400):
        made = [make_document(f"{number:012x}", session_id=f"{number:012x}") for number in range(count)]
        for number, one in enumerate(made):
            assert one.environment is not None
            one.environment = msgspec.structs.replace(one.environment, os=f"Linux 6.{number}")
        with Store.open(tmp_path / f"{count}.db") as store:
            store.import_documents(made)
            taken.append(steps(store, lambda store=store: store.delete_runs([f"{7:012x}"])))  # type: ignore[misc]
            connection = sqlite3.connect(store.path)
            assert connection.execute("SELECT count(*) FROM environments").fetchone()[0] == count - 1
            connection.close()
    assert taken[1] < 2 * taken[0] + 3
