"""The bench from the keyboard: every key of the registry that is the bench's or the table's does its thing."""

from __future__ import annotations

import asyncio
import statistics
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from etui.actions import ACTIONS
from etui.config import Config
from etui.events import Event, utc_now
from etui.results import Flag
from etui.store import Condition, RunnerIdentity, Store
from etui.store.filter_language import parse
from etui.store.run_pages import Glimpse, Page
from etui.tui.database import Database
from etui.tui.feed import Feed, LiveSession
from etui.tui.screens.columns import ColumnsDialog
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.details import DetailsScreen
from etui.tui.screens.export import ExportDialog
from etui.tui.screens.filters import FiltersDialog
from etui.tui.screens.help import HelpScreen
from etui.tui.screens.import_runs import ImportDialog
from etui.tui.screens.jump import JumpDialog
from etui.tui.screens.sort import SortDialog
from etui.tui.widgets.chart_pane import ChartPane
from etui.tui.widgets.filter_bar import FilterBar
from etui.tui.widgets.header import Header
from etui.tui.widgets.log_pane import LogPane
from etui.tui.widgets.paged_list import Rows, Wanted
from etui.tui.widgets.picker import Picker
from etui.tui.widgets.queue_pane import QueuePane
from etui.tui.widgets.runs_table import RunsTable
from tests.documents import MODEL, make_block, make_document, make_spec
from tests.tui.benches import app_of, bench_table, fill, make_app, make_documents, opened, settled, snapshot
from tests.tui.hosts import PATIENCE_S, drawn_rows, notices, paste, type_text, until, work_done
from tests.tui.summaries import with_facts

pytestmark = pytest.mark.asyncio
COUNT = 24


@pytest.fixture
def filled(database: Path) -> Path:
    fill(database, make_documents(COUNT))
    return database


def under_cursor(pilot: Pilot[object]) -> str:
    run = bench_table(pilot).run
    assert run is not None
    return run.id


def ids_by(database: Path, column: str, *, descending: bool) -> list[str]:
    with Store.open(database) as store:
        return [run.id for run in store.summaries(order_by=column, descending=descending)]


@pytest.mark.slow
async def test_moving_goes_to_the_next_first_last_and_half_a_page(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        table = bench_table(pilot)
        seen = []
        for key in ("j", "down", "k", "G", "up", "g", "ctrl+d", "ctrl+u", "pagedown", "home", "end", "k"):
            await pilot.press(key)
            seen.append(table.cursor)
        half = table.visible_rows // 2
        assert seen == [1, 2, 1, COUNT - 1, COUNT - 2, 0, half, 0, half, 0, COUNT - 1, COUNT - 2]
        assert under_cursor(pilot) == ids_by(filled, "created_at", descending=True)[COUNT - 2]


@pytest.mark.slow
async def test_marks_are_set_taken_back_and_set_for_all_that_the_filter_shows(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        table = bench_table(pilot)
        await pilot.press("space", "space", "k", "space")
        assert len(table.marked) == 1
        await pilot.press("slash", *"gpt2", "enter")
        await settled(pilot)
        await pilot.press("asterisk")
        await until(pilot, lambda: len(table.marked) > 1)
        assert len(table.marked) == 1 + table.total
        await pilot.press("minus")
        assert table.marked == set()


@pytest.mark.slow
async def test_sorting_goes_from_column_to_column_and_turns_round(filled: Path) -> None:
    async with opened(make_app(filled, config=Config(columns=("when", "model", "p50", "id")))) as pilot:
        table = bench_table(pilot)
        await pilot.press("S")
        await settled(pilot)
        assert drawn_ids(pilot)[0] == ids_by(filled, "created_at", descending=False)[0][:6]
        await pilot.press("s")
        await settled(pilot)
        assert table.order.column == "model"
        while table.order.column != "p50":
            await pilot.press("s")
        await settled(pilot)
        assert drawn_ids(pilot) == [run_id[:6] for run_id in ids_by(filled, "latency_median_ms", descending=False)]


@pytest.mark.slow
async def test_the_cursor_stays_on_its_run_when_the_order_changes_and_when_rows_arrive(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        await pilot.press("j", "j", "j", "j")
        run_id = under_cursor(pilot)
        await pilot.press("s")
        await settled(pilot)
        assert under_cursor(pilot) == run_id
        newer = msgspec.structs.replace(make_documents(1)[0], id="ffffffffff01", created_at="2026-11-20T23:00:00.000Z")
        with Store.open(filled) as store:
            store.import_documents([newer])
        app_of(pilot).bench.take(snapshot(changed=True))
        await settled(pilot)
        assert bench_table(pilot).total == COUNT + 1
        assert under_cursor(pilot) == run_id


@pytest.mark.slow
async def test_what_is_seen_does_not_move_when_rows_arrive_above(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        table = bench_table(pilot)
        await pilot.press("G")
        top, run_id = table.scroll_offset.y, under_cursor(pilot)
        assert top > 0
        with Store.open(filled) as store:
            for number in range(3):
                store.import_documents(
                    [
                        msgspec.structs.replace(
                            make_documents(1)[0], id=f"ffffffffff{number:02d}", created_at="2026-11-20T23:00:00.000Z"
                        )
                    ]
                )
        app_of(pilot).bench.take(snapshot(changed=True))
        await settled(pilot)
        assert (under_cursor(pilot), table.scroll_offset.y) == (run_id, top + 3)


@pytest.mark.slow
async def test_a_filter_is_applied_as_it_is_typed_and_a_mistake_is_named(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        table, bar = bench_table(pilot), app_of(pilot).bench.query_one(FilterBar)
        await pilot.press("slash")
        await type_text(pilot, "status:failed")
        await until(pilot, lambda: 0 < table.total < COUNT)
        assert all("failed" in row for row in drawn_rows(table))
        await pilot.press("space", *"jkq", "colon", "x")
        assert "unknown key" in str(bar.query_one("#filter-word").render())
        await pilot.press("enter")
        assert bar.display
        await pilot.press("escape")
        await until(pilot, lambda: table.total == COUNT)
        assert table.has_focus and not bar.display


@pytest.mark.slow
async def test_the_runs_are_sorted_by_a_picked_column_and_reversed_by_the_same(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        table = bench_table(pilot)
        for descending in (False, True):
            await pilot.press("O")
            await until(pilot, lambda: isinstance(pilot.app.screen, SortDialog))
            await pilot.press(*("" if descending else "m"), "enter")
            await settled(pilot)
            assert (table.order.column, table.order.descending) == ("model", descending)


async def test_what_a_filter_ignores_is_reported_and_the_rest_is_applied(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        table, bar = bench_table(pilot), app_of(pilot).bench.query_one(FilterBar)
        await pilot.press("slash")
        await paste(pilot, "status:failed modle:x gpt")
        await until(pilot, lambda: 0 < table.total < COUNT)
        assert "ignored modle:x" in str(bar.query_one("#filter-word").render())
        assert bar.conditions == tuple(parse("status:failed gpt"))


@pytest.mark.slow
async def test_the_filter_is_saved_and_applied_by_its_name(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        table, bar = bench_table(pilot), app_of(pilot).bench.query_one(FilterBar)
        await pilot.press("slash")
        await type_text(pilot, "status:failed")
        await pilot.press("enter")
        await until(pilot, lambda: 0 < table.total < COUNT)
        failed = table.total
        await pilot.press("F")
        await until(pilot, lambda: isinstance(pilot.app.screen, FiltersDialog))
        await type_text(pilot, "bad")
        await pilot.press("enter")
        await until(pilot, lambda: bar.text == "@bad")
        await settled(pilot)
        assert table.total == failed
        await pilot.press("escape")
        await until(pilot, lambda: table.total == COUNT)
        await pilot.press("slash")
        await type_text(pilot, "-@bad")
        await until(pilot, lambda: table.total == COUNT - failed)


@pytest.mark.slow
async def test_tab_completes_keys_and_values_and_escape_shows_every_run_again(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        table = bench_table(pilot)
        await pilot.press("slash", *"mod", "tab", *"gp", "tab")
        assert app_of(pilot).bench.query_one(FilterBar).query_one(Input).value == "model:gpt2"
        await pilot.press("enter")
        await settled(pilot)
        assert all("gpt2" in row for row in drawn_rows(table))
        await pilot.press("escape")
        await until(pilot, lambda: table.total == COUNT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "screen"),
    [
        ("enter", DetailsScreen),
        ("v", ColumnsDialog),
        ("colon", JumpDialog),
        ("F", FiltersDialog),
        ("O", SortDialog),
        ("e", ExportDialog),
        ("i", ImportDialog),
        ("d", ConfirmDialog),
        ("question_mark", HelpScreen),
        ("f1", HelpScreen),
    ],
)
async def test_a_key_opens_its_screen_and_escape_leads_back(filled: Path, key: str, screen: type[object]) -> None:
    async with opened(make_app(filled)) as pilot:
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, screen))
        # Where a list of suggestions is open, the first escape closes that.
        for _ in range(2):
            if isinstance(pilot.app.screen, screen):
                await pilot.press("escape")
                await pilot.pause()
        await until(pilot, lambda: pilot.app.screen is app_of(pilot).bench)
        assert bench_table(pilot).total == COUNT


async def test_the_columns_that_were_chosen_are_shown(filled: Path) -> None:
    async with opened(make_app(filled, config=Config(columns=("when", "threads", "p50")))) as pilot:
        assert [column.name for column in bench_table(pilot).columns] == ["when", "threads", "p50"]
        bench_table(pilot).show_columns(["id", "mae"])
        assert [column.name for column in bench_table(pilot).columns] == ["id", "mae"]


@pytest.mark.slow
async def test_jumping_puts_the_cursor_on_the_run(filled: Path) -> None:
    wanted = ids_by(filled, "created_at", descending=True)[17]
    async with opened(make_app(filled)) as pilot:
        await pilot.press("slash", *"status:failed", "enter")
        await settled(pilot)
        await pilot.press("colon", *wanted[:4], "enter")
        await until(pilot, lambda: pilot.app.screen is app_of(pilot).bench)
        await settled(pilot)
        await until(pilot, lambda: bench_table(pilot).total == COUNT)
        assert under_cursor(pilot) == wanted


async def test_a_baseline_is_pinned_and_unpinned(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        table = bench_table(pilot)
        await pilot.press("j", "p")
        assert table.baseline == under_cursor(pilot)
        await pilot.press("p")
        assert table.baseline is None


@pytest.mark.slow
async def test_columns_order_and_baseline_are_as_they_were_left(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        await pilot.press("j", "p", "s", "S", "v", "space", "tab", "tab", "enter")
        await until(pilot, lambda: "when" not in [column.name for column in bench_table(pilot).columns])
        await settled(pilot)
        pinned, order = bench_table(pilot).baseline, bench_table(pilot).order
    assert pinned is not None and order.column == "model"
    async with opened(make_app(filled)) as pilot:
        table = bench_table(pilot)
        assert (table.baseline, table.order) == (pinned, order)
        assert [column.name for column in table.columns][:2] == ["model", "precision"]
    with Store.open(filled) as store:
        store.delete_runs([pinned])
    async with opened(make_app(filled)) as pilot:
        await until(pilot, lambda: bench_table(pilot).baseline is None)
        assert any("was deleted" in str(one.message) for one in notices(pilot.app))


@pytest.mark.slow
async def test_deleting_asks_first_and_then_deletes_what_is_marked(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        table = bench_table(pilot)
        await pilot.press("space", "space", "d")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is app_of(pilot).bench)
        assert table.total == COUNT and len(table.marked) == 2
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("right", "enter")
        await until(pilot, lambda: table.total == COUNT - 2)
        assert table.marked == set()


async def test_copying_says_where_the_text_went(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        await pilot.press("y")
        await until(pilot, lambda: len(notices(pilot.app)) > 0)
        assert app_of(pilot).clipboard.startswith("#")
        await pilot.press("space", "space", "y")
        await until(pilot, lambda: app_of(pilot).clipboard.startswith("|"))


@pytest.mark.slow
async def test_new_goes_to_the_picker_where_letters_type_and_escape_comes_back(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        await pilot.press("n")
        picker = app_of(pilot).bench.query_one(Picker)
        await until(pilot, lambda: picker in (pilot.app.focused or picker).ancestors_with_self)
        await pilot.press("escape", "escape")
        await until(pilot, lambda: bench_table(pilot).has_focus)


@pytest.mark.slow
async def test_in_a_small_terminal_the_picker_is_a_panel_and_log_and_chart_share_a_pane(filled: Path) -> None:
    async with opened(make_app(filled), (80, 24)) as pilot:
        bench = app_of(pilot).bench
        left, chart, log = bench.query_one("#left"), bench.query_one(ChartPane), bench.query_one(LogPane)
        assert not left.display and chart.display and not log.display
        await pilot.press("l")
        assert log.display and not chart.display
        await pilot.press("l", "r")
        assert left.display and chart.display
        await pilot.press("escape", "escape")
        await until(pilot, lambda: not left.display)
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: left.display and chart.display and log.display)
        await pilot.press("l")
        assert not log.display
        await pilot.resize_terminal(40, 10)
        await until(pilot, lambda: bench.query_one("#too-small").display and not bench.query_one("#body").display)
        await pilot.resize_terminal(250, 70)
        await until(pilot, lambda: bench.query_one("#body").display)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (60, 16)])
async def test_every_pane_can_be_enlarged_to_the_whole_screen(filled: Path, size: tuple[int, int]) -> None:
    async with opened(make_app(filled), size) as pilot:
        bench = app_of(pilot).bench
        # There is no room for the chart next to the runs at 60x16.
        panes = ((), "runs"), (("tab",), "chart"), (("ctrl+f", "enter"), "log"), (("n",), "picker")
        for opening, name in panes:
            if name == "chart" and size == (60, 16):
                assert not bench.query_one("#chart").display
                continue
            await pilot.press(*opening)
            pane = bench.query_one(f"#{name}")
            await until(pilot, lambda: pane in (pilot.app.focused or bench).ancestors_with_self)  # noqa: B023
            if name == "picker":
                # A letter is text in its first field.
                await pilot.press("tab")
            await pilot.press("z")
            # Without the header and the line of keys.
            await until(pilot, lambda: pane.size.height >= size[1] - 6 and pane.outer_size.width == size[0])  # noqa: B023
            shown = [one for one in ("runs", "chart", "log", "picker", "queue") if bench.query_one(f"#{one}").display]
            assert shown == [name]
            # The first escape ends the search of the log.
            await pilot.press("escape", *(["escape"] if name == "log" else []))
            await until(pilot, lambda: not bench.has_class("-zoomed") and bench.query_one("#runs").display)
            await pilot.press("escape", "escape")
            await until(pilot, lambda: bench_table(pilot).has_focus)


@pytest.mark.slow
async def test_run_queues_what_the_picker_says_and_cancel_stops_it(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etui.runner.start.ensure_runner", lambda path: None)
    async with opened(make_app(filled, live=True)) as pilot:
        await pilot.press("r")
        await until(pilot, lambda: bench_table(pilot).total > COUNT)
        await settled(pilot)
        run_id = under_cursor(pilot)
        with Store.open(filled) as store:
            assert store.summary(run_id).status == "queued"
            await pilot.press("x")
            await until(pilot, lambda: store.summary(run_id).status == "cancelled")


@pytest.mark.slow
async def test_cancel_asks_about_a_session_that_is_not_under_the_cursor(filled: Path) -> None:
    with Store.open(filled) as store:
        session = store.add_session(make_spec(("fp32", "xnnpack")), model=MODEL, box="x")
        runs = tuple(store.summaries([Condition("session", "=", session.id)]))
    async with opened(make_app(filled)) as pilot:
        app_of(pilot).bench.take(snapshot([LiveSession(session=session, runs=runs)], changed=True))
        await settled(pilot)
        await pilot.press("G", "x")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is app_of(pilot).bench)
        with Store.open(filled) as store:
            assert store.summary(runs[0].id).status == "queued"
            await pilot.press("x")
            await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
            await pilot.press("right", "enter")
            await until(pilot, lambda: store.summary(runs[0].id).status == "cancelled")


class _HeldRows:
    """Rows that are read only once they are released."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.released = threading.Event()

    def page(self, wanted: Wanted, overtaken: Callable[[], bool]) -> Page:
        self.released.wait(PATIENCE_S)
        return self._rows.page(wanted, overtaken)

    def glimpse(self, wanted: Wanted, overtaken: Callable[[], bool]) -> Page | Glimpse:
        self.released.wait(PATIENCE_S)
        return self._rows.glimpse(wanted, overtaken)

    def ids(self, where: Sequence[Condition]) -> list[str]:
        return self._rows.ids(where)


@pytest.mark.slow
async def test_keys_typed_ahead_of_a_filter_act_on_its_rows(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        table = bench_table(pilot)
        held = _HeldRows(table._database)
        table._reader._source = held
        await pilot.press("slash")
        # All at once, as a terminal sends what was typed while the app was busy.
        for key in (*"status", "colon", *"failed", "enter", "j", "space"):
            character = ":" if key == "colon" else " " if key == "space" else key if len(key) == 1 else None
            pilot.app.post_message(events.Key(key, character))
        await until(pilot, lambda: table.has_focus and table.is_outdated)
        await pilot.pause()
        assert not table.marked and table.cursor == 0
        held.released.set()
        await until(pilot, lambda: table.marked)
        with Store.open(filled) as store:
            assert [store.summary(run_id).status for run_id in table.marked] == ["failed"]
        assert len(table.marked) == 1 and table.cursor == 2


async def test_a_filter_typed_in_one_burst_does_not_act_as_keys(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        for key in ("slash", *"resnet18", "slash", "enter"):
            pilot.app.post_message(events.Key(key, "/" if key == "slash" else key if len(key) == 1 else None))
        await until(pilot, lambda: app_of(pilot).bench.query_one(FilterBar).text)
        assert app_of(pilot).bench.query_one(FilterBar).text == "resnet18/"
    with Store.open(filled) as store:
        assert not store.waiting_sessions()


@pytest.mark.parametrize(("keys", "effect"), [("n", "picker"), ("Q", "queue"), ("jspacen", "picker")])
async def test_keys_pressed_before_the_panes_exist_act_once_they_do(filled: Path, keys: str, effect: str) -> None:
    app, released = make_app(filled), asyncio.Event()
    add_panes = app.bench._add_panes

    async def add_panes_later() -> None:
        await released.wait()
        await add_panes()

    setattr(app.bench, "_add_panes", add_panes_later)  # noqa: B010 - mypy does not allow to assign to a method
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.bench.query(RunsTable) and bench_table(pilot).has_focus)
        for key in keys.replace("space", " "):
            app.post_message(events.Key("space" if key == " " else key, key))
        await pilot.pause()
        assert app.bench.picker is None
        released.set()
        await until(pilot, lambda: app.bench.query(f"#{effect}"))
        pane = app.bench.query_one(f"#{effect}")
        await until(pilot, lambda: pane.has_focus_within or pane.has_focus)
        assert len(bench_table(pilot).marked) == keys.count("space")


@pytest.mark.slow
async def test_an_edit_of_the_filter_is_undone_although_letters_are_still_waiting(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        await pilot.press("slash")
        for key in (*"gpt", "escape", "j"):
            pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: bench_table(pilot).has_focus and bench_table(pilot).cursor == 1)
        await settled(pilot)
        assert bench_table(pilot).total == COUNT and not app_of(pilot).bench.query_one(FilterBar).text


async def test_a_live_run_changes_its_row_in_place_and_its_log_is_followed(database: Path) -> None:
    fill(database, make_documents(3))
    with Store.open(database) as store:
        session = store.add_session(make_spec(("fp32", "xnnpack")), model=MODEL, box="x")
        runs = tuple(store.summaries([Condition("session", "=", session.id)]))
        store.add_event(session.id, Event(kind="log", message="first words", at=utc_now()))
    async with opened(make_app(database)) as pilot:
        bench = app_of(pilot).bench
        claimed = msgspec.structs.replace(session, claimed_by="u@x:1:now")
        bench.take(snapshot([LiveSession(session=claimed, runs=runs)], changed=True))
        await settled(pilot)
        assert "queued" in drawn_rows(bench_table(pilot))[0]
        measuring = (with_facts(runs[0], status="measuring"),)
        words = Event(kind="log", message="second words", at=utc_now(), id=99)
        bench.take(snapshot([LiveSession(session=claimed, runs=measuring)], events={session.id: (words,)}))
        await pilot.pause()
        assert "measuring" in drawn_rows(bench_table(pilot))[0]
        await until(pilot, lambda: "resnet18 fp32" in str(bench.query_one(LogPane).border_title))


def differs(chart: ChartPane, before: str) -> bool:
    return str(chart.render()) != before


@pytest.mark.slow
async def test_each_block_of_a_live_run_changes_its_row_chart_queue_and_header(database: Path) -> None:
    with Store.open(database) as store:
        session = store.add_session(make_spec(("fp32", "xnnpack")), model=MODEL, box="another-machine")
        run_id = session.runs[0][0]
        owner = RunnerIdentity(pid=1, host="another-machine", user="u", started_at="now")
        assert store.claim_next(owner) is not None
        store.set_status(run_id, "measuring")
        measuring = Event(kind="stage", message="measuring", stage="measure", total=12, at=utc_now())
        store.add_event(session.id, measuring)
        feed = Feed(Database(database), lambda _snapshot: None, lambda _error: None)
        async with opened(make_app(database)) as pilot:
            bench = app_of(pilot).bench
            await until(pilot, lambda: bench.drawn == run_id)
            header, queue, chart = bench.query_one(Header), bench.query_one(QueuePane), bench.query_one(ChartPane)
            seen: list[tuple[str, ...]] = []
            medians = []
            for index, own_ms in enumerate((16.0, 18.0, 11.0)):
                blocks = make_block("eager", index, 20.0), make_block("fp32/xnnpack", index, own_ms)
                medians.append(statistics.median(blocks[1].samples_ms))
                for block, of_run in zip(blocks, (None, run_id), strict=True):
                    store.add_block(session.id, block)
                    store.add_event(
                        session.id,
                        Event(kind="block", message=block.variant, stage="measure", run_id=of_run, at=utc_now()),
                    )
                looked = feed.look()
                assert looked is not None
                before = str(chart.render())
                bench.take(looked)
                await until(pilot, partial(differs, chart, before))
                row = drawn_rows(bench_table(pilot))[0]
                assert f"{index + 1}/6" in row and f"{statistics.median(medians):.1f}" in row
                seen.append((row, str(queue.render()), str(header.render())))
            assert all(len({each[place] for each in seen}) == 3 for place in range(3))
            assert bench_table(pilot).cursor == 0
        feed.close()


def drawn_ids(pilot: Pilot[object]) -> list[str]:
    """The beginnings of the runs' ids, if that is the last column."""
    return [row.split()[-1] for row in drawn_rows(bench_table(pilot))]


@pytest.mark.slow
async def test_the_chart_and_log_keys_work_from_the_table(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        chart = app_of(pilot).bench.query_one(ChartPane)
        views = []
        for key in "12345":
            await pilot.press(key)
            views.append(chart.view)
        assert len(set(views)) == 5
        log = app_of(pilot).bench.query_one(LogPane)
        assert log.is_following
        await pilot.press("f")
        assert not log.is_following


@pytest.mark.slow
async def test_a_database_in_trouble_is_said_and_the_app_stays(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        app = app_of(pilot)
        app.post_message(app.SnapshotRead(snapshot(problem="the database is gone; put it back")))
        await until(pilot, lambda: app.bench.snapshot is not None)
        assert "database" in str(app.bench.query_one("#header").render())
        await pilot.press("j", "j")
        assert bench_table(pilot).cursor == 2
        app.post_message(app.SnapshotRead(snapshot(changed=True)))
        await until(pilot, lambda: "idle" in str(app.bench.query_one("#header").render()))


async def test_a_damaged_database_opens_with_a_word(database: Path) -> None:
    database.write_bytes(b"no database at all" * 99)
    async with make_app(database).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(notices(pilot.app)) > 0)
        assert any("is not a database" in notice.message for notice in notices(pilot.app))


@pytest.mark.slow
async def test_names_from_elsewhere_are_text_and_never_markup(database: Path) -> None:
    hostile = make_documents(1)[0]
    hostile.model = msgspec.structs.replace(hostile.model, name="[red]x[/red]\x1b[31m[/]")
    hostile.note = "[bold"
    fill(database, [hostile])
    async with opened(make_app(database), (250, 70)) as pilot:
        assert "[red]x[/re" in drawn_rows(bench_table(pilot))[0]
        assert "\x1b" not in drawn_rows(bench_table(pilot))[0]
        await pilot.press("slash", "left_square_bracket", *"red", "enter")
        await until(pilot, lambda: "[red" in app_of(pilot).bench.query_one(FilterBar).text)
        await until(pilot, lambda: bench_table(pilot).total == 1)


@pytest.mark.slow
async def test_keys_of_ones_own_take_the_place_of_the_first(filled: Path) -> None:
    config = Config(keys={"table.down": "f5", "app.help": "f6"})
    async with opened(make_app(filled, config=config)) as pilot:
        await pilot.press("f5", "j")
        assert bench_table(pilot).cursor == 1
        await pilot.press("f6")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))


@pytest.mark.slow
async def test_the_palette_finds_actions_models_and_themes(filled: Path) -> None:
    async with opened(make_app(filled)) as pilot:
        entries = list(app_of(pilot).palette_entries())
        titles = {entry.title for entry in entries}
        for action in ACTIONS:
            if action.scope in ("bench", "table", "chart", "log"):
                assert action.title in titles
        assert {"resnet18", "etui-light"} <= titles
        groups = [entry.group for entry in entries]
        assert [group for place, group in enumerate(groups) if group not in groups[:place]] == [
            group for place, group in enumerate(groups) if place == 0 or group != groups[place - 1]
        ], "an entry is outside its group"
        await pilot.press("ctrl+p", *"mobilenet_v2", "enter", "enter")
        await until(pilot, lambda: pilot.app.screen is app_of(pilot).bench)
        await until(pilot, lambda: app_of(pilot).bench.query_one(Picker).choice.model == "mobilenet_v2")


async def test_the_screen_is_saved_as_svg(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened(make_app(filled)) as pilot:
        await pilot.press("ctrl+s")
        await until(pilot, lambda: list(tmp_path.glob("etui-*.svg")))


@pytest.mark.slow
@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_quitting_while_something_runs_says_that_it_goes_on(database: Path, key: str) -> None:
    with Store.open(database) as store:
        session = store.add_session(make_spec(), model=MODEL, box="x")
    app = make_app(database)
    displayed: list[str] = []
    async with app.run_test(size=(120, 40)) as pilot:
        app.bench.take(snapshot([LiveSession(session=session, runs=())]))
        app.exit = lambda *args, message="", **kwargs: displayed.append(message)  # type: ignore[method-assign]
        await pilot.press(key)
        await pilot.pause()
    assert "etui cancel --all" in displayed[0]


@pytest.mark.slow
async def test_only_a_page_of_many_runs_is_held(database: Path) -> None:
    from tests.benchmarks.bench_tui import fill as fill_many

    fill_many(database, 5_000)
    async with opened(make_app(database)) as pilot:
        table = bench_table(pilot)
        assert table.total == 5_000
        await pilot.press("G")
        await settled(pilot)
        assert table.run is not None and table.cursor == 4_999
        for _ in range(20):
            await pilot.press("ctrl+u")
        await settled(pilot)
        assert table.run is not None
        assert len(table.runs.rows) < 400


async def test_without_runs_the_table_says_what_to_press(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample_results").mkdir()
    async with opened(make_app(database)) as pilot:
        text = "\n".join(bench_table(pilot).render_line(y).text for y in range(1, 16))
        assert "sample_results" in text


@pytest.mark.parametrize(
    ("flags", "words", "absent"),
    [
        ([], [], "flagged"),
        (["bf16"], [], "flagged"),
        (["foreign load"], ["flagged: foreign load"], "more"),
        (["foreign load", "canary", "drift", "spread"], ["foreign load, canary, drift", "1 more"], "spread"),
    ],
)
async def test_the_notice_of_an_ended_run_names_its_flags(
    database: Path, flags: list[str], words: list[str], absent: str
) -> None:
    document = make_document()
    document.flags = [Flag(name=name, detail="") for name in flags]
    fill(database, [document])
    async with opened(make_app(database)) as pilot:
        app_of(pilot).bench.take(snapshot(ended=(document.id,)))
        await work_done(pilot)
        await until(pilot, lambda: notices(pilot.app))
        message = notices(pilot.app)[-1].message
        assert "PASS" in message and absent not in message
        assert all(word in message for word in words)
