"""The compare screen by keyboard alone: words as on the command line, figures, pictures, and every key it has."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from etui.actions import ACTIONS
from etui.config import Config
from etui.events import Event, utc_now
from etui.results import RunDocument
from etui.spec import SessionSpec
from etui.store import Store
from etui.tui.compare.charts import VIEWS, ComparePictures
from etui.tui.compare.loader import Outcome, outcome
from etui.tui.compare.metrics_table import MetricsTable
from etui.tui.compare.selection import MOST_RUNS
from etui.tui.compare.verdict_table import VerdictTable
from etui.tui.compare.verdicts import VerdictView
from etui.tui.database import Database
from etui.tui.screens.compare import CompareScreen
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.details import DetailsScreen
from etui.tui.screens.duel_dialog import DuelDialog
from etui.tui.screens.equivalence_margin import MarginDialog
from etui.tui.screens.help import HelpScreen
from etui.tui.screens.menu import MenuDialog
from etui.tui.screens.report import ReportDialog
from etui.tui.screens.trend import TrendScreen
from etui.tui.widgets.combo import Combo
from etui.tui.widgets.cycle import Cycle
from etui.tui.widgets.form_row import FormRow
from etui.tui.widgets.progress_line import ProgressLine
from etui.wording.comparison_set import Compared
from tests.analysis.comparisons import measured
from tests.documents import MODEL, make_evaluation, make_spec, with_evaluation
from tests.facts import lacking
from tests.tui.benches import app_of, bench_table, fill, make_app, opened
from tests.tui.comparing import (
    BASE,
    FAILED,
    FP16,
    INT8,
    OPENVINO,
    OTHER_MODEL,
    OTHER_THREADS,
    SUMMARY,
    QueuedDuels,
    not_comparable,
    queued_duels,
    variants,
)
from tests.tui.hosts import drawn_rows, notices, type_text, until, work_done

pytestmark = pytest.mark.asyncio


def screen_of(pilot: Pilot[Any]) -> CompareScreen:
    """The compare screen on top."""
    assert isinstance(pilot.app.screen, CompareScreen)
    return pilot.app.screen


def displayed(pilot: Pilot[Any]) -> str:
    """All the words it says."""
    return screen_of(pilot).query_one(VerdictView).text


def all_sentences(pilot: Pilot[Any]) -> str:
    """The sentences about all runs, which the screen shows for the run under the cursor."""
    found = screen_of(pilot).found
    assert found is not None
    return "\n".join(" ".join(lines) for lines in found.sentences)


def verdicts(pilot: Pilot[Any]) -> VerdictTable:
    """The table of verdicts."""
    return screen_of(pilot).query_one(VerdictTable)


def verdict_rows(pilot: Pilot[Any]) -> list[str]:
    """The rows of the table of verdicts."""
    return drawn_rows(verdicts(pilot))


def title(pilot: Pilot[Any]) -> str:
    """The line at the top."""
    return str(screen_of(pilot).query_one("#compare-title", Static).content)


def figures(pilot: Pilot[Any]) -> MetricsTable:
    """The table."""
    return screen_of(pilot).query_one(MetricsTable)


def names(pilot: Pilot[Any]) -> list[str]:
    """The names of the metrics that are shown."""
    return [re.split(r"  +", row.strip())[0] for row in drawn_rows(figures(pilot))]


def pictures(pilot: Pilot[Any]) -> ComparePictures:
    """The pane of pictures."""
    return screen_of(pilot).query_one(ComparePictures)


async def compared(pilot: Pilot[Any]) -> None:
    """Wait until what was asked for last is shown."""
    await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
    await work_done(pilot)
    await until(pilot, lambda: screen_of(pilot).found is not None)
    await pilot.pause()


@asynccontextmanager
async def comparing(
    database: Path,
    documents: Sequence[RunDocument],
    *,
    ids: Sequence[str] = (),
    base: str | None = BASE,
    size: tuple[int, int] = (120, 40),
) -> AsyncIterator[Pilot[Any]]:
    """The screen over the bench, comparing these runs with the first."""
    fill(database, documents)
    async with opened(make_app(database), size) as pilot:
        wanted = list(ids) or [document.id for document in documents]
        pilot.app.push_screen(CompareScreen(Database(database), wanted, baseline=base))
        await compared(pilot)
        yield pilot


@pytest.mark.slow
async def test_marked_runs_are_compared_by_key_in_the_words_of_the_command_line(database: Path) -> None:
    fill(database, variants())
    async with opened(make_app(database)) as pilot:
        table = bench_table(pilot)
        table.go_to(BASE)
        await work_done(pilot)
        await pilot.press("p", "asterisk")
        await until(pilot, lambda: len(table.marked) == 4)
        await pilot.press("c")
        await compared(pilot)
        assert screen_of(pilot).base == BASE
        found = screen_of(pilot).found
        assert found is not None
        base, others = variants()[0], {one.id: one for one in variants()}
        ids = [one.id for one in found.compared.others]
        wanted = Compared.between(base, [others[one] for one in ids], margin=0.02, force=False)
        for lines in wanted.sentences():
            assert " ".join(lines) in displayed(pilot)
            await pilot.press("j")
        assert not lacking(title(pilot), "3 runs", "2 faster", "1 equivalent")


@pytest.mark.slow
async def test_the_verdicts_have_a_row_for_each_run_with_its_interval(database: Path) -> None:
    async with comparing(database, [*variants(), not_comparable()[0]]) as pilot:
        heading = verdicts(pilot).render_line(0).text
        base, *rows = verdict_rows(pilot)
        assert not lacking(heading, "ratio", "verdict") and not lacking(base, "fp32/xnnpack", "baseline", "●")
        int8 = next(row for row in rows if "int8/xnnpack" in row)
        assert not lacking(int8, "5.00", "3.21x", "3.17 to 3.24", "●", "faster")
        threads = next(row for row in rows if "not comparable" in row)
        assert not lacking(threads, "threads", "2 and 1") and "●" not in threads


@pytest.mark.slow
async def test_both_tables_have_the_same_run_under_the_cursor(database: Path) -> None:
    async with comparing(database, variants()) as pilot:
        for key, run in (("j", OPENVINO), ("down", FP16), ("k", OPENVINO), ("g", BASE), ("G", FP16), ("h", OPENVINO)):
            await pilot.press(key)
            await pilot.pause()
            row = verdicts(pilot).row
            assert row is not None and (row.run, figures(pilot).run) == (run, run), key
            assert row.name in displayed(pilot)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40), (200, 60)])
async def test_all_parts_fit_the_terminal(database: Path, size: tuple[int, int]) -> None:
    async with comparing(database, [*variants(), *not_comparable()], size=size) as pilot:
        for _ in range(2):
            parts = [part for part in screen_of(pilot).children if part.display and part.region.height]
            assert sum(part.outer_size.height for part in parts) == size[1]
            assert screen_of(pilot).max_scroll_y == 0
            if screen_of(pilot).has_class("-zoomed"):
                assert pictures(pilot).size.height >= 4
            else:
                assert verdicts(pilot).size.height >= 4 and figures(pilot).size.height >= 2
            await pilot.press("z")
            await pilot.pause()


@pytest.mark.slow
@pytest.mark.parametrize(("size", "count"), [((80, 24), 3), ((120, 40), 6)])
async def test_the_columns_of_metrics_fit(database: Path, size: tuple[int, int], count: int) -> None:
    runs = [measured(f"{number:012x}", seed=number, median=8.0 + number, drift_sd=0) for number in range(6)][:count]
    async with comparing(database, runs, base=runs[0].id, size=size) as pilot:
        median = next(row for row in drawn_rows(figures(pilot)) if "median ms" in row)
        assert len(re.findall(r"[+-]\d[\d.]* %", median)) == count - 1


@pytest.mark.slow
async def test_without_a_baseline_the_run_under_the_cursor_is_the_base(database: Path) -> None:
    fill(database, variants())
    async with opened(make_app(database)) as pilot:
        table = bench_table(pilot)
        await pilot.press("asterisk")
        await until(pilot, lambda: len(table.marked) == 4)
        table.go_to(OPENVINO)
        await work_done(pilot)
        await pilot.press("c")
        await compared(pilot)
        assert screen_of(pilot).base == OPENVINO


@pytest.mark.slow
async def test_figures_scroll_and_show_what_differs_or_everything(database: Path) -> None:
    async with comparing(database, variants()) as pilot:
        table = figures(pilot)
        lines = drawn_rows(table)
        median = next(line for line in lines if "median ms" in line)
        assert "16.1" in median and "-68.8 %" in median and "±" in median and "★" in median
        assert "samples" not in names(pilot) and "size MB" in names(pilot)
        await pilot.press("o")
        table.focus()
        assert "samples" in names(pilot) and "all" in str(table.border_title)
        await pilot.press("G")
        assert table.scroll_offset.y == table.max_scroll_y > 0
        await pilot.press("g", "j", "j", "k")
        assert table.scroll_offset.y == 1
        await pilot.press("o")
        assert "samples" not in names(pilot)


@pytest.mark.slow
async def test_the_cursor_goes_over_the_runs_and_opens_details_and_trend(database: Path) -> None:
    async with comparing(database, variants(), size=(60, 24)) as pilot:
        assert figures(pilot).run == INT8
        await pilot.press("l", "right")
        assert figures(pilot).run == FP16 and "left" in figures(pilot).render_line(0).text
        await pilot.press("h", "left", "left", "left")
        assert figures(pilot).run == BASE
        await pilot.press("l", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrendScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, CompareScreen))


@pytest.mark.slow
async def test_another_base_turns_the_verdict_and_keeps_the_other_colours(database: Path) -> None:
    async with comparing(database, variants()) as pilot:
        before = {one.series.name: one.slot for one in pictures(pilot)._overlaid}
        await pilot.press("p")
        await compared(pilot)
        assert screen_of(pilot).base == INT8
        assert re.search(r"fp32/xnnpack [^.]* 3\.21 [^.]*int8/xnnpack", all_sentences(pilot))
        assert "baseline" in displayed(pilot)
        after = {one.series.name: one.slot for one in pictures(pilot)._overlaid}
        assert after["int8/xnnpack"] == 0 == before["fp32/xnnpack"]
        assert {name: slot for name, slot in after.items() if name.endswith(("openvino", "fp16/xnnpack"))} == {
            name: slot for name, slot in before.items() if name.endswith(("openvino", "fp16/xnnpack"))
        }


@pytest.mark.slow
async def test_runs_are_dropped_and_taken_back(database: Path) -> None:
    async with comparing(database, variants()) as pilot:
        await pilot.press("x")
        await compared(pilot)
        assert "int8/xnnpack" not in all_sentences(pilot) and "1 excluded" in title(pilot)
        assert figures(pilot).run == OPENVINO
        await pilot.press("u")
        await compared(pilot)
        assert "int8/xnnpack" in all_sentences(pilot) and "excluded" not in title(pilot)
        await pilot.press("h", "h", "h", "x")
        assert screen_of(pilot).base == BASE and figures(pilot).run == BASE


@pytest.mark.slow
async def test_the_margin_is_asked_for_and_decides(database: Path) -> None:
    async with comparing(database, variants()[::3], ids=[BASE, FP16]) as pilot:
        assert "is as fast as" in displayed(pilot)
        await pilot.press("m")
        await until(pilot, lambda: isinstance(pilot.app.screen, MarginDialog))
        await type_text(pilot, "abc")
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, MarginDialog) and pilot.app.screen.query_one(FormRow).problem
        await pilot.press("backspace", "backspace", "backspace")
        await type_text(pilot, "0.01")
        await pilot.press("enter")
        await compared(pilot)
        assert "margin 0.01 %" in title(pilot)
        assert "is as fast as" not in displayed(pilot)


@pytest.mark.slow
async def test_what_cannot_be_compared_says_why_and_force_keeps_the_reasons(database: Path) -> None:
    async with comparing(database, [variants()[0], *not_comparable()]) as pilot:
        words = all_sentences(pilot)
        assert not lacking(words, "threads", "2 and 1", "model", FAILED, "failed", SUMMARY, "summary")
        assert "4 not comparable" in title(pilot)
        median = next(line for line in drawn_rows(figures(pilot)) if "median" in line)
        assert "%" not in median and "★" not in median
        await pilot.press("4")
        assert "not comparable" in pictures(pilot).render().plain.replace("\n", " ")  # type: ignore[union-attr]
        await pilot.press("f")
        await compared(pilot)
        assert not lacking(title(pilot), "forced", "2 not comparable")
        assert not lacking(displayed(pilot), "threads", "2 and 1")
        await pilot.press("f")
        await compared(pilot)
        assert "forced" not in title(pilot)


@pytest.mark.slow
async def test_one_run_alone_says_what_it_is_against_eager(database: Path) -> None:
    async with comparing(database, variants(), ids=[BASE]) as pilot:
        assert "There is only one run" in displayed(pilot) and "eager PyTorch" in displayed(pilot)
        assert "median ms" in names(pilot)
        await pilot.press("D")
        assert isinstance(pilot.app.screen, CompareScreen)


@pytest.mark.slow
async def test_a_deleted_baseline_and_deleted_runs_are_named(database: Path) -> None:
    async with comparing(database, variants(), ids=[BASE, INT8, "0123456789ab"], base="777777777777") as pilot:
        assert not lacking(displayed(pilot), "777777", "fp32/xnnpack", "012345")
        assert screen_of(pilot).base == BASE


@pytest.mark.slow
async def test_no_run_left_is_said(database: Path) -> None:
    fill(database, variants())
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(CompareScreen(Database(database), ["777777777777"]))
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
        await until(
            pilot, lambda: screen_of(pilot).query(VerdictView) and "no longer in the database" in displayed(pilot)
        )
        await pilot.press(*"pxumfoy12345Lz", "escape", "escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, CompareScreen))


@pytest.mark.slow
async def test_a_live_run_is_compared_again_as_its_blocks_come(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etui.tui.screens.compare._REFRESH_S", 0.05)
    done = variants()[0]
    fill(database, [done])
    spec: SessionSpec = make_spec(("int8", "xnnpack"))
    with Store.open(database) as store:
        queued = store.add_session(spec, model=MODEL, box="bench-1")
        (live, _), *_ = queued.runs
        async with opened(make_app(database)) as pilot:
            pilot.app.push_screen(CompareScreen(Database(database), [BASE, live], baseline=BASE))
            await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen) and screen_of(pilot).found)
            assert "provisional" in displayed(pilot) and "live" in title(pilot)
            store.request_cancel([live])
            await until(pilot, lambda: "provisional" not in displayed(pilot))
            assert "cancelled" in displayed(pilot)


@pytest.mark.slow
async def test_pictures_by_key(database: Path) -> None:
    async with comparing(database, variants()) as pilot:
        drawn = set()
        for number, view in enumerate(("histogram", "ecdf", "blocks", "accuracy", "size"), 1):
            await pilot.press(str(number))
            assert pictures(pilot).view == view
            drawn.add(cast("Any", pictures(pilot).render()).plain)
        assert len(drawn) == 5
        assert not lacking(cast("Any", pictures(pilot).render()).plain, "int8/xnnpack (5.00 ms, 11.7 MB)")
        was = pictures(pilot).is_log
        await pilot.press("L")
        assert pictures(pilot).is_log is not was
        await pilot.press("z")
        assert not figures(pilot).display
        await pilot.press("escape")
        assert figures(pilot).display


async def test_categories_that_lost_most_and_changed_images_are_views(database: Path) -> None:
    base, int8, *others = variants()
    runs = [
        with_evaluation(base, make_evaluation(drop=0.05, changed=0)),
        with_evaluation(int8, make_evaluation(drop=0.25, changed=12)),
        others[0],
    ]
    async with comparing(database, runs) as pilot:
        # Without a sweep, its key opens no other view.
        await pilot.press("6", "8")
        assert pictures(pilot).view == "categories"
        heading, columns, first, *rest = cast("Any", pictures(pilot).render()).plain.splitlines()
        assert not lacking(heading, "AP", "int8/xnnpack against fp32/xnnpack", "1 of 3")
        assert columns.split()[0] == "category" and first.split()[:5] == ["cat", "10", "75.0", "55.0", "-20.0"]
        assert [line.split()[0] for line in rest] == ["dog", "tree"]
        await pilot.press("9")
        lines = cast("Any", pictures(pilot).render()).plain.splitlines()
        assert "12 of 40" in lines[0] and not lacking(lines[2], "val/000.jpg", "cat, dog")
        assert "more" in lines[-1]
        assert not lacking(all_sentences(pilot), "cat (-20.0)")
        await pilot.press("h")
        assert "No image" in cast("Any", pictures(pilot).render()).plain
        await pilot.press("l", "l")
        # The third run was not evaluated: the view stays for the others.
        assert "not both evaluated" in " ".join(cast("Any", pictures(pilot).render()).plain.split())
        await pilot.press("p", "9")
        assert pictures(pilot).view in VIEWS
        assert any("labelled images" in notice.message for notice in notices(pilot.app))


@pytest.mark.slow
async def test_copying_writes_words_and_figures(database: Path, tmp_path: Path) -> None:
    async with comparing(database, variants()) as pilot:
        await pilot.press("y")
        copied = (tmp_path / "state" / "copied-runs.md").read_text()
        heading = next(line for line in copied.splitlines() if line.startswith("## "))
        assert not lacking(heading, "resnet18", "fp32/xnnpack")
        assert "times as fast as fp32/xnnpack" in copied and "Pareto" in copied and "| median ms " in copied


@pytest.mark.slow
async def test_a_report_is_written_where_it_is_asked_for_and_never_over_a_file(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with comparing(database, variants()) as pilot:
        for kind, beginning in (("html", "<!doctype html>"), ("md", "# ")):
            page = tmp_path / f"page.{kind}"
            page.write_text("mine")
            await pilot.press("e")
            await until(pilot, lambda: isinstance(pilot.app.screen, ReportDialog))
            path = pilot.app.screen.query_one(Combo)
            assert path.value == str(tmp_path / "etui-report.html")
            path.value = str(tmp_path)
            await pilot.press("enter")
            assert "a report is .html or .md" in str(cast("ReportDialog", pilot.app.screen).path_row.problem)
            path.value = str(page)
            await pilot.press("enter")
            await until(pilot, lambda: not isinstance(pilot.app.screen, ReportDialog))
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(pilot.app.screen, ReportDialog))
            assert page.read_text() == "mine"
            await pilot.press("enter")
            await until(pilot, lambda: not isinstance(pilot.app.screen, ReportDialog))
            await pilot.press("right", "enter")
            await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
            assert page.read_text().startswith(beginning) and "times as fast as fp32/xnnpack" in page.read_text()


@pytest.fixture
def duels(monkeypatch: pytest.MonkeyPatch) -> QueuedDuels:
    """The duels that are queued; their programs count as available."""
    return queued_duels(monkeypatch)


async def start_duel(pilot: Pilot[Any], *keys: str) -> None:
    """Start a duel with the key, and type ``keys`` in its dialog."""
    await pilot.press("D")
    await until(pilot, lambda: isinstance(pilot.app.screen, DuelDialog))
    await pilot.press(*keys)


@pytest.mark.slow
async def test_a_duel_asks_with_blocks_and_time_and_can_be_declined(database: Path, duels: QueuedDuels) -> None:
    async with comparing(database, variants(), size=(80, 24)) as pilot:
        before = screen_of(pilot)
        await start_duel(pilot)
        frame = pilot.app.screen.query_one(".dialog--frame")
        words = "\n".join(str(static.content) for static in frame.query(Static))
        assert not lacking(words, BASE[:6], "fp32/xnnpack", INT8[:6], "int8/xnnpack")
        preset = pilot.app.screen.query_one(Cycle)
        assert preset.value == "rigorous" and not lacking(preset.render().plain, "20 blocks of 2 s", "about", "min")
        await pilot.press("escape")
        assert pilot.app.screen is before and duels == []


@pytest.mark.slow
async def test_a_duel_is_queued_followed_and_found_again(database: Path, duels: QueuedDuels) -> None:
    async with comparing(database, variants()) as pilot:
        before = screen_of(pilot)
        await start_duel(pilot, "shift+tab", "shift+tab", "left", "left", "tab", "tab", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen) and pilot.app.screen is not before)
        await compared(pilot)
        assert [(first, second, options.preset) for first, second, options in duels] == [(BASE, INT8, "quick")]
        assert "2 runs are not finished" in displayed(pilot)
        assert "No block" in cast("Any", pictures(pilot).render()).plain.replace("\n", " ")
        runs = screen_of(pilot).base, figures(pilot).run
        await pilot.press("escape")
        assert pilot.app.screen is before
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen) and pilot.app.screen is not before)
        await compared(pilot)
        assert (screen_of(pilot).base, figures(pilot).run) == runs and len(duels) == 1


@pytest.mark.slow
async def test_a_duel_shows_its_progress_and_is_stopped_after_confirmation(
    database: Path, duels: QueuedDuels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etui.tui.screens.compare._REFRESH_S", 0.05)
    async with comparing(database, variants()) as pilot:
        before = screen_of(pilot)
        await start_duel(pilot, "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen) and pilot.app.screen is not before)
        await compared(pilot)
        progress = screen_of(pilot).query_one(ProgressLine)
        assert not progress.display
        with Store.open(database) as store:
            session = store.summary(str(screen_of(pilot).base)).session
            store.add_event(session, Event(kind="stage", message="measuring", stage="measure", at=utc_now()))
            await until(pilot, lambda: progress.display)
            assert "measuring" in str(progress.render()) and progress.region.height == 1
            await pilot.press("x")
            await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
            await pilot.press("escape")
            assert len(store.live_run_ids()) == 2
            await pilot.press("x")
            await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
            await pilot.press("right", "enter")
            await until(pilot, lambda: not store.live_run_ids())
        await until(pilot, lambda: not progress.display and "not finished" not in displayed(pilot))


@pytest.mark.slow
async def test_a_duel_that_cannot_be_says_why(database: Path) -> None:
    documents = [*variants()[:1], *not_comparable()[2:3]]
    async with comparing(database, documents) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: len(notices(pilot.app)) > 0)
        assert isinstance(pilot.app.screen, CompareScreen)


@pytest.mark.slow
async def test_different_models_are_named_and_stand_side_by_side(database: Path) -> None:
    documents = [variants()[0], not_comparable()[1]]
    async with comparing(database, documents, ids=[BASE, OTHER_MODEL]) as pilot:
        assert "gpt2 fp32/xnnpack" in displayed(pilot) and "models differ" in displayed(pilot)
        assert "model" in names(pilot) and OTHER_THREADS not in displayed(pilot)


async def test_too_many_marked_runs_are_refused(database: Path) -> None:
    fill(database, variants())
    async with opened(make_app(database)) as pilot:
        bench_table(pilot).marked = {f"{number:012x}" for number in range(MOST_RUNS + 1)}
        await pilot.press("c")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, CompareScreen)


@pytest.mark.slow
async def test_the_menu_lists_what_can_be_done_with_the_run_under_the_cursor(database: Path) -> None:
    async with comparing(database, variants()) as pilot:
        await pilot.press("M")
        await until(pilot, lambda: isinstance(pilot.app.screen, MenuDialog))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrendScreen))


@pytest.mark.slow
async def test_every_key_of_the_screen_has_a_method_and_is_in_the_palette(database: Path) -> None:
    async with comparing(database, variants()) as pilot:
        wanted = [action for action in ACTIONS if action.scope == "compare"]
        assert wanted and all(hasattr(CompareScreen, f"action_{action.name}") for action in wanted)
        offered = {entry.title for entry in app_of(pilot).palette_entries()}
        assert {action.title for action in wanted} <= offered


@pytest.mark.slow
async def test_the_screen_stays_live_while_hundreds_of_runs_are_compared(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = variants()
    many = []
    for number in range(150):
        document = measured(f"{number:012x}", seed=number, session_id=f"5e55{number:08x}")
        document.flags = []
        many.append(document)
    working, go_on = threading.Event(), threading.Event()

    def slow(*arguments: Any, **options: Any) -> Outcome:
        working.set()
        assert go_on.wait(20)
        return outcome(*arguments, **options)

    monkeypatch.setattr("etui.tui.compare.loader.outcome", slow)
    fill(database, [*first, *many])
    async with opened(make_app(database)) as pilot:
        screen = CompareScreen(Database(database), [BASE, *(document.id for document in many)], baseline=BASE)
        pilot.app.push_screen(screen)
        await until(pilot, working.is_set)
        # Nothing waits for the comparison: help opens and closes while it is under way.
        await pilot.press("question_mark")
        assert [type(one) for one in pilot.app.screen_stack[-2:]] == [CompareScreen, HelpScreen]
        await pilot.press("escape")
        assert pilot.app.screen_stack[-1] is screen and screen.found is None
        go_on.set()
        await until(pilot, lambda: screen.found is not None)
        assert "150 runs" in title(pilot)
        await pilot.press(*"lllll")
        assert figures(pilot).run == many[5].id
        assert "6 of 151 runs" in str(pictures(pilot).border_subtitle)


async def test_the_setting_for_ascii_applies_to_tables_and_charts(database: Path) -> None:
    fill(database, variants())
    async with opened(make_app(database, config=Config(ascii=True))) as pilot:
        pilot.app.push_screen(CompareScreen(Database(database), [one.id for one in variants()], baseline=BASE))
        await compared(pilot)
        for part in (verdicts(pilot), figures(pilot)):
            assert all(row.isascii() for row in drawn_rows(part))
        assert cast("Any", pictures(pilot).render()).plain.isascii()


@pytest.mark.slow
async def test_runs_of_several_shapes_have_charts_over_the_shape_and_others_do_not(database: Path) -> None:
    async with comparing(database, variants()) as pilot:
        await pilot.press("6")
        assert pictures(pilot).place == 0 and "6 " not in str(pictures(pilot).border_title)
    runs = variants()[:3]
    for batch, document in zip((1, 2, 4), runs, strict=True):
        document.batch, document.precision, document.delegate = batch, "fp32", "xnnpack"
        document.variant = f"fp32/xnnpack batch {batch}"
    database.unlink()
    async with comparing(database, runs) as pilot:
        await pilot.press("6")
        drawn = pictures(pilot).render().plain  # type: ignore[union-attr]
        assert not lacking(drawn, "over batch", "fp32/xnnpack", "eager", "1", "2", "4")
        await pilot.press("7")
        assert "ms per item" in pictures(pilot).render().plain  # type: ignore[union-attr]
