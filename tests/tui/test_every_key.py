"""Every key of the registry does what its action says: before it is pressed that is not so, afterwards it is."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, OptionList

from etui.actions import ACTIONS, Action
from etui.events import Event, utc_now
from etui.tui.picker_form import FormValues, remember
from etui.tui.screens.annotate import AnnotateDialog
from etui.tui.screens.columns import ColumnsDialog
from etui.tui.screens.configurations import ConfigurationsDialog
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.details import TABS, DetailsScreen
from etui.tui.screens.diagram import DiagramScreen
from etui.tui.screens.export import ExportDialog
from etui.tui.screens.filters import FiltersDialog
from etui.tui.screens.help import HelpScreen
from etui.tui.screens.import_runs import ImportDialog
from etui.tui.screens.jump import JumpDialog
from etui.tui.screens.menu import MenuDialog
from etui.tui.screens.model_summary import ModelSummaryScreen
from etui.tui.screens.notices import NoticesScreen
from etui.tui.screens.peaks import PeaksDialog
from etui.tui.screens.predict_npu import NpuDialog
from etui.tui.screens.sort import SortDialog
from etui.tui.screens.training_options import TrainingDialog
from etui.tui.screens.trainings import TrainingsScreen
from etui.tui.widgets.chart_pane import ChartPane
from etui.tui.widgets.combo import Combo
from etui.tui.widgets.filter_bar import FilterBar
from etui.tui.widgets.log_pane import LogPane
from etui.tui.widgets.log_view import LogView
from etui.tui.widgets.multi_select import MultiSelect
from etui.tui.widgets.picker import Picker
from etui.tui.widgets.queue_pane import QueuePane
from etui.tui.widgets.runs_table import RunsTable
from etui.tui.widgets.sweep_views import NO_ITEMS
from tests.model_graphs import residual
from tests.model_summaries import made_up
from tests.tui.benches import app_of, bench_table, fill, make_app, make_documents, opened, settled
from tests.tui.hosts import notices, until, work_done

COUNT = 60
Bench = Pilot[object]
Holds = Callable[[Bench], object]
ELSEWHERE = {
    "filters": "test_dialogs.py",
    "configurations": "test_configurations_dialog.py",
    "rows": "test_analysis_tabs.py",
    "compare": "test_compare.py",
    "trend": "test_trend.py",
    "model": "test_model_summary.py",
    "diagram": "test_diagram.py",
    "training": "test_training_check.py",
    "trainings": "test_trainings.py",
    "peaks": "test_peaks_screen.py",
    "predict": "test_predict_screen.py",
    "evaluation": "test_evaluate_screen.py",
    "tagging": "test_tag_screen.py",
    "queue": "test_queue_pane.py",
}
"""The scopes whose keys have tests of their own."""


class Scenario(msgspec.Struct, frozen=True):
    """The keys that lead to where the key means something, what holds afterwards and not before, and what to do first
    that no key does."""

    holds: Holds
    keys: tuple[str, ...] = ()
    first: Callable[[Bench], Awaitable[None]] | None = None


def _is(screen: type[Screen[Any]]) -> Holds:
    return lambda pilot: isinstance(pilot.app.screen, screen)


def _table(holds: Callable[[RunsTable], object]) -> Holds:
    return lambda pilot: holds(bench_table(pilot))


def _pane(holds: Callable[[LogPane], object]) -> Holds:
    return lambda pilot: holds(pilot.app.screen.query_one(LogPane))


def _view(name: str) -> Holds:
    return lambda pilot: pilot.app.screen.query_one(ChartPane).view == name


def _picker(pilot: Bench) -> Picker:
    return pilot.app.screen.query_one(Picker)


async def _run_before(pilot: Bench) -> None:
    remember(FormValues(model="gpt2"))


def _bench_only(pilot: Bench) -> bool:
    return pilot.app.screen is app_of(pilot).bench


def _has_no_program(pilot: Bench) -> bool:
    return any("is not in the cache" in one.message for one in notices(pilot.app))


def _combo(pilot: Bench) -> Combo:
    return pilot.app.screen.query(Combo).first()


def _focused(kind: type[object]) -> Holds:
    return lambda pilot: isinstance(pilot.app.focused, kind)


def _tab(pilot: Bench) -> str:
    screen = pilot.app.screen
    return screen.tab if isinstance(screen, DetailsScreen) else ""


def _is_tab(name: str) -> Holds:
    return lambda pilot: _tab(pilot) == name


def _said(pilot: Bench) -> str:
    return " ".join(str(one.message) for one in notices(pilot.app))


def _list(pilot: Bench) -> MultiSelect:
    """Return the list of the picker that has the focus in these tests, or of the dialog that is open."""
    screen = pilot.app.screen
    return screen.query_one("#picker-precision MultiSelect" if screen.query("#picker") else "MultiSelect", MultiSelect)


async def _log(pilot: Bench) -> None:
    """Put the focus into the log, with lines to search."""
    await until(pilot, lambda: app_of(pilot).bench.drawn is not None)
    # Lines that a test adds would be replaced by the stored ones of the run, which is named in the title.
    await until(pilot, lambda: "/" in str(pilot.app.screen.query_one(LogPane).border_title))
    await work_done(pilot)
    pilot.app.screen.query_one(LogPane).focus()
    await pilot.pause()


async def _searching(pilot: Bench) -> None:
    """Two lines are found, and the second is shown."""
    await _log(pilot)
    lines = (Event(kind="log", message=f"{which} flamingo", at=utc_now()) for which in ("one", "another"))
    pilot.app.screen.query_one(LogPane).add(list(lines))
    await pilot.press("ctrl+f", *"flamingo", "enter")
    await until(pilot, lambda: _match(pilot) == (2, 2))


async def _deleted(pilot: Bench) -> None:
    """A run is deleted."""
    await pilot.press("d")
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
    await pilot.press("right", "enter")
    await until(pilot, lambda: bench_table(pilot).total == COUNT - 1)


def _match(pilot: Bench) -> tuple[int, int]:
    found = re.findall(r"\d+", pilot.app.screen.query_one(LogView).search_state())
    return (int(found[0]), int(found[1])) if len(found) == 2 else (0, 0)


def _below_resnet18(pilot: Bench) -> int:
    """How many suggestions below the chosen one the list's cursor is."""
    combo = _combo(pilot)
    names = [one.value for one in combo._shown]
    return (combo.query_one(OptionList).highlighted or 0) - names.index("resnet18") if combo.is_open else -1


SCENARIOS: dict[str, Scenario] = {
    "bench.run": Scenario(lambda pilot: "queued" in _said(pilot)),
    "bench.cancel": Scenario(lambda pilot: "No run is running" in _said(pilot)),
    "bench.new": Scenario(lambda pilot: any(isinstance(one, Picker) for one in pilot.app.focused.ancestors)),  # type: ignore[union-attr]
    "bench.filter": Scenario(lambda pilot: pilot.app.screen.query_one(FilterBar).display),
    "bench.filters": Scenario(_is(FiltersDialog)),
    "bench.configurations": Scenario(_is(ConfigurationsDialog)),
    "bench.older": Scenario(lambda pilot: _picker(pilot).choice.model == "gpt2", first=_run_before),
    "bench.back": Scenario(_focused(RunsTable), ("n",)),
    "bench.export": Scenario(_is(ExportDialog)),
    "bench.import": Scenario(_is(ImportDialog)),
    "bench.delete": Scenario(_is(ConfirmDialog)),
    "bench.copy": Scenario(lambda pilot: pilot.app.clipboard.startswith("#")),
    "bench.log": Scenario(lambda pilot: not pilot.app.screen.query_one(LogPane).display),
    "bench.zoom": Scenario(lambda pilot: not pilot.app.screen.query_one(ChartPane).display),
    "bench.queue": Scenario(_focused(QueuePane)),
    "bench.compare": Scenario(lambda pilot: not _bench_only(pilot), ("space", "space")),
    "bench.trend": Scenario(lambda pilot: not _bench_only(pilot)),
    "bench.model": Scenario(_is(ModelSummaryScreen)),
    "bench.diagram": Scenario(_is(DiagramScreen)),
    "bench.training": Scenario(_is(TrainingDialog)),
    "bench.trainings": Scenario(_is(TrainingsScreen)),
    "bench.peaks": Scenario(_is(PeaksDialog)),
    "bench.predict": Scenario(_is(NpuDialog)),
    "bench.tag_photos": Scenario(_has_no_program),
    "bench.evaluate": Scenario(_has_no_program),
    "table.details": Scenario(_is(DetailsScreen)),
    "table.mark": Scenario(_table(lambda table: len(table.marked) == 1)),
    "table.mark_all": Scenario(_table(lambda table: len(table.marked) == COUNT)),
    "table.unmark_all": Scenario(_table(lambda table: not table.marked), ("space",)),
    "table.sort": Scenario(_table(lambda table: table.order.column == "model")),
    "table.sort_direction": Scenario(_table(lambda table: not table.order.descending)),
    "table.sort_by": Scenario(_is(SortDialog)),
    "table.columns": Scenario(_is(ColumnsDialog)),
    "table.jump": Scenario(_is(JumpDialog)),
    "table.baseline": Scenario(_table(lambda table: table.baseline is not None)),
    "table.menu": Scenario(_is(MenuDialog)),
    "table.down": Scenario(_table(lambda table: table.cursor == 1)),
    "table.up": Scenario(_table(lambda table: table.cursor == 0), ("j",)),
    "table.top": Scenario(_table(lambda table: table.cursor == 0), ("j", "j")),
    "table.bottom": Scenario(_table(lambda table: table.cursor == COUNT - 1)),
    "table.page_down": Scenario(_table(lambda table: table.cursor == table.visible_rows // 2)),
    "table.page_up": Scenario(_table(lambda table: table.cursor == COUNT - 1 - table.visible_rows // 2), ("G",)),
    "picker.choose": Scenario(lambda pilot: "fp32" not in _list(pilot).chosen, ("n", "tab")),
    "picker.down": Scenario(lambda pilot: _list(pilot)._cursor > 1, ("n", "tab")),
    "picker.up": Scenario(lambda pilot: _list(pilot)._cursor == 0, ("n", "tab", "j")),
    "picker.right": Scenario(lambda pilot: _list(pilot)._cursor == 1, ("n", "tab")),
    "picker.left": Scenario(lambda pilot: _list(pilot)._cursor == 0, ("n", "tab", "right")),
    "chart.view_1": Scenario(_view("histogram"), ("2",)),
    "chart.view_2": Scenario(_view("ecdf")),
    "chart.view_3": Scenario(_view("blocks")),
    "chart.view_4": Scenario(_view("trend")),
    "chart.view_5": Scenario(_view("MAE")),
    # The charts themselves are in test_chart_pane.py; the run here has no other shapes in its session.
    "chart.view_6": Scenario(lambda pilot: "do not differ" in _said(pilot)),
    "chart.view_7": Scenario(lambda pilot: NO_ITEMS in _said(pilot)),
    "chart.log_scale": Scenario(lambda pilot: " log " in str(pilot.app.screen.query_one(ChartPane).border_title)),
    "log.pause": Scenario(_pane(lambda pane: not pane.is_following)),
    "log.level": Scenario(_pane(lambda pane: pane.query_one(LogView).lines.level == "warning")),
    "log.search": Scenario(_pane(lambda pane: pane.query_one(Input).has_focus)),
    "search.next_match": Scenario(lambda pilot: _match(pilot) == (1, 2), first=_searching),
    "search.previous_match": Scenario(lambda pilot: _match(pilot) == (1, 2), first=_searching),
    "search.end_search": Scenario(_pane(lambda pane: not pane.has_class("-searching")), first=_searching),
    "filter.complete": Scenario(
        lambda pilot: pilot.app.screen.query_one(FilterBar).query_one(Input).value == "model:", ("slash", *"mod")
    ),
    "filter.leave": Scenario(lambda pilot: not pilot.app.screen.query_one(FilterBar).display, ("slash", "x")),
    "list.next": Scenario(lambda pilot: _combo(pilot).is_open, ("n",)),
    "list.previous": Scenario(lambda pilot: _below_resnet18(pilot) == 1, ("n", "down", "down", "down")),
    "list.take": Scenario(lambda pilot: _combo(pilot).value == "gpt2", ("n", "end", "ctrl+u", *"gpt")),
    "list.choose": Scenario(lambda pilot: _combo(pilot).value == "gpt2", ("n", "end", "ctrl+u", *"gpt")),
    "list.revert": Scenario(lambda pilot: not _combo(pilot).is_open, ("n", "down")),
    "columns.lower": Scenario(lambda pilot: _list(pilot).items[1].about == "when", ("v",)),
    "columns.raise_up": Scenario(lambda pilot: _list(pilot).items[0].about == "model", ("v", "down")),
    "dialog.close": Scenario(_bench_only, ("e",)),
    "help.search": Scenario(_focused(Input), ("question_mark",)),
    "help.close": Scenario(_bench_only, ("question_mark",)),
    "notices.close": Scenario(_bench_only, ("f2",)),
    "app.notices": Scenario(_is(NoticesScreen)),
    "app.help": Scenario(_is(HelpScreen)),
    "app.undo": Scenario(_table(lambda table: table.total == COUNT), first=_deleted),
    "app.command_palette": Scenario(lambda pilot: type(pilot.app.screen).__name__ == "CommandPalette"),
    "app.screenshot": Scenario(lambda pilot: list(Path.cwd().glob("etui-*.svg"))),
    "app.quit": Scenario(lambda pilot: pilot.app._exit),
    "app.quit_now": Scenario(lambda pilot: pilot.app._exit, ("slash",)),
    "details.next_tab": Scenario(lambda pilot: _tab(pilot) == "Latency", ("enter",)),
    "details.previous_tab": Scenario(lambda pilot: _tab(pilot) == "Model", ("enter",)),
    **{
        f"details.tab_{number % 10}": Scenario(_is_tab(name), ("enter", "tab" if number == 1 else "shift+tab"))
        for number, name in enumerate(TABS[:-2], 1)
    },
    "details.tab_0": Scenario(_is_tab("JSON"), ("enter",)),
    "details.next_chart": Scenario(_is_tab("Latency"), ("enter",)),
    "details.menu": Scenario(_is(MenuDialog), ("enter",)),
    "details.model": Scenario(_is_tab("Model"), ("enter",)),
    "details.diagram": Scenario(_is(DiagramScreen), ("enter",)),
    "details.training": Scenario(_is(TrainingDialog), ("enter",)),
    "details.peaks": Scenario(_is(PeaksDialog), ("enter",)),
    "details.predict": Scenario(_is(NpuDialog), ("enter",)),
    "details.tag_photos": Scenario(_has_no_program, ("enter",)),
    "details.evaluate": Scenario(_has_no_program, ("enter",)),
    "details.annotate": Scenario(_is(AnnotateDialog), ("enter",)),
    "details.copy": Scenario(lambda pilot: pilot.app.clipboard.startswith("#"), ("enter",)),
    "details.export": Scenario(_is(ExportDialog), ("enter",)),
    "details.close": Scenario(_bench_only, ("enter",)),
}
WITH_WORK = ("details.profile", "details.keep_fp32", "details.keep_files", "details.cancel")
"""Keys of the details that start or stop work, and have tests of their own too."""


def _has_tests_of_its_own(action: Action) -> str | None:
    return ELSEWHERE.get(action.scope) or ("test_analysis_tabs.py" if action.id in WITH_WORK else None)


def test_every_action_has_a_scenario() -> None:
    here = {action.id for action in ACTIONS if _has_tests_of_its_own(action) is None}
    assert set(SCENARIOS) == here


@pytest.mark.parametrize("action", [one for one in ACTIONS if _has_tests_of_its_own(one)], ids=lambda one: one.id)
def test_keys_tested_elsewhere_are_pressed_there(action: Action) -> None:
    text = (Path(__file__).parent / (_has_tests_of_its_own(action) or "")).read_text()
    pressed = [rf'"[^"\n]*{key}[^"\n]*"' if key.isdigit() else re.escape(f'"{key}"') for key in action.keys]
    assert any(re.search(one, text) for one in pressed), f"{action.id} is never pressed"


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("action", "key"),
    [
        pytest.param(action, key, id=f"{action.id}-{key}")
        for action in ACTIONS
        if action.id in SCENARIOS
        for key in action.keys
    ],
)
async def test_a_key_does_what_its_action_says(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: Action, key: str
) -> None:
    monkeypatch.setattr("etui.runner.start.ensure_runner", lambda path: None)
    monkeypatch.setattr("etui.tui.model_summary.pane.summarize", lambda request, stopped: made_up())
    monkeypatch.setattr("etui.tui.screens.diagram.model_graph", lambda request, method, stopped: residual())
    monkeypatch.chdir(tmp_path)
    fill(database, make_documents(COUNT))
    scenario = SCENARIOS[action.id]
    async with opened(make_app(database)) as pilot:
        if scenario.first is not None:
            await scenario.first(pilot)
        for one in scenario.keys:
            await pilot.press(one)
            await settled(pilot) if _bench_only(pilot) else await pilot.pause()
        assert not scenario.holds(pilot), "it is so before the key is pressed"
        await pilot.press(key)
        await until(pilot, lambda: scenario.holds(pilot))
