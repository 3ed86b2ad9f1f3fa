"""The details screen as a user meets it: tabs by key, scrolling, notes, copying, and a run that is still live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input, Static, TextArea

from etui.actions import ACTIONS
from etui.errors import EtuiError
from etui.events import Event
from etui.results import CallTiming, ModelInfo, RunDocument
from etui.store import Store
from etui.tui.database import Database
from etui.tui.details import loader
from etui.tui.details.tab_bar import TabBar
from etui.tui.details.table_tab import TableTab
from etui.tui.details.text_view import Paper
from etui.tui.error_text import to_text
from etui.tui.screen_host import Severity
from etui.tui.screens.details import TABS, DetailsScreen
from etui.tui.themes import THEMES
from etui.tui.widgets.chart_pane import ChartPane
from etui.tui.widgets.json_view import JsonView
from etui.tui.widgets.log_pane import LogPane
from etui.tui.widgets.log_view import LogView
from etui.tui.widgets.progress_line import ProgressLine
from tests.documents import MODEL, make_block, make_document, make_spec
from tests.facts import lacking
from tests.tui.hosts import drawn_lines, notices, type_text, until

pytestmark = pytest.mark.asyncio

RUN = "bbbbbbbbbbb2"


class DetailsHost(App[None]):
    """The details of one run over nothing."""

    def __init__(self, database: Path, run_id: str = RUN) -> None:
        super().__init__()
        for one in THEMES:
            self.register_theme(one)
        self.theme = "etui-dark"
        self.database = Database(database)
        self.details = DetailsScreen(self.database, run_id)
        self.closed = False

    def on_mount(self) -> None:
        """Open the details."""

        def close(_nothing: None) -> None:
            self.closed = True

        self.push_screen(self.details, close)

    def say(self, message: str, severity: Severity = "information", *, title: str = "", keep: bool = False) -> None:
        """Show a notice, as the app does."""
        self.notify(message, title=title, severity=severity, markup=False)

    def complain(self, error: EtuiError, title: str = "") -> None:
        """Report an error, as the app does."""
        self.say(to_text(error), "error", title=title)

    def page(self) -> str:
        """What the open tab says: its papers, or its words and the lines of its rows that are seen."""
        page = self.details.query_one(f"#tab-{self.details.tab.lower()}")
        if isinstance(page, TableTab) and page.table is not None:
            words = [str(line) for line in (*page.view.above, *page.view.below)]
            return "\n".join([*words, *self.lines()])
        return "\n".join(str(paper.render()) for paper in page.query(Paper))

    def lines(self) -> list[str]:
        """The lines of the open tab's rows as they are seen."""
        return drawn_lines(self.details.query_one(f"#tab-{self.details.tab.lower()}", TableTab).view)

    def heading(self) -> str:
        """The line above the tabs."""
        return str(self.details.query_one("#details-title", Static).render())


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is looked at often enough for a test."""
    monkeypatch.setattr(loader, "LOOK_S", 0.02)


@pytest.fixture
def stored(database: Path) -> Path:
    """A database with a run and the one before it, measured with another torch."""
    before = make_document("aaaaaaaaaaa1", session_id="5e5510000001", created_at="2026-11-19T10:00:00.000Z")
    assert before.environment is not None
    versions = {"torch": "2.12.0", "executorch": "1.5.1"}
    before.environment = msgspec.structs.replace(before.environment, versions=versions)
    with Store.open(database) as store:
        store.save_document(before)
        store.save_document(make_document(RUN, session_id="5e5510000002"))
    return database


async def opened(pilot: Pilot[Any], tab: str = "Summary") -> DetailsHost:
    """The host once the run was read, with this tab open."""
    host = pilot.app
    assert isinstance(host, DetailsHost)
    await until(pilot, lambda: host.details.document is not None)
    for _ in range(TABS.index(tab)):
        await pilot.press("tab")
    await pilot.pause()
    return host


async def test_the_summary_begins_with_the_verdict(stored: Path) -> None:
    async with DetailsHost(stored).run_test(size=(120, 40)) as pilot:
        host = await opened(pilot)
        first = host.page().split("\n")[0]
        assert not lacking(first, "fp32/xnnpack", "1.25", "eager PyTorch", "95 %", "1.10", "1.40")
        for words in ("Figures", "median latency", "! spread: the spread is 12 %", "a note", "tag"):
            assert words in host.page()
        assert "resnet18 fp32/xnnpack  ✓ done" in host.heading()


@pytest.mark.slow
@pytest.mark.parametrize("keys", [("tab", "shift+tab"), ("l", "h"), ("right", "left")])
async def test_tabs_go_round_both_ways(stored: Path, keys: tuple[str, str]) -> None:
    async with DetailsHost(stored).run_test(size=(120, 40)) as pilot:
        host = await opened(pilot)
        seen = []
        for _ in range(len(TABS) + 1):
            seen.append(host.details.tab)
            await pilot.press(keys[0])
        assert seen == [*TABS, "Summary"]
        await pilot.press(keys[1], keys[1])
        assert host.details.tab == "Model"


async def test_a_click_opens_a_tab(stored: Path) -> None:
    async with DetailsHost(stored).run_test(size=(120, 40)) as pilot:
        host = await opened(pilot)
        await pilot.click("TabBar", offset=(16, 0))
        assert host.details.tab == "Latency"


async def test_the_tab_that_a_sentence_names_opens_by_a_click_on_it_and_by_its_digit(stored: Path) -> None:
    async with DetailsHost(stored).run_test(size=(120, 40)) as pilot:
        host = await opened(pilot)
        lines = [strip.text for strip in host.screen._compositor.render_strips()]
        for name in ("Accuracy", "Artifact"):
            await pilot.press("1")
            link = f"{TABS.index(name) + 1} {name}]"
            row = next(number for number, line in enumerate(lines) if link in line)
            await pilot.click(offset=(lines[row].index(link) + 1, row))
            assert host.details.tab == name
            await pilot.press("1", link[0])
            assert host.details.tab == name


@pytest.mark.slow
async def test_the_open_tab_is_in_sight_in_a_narrow_terminal(stored: Path) -> None:
    async with DetailsHost(stored).run_test(size=(40, 10)) as pilot:
        host = await opened(pilot)
        for tab in TABS:
            name = "Env" if tab == "Environment" else tab
            assert f" {name} " in str(host.details.query_one(TabBar).render())[:40]
            await pilot.press("tab")
        await pilot.press("shift+tab")
        place = str(host.details.query_one(TabBar).render()).index(" Log ")
        await pilot.click("TabBar", offset=(place + 2, 0))
        assert host.details.tab == "Log"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tab", "words"),
    [
        ("Latency", ("95 % interval", "16.00", "20.00", "Blocks", "unsettled", "p99 needs 1,000")),
        ("Latency", ("copy inputs in", "1.98 ms", "fixed call cost")),
        ("Accuracy", ("✓ Its outputs", "PASS", "Lowering", "logits", "✗ Output logits of input 2: not finite")),
        ("Environment", ("2 differences", "2.12.0", "2.13.0", "bench-1", "avx512_bf16")),
        ("Delegation", ("97 %", "68 of 70 nodes", "one partition", "mean", "peak RSS", "press P")),
        ("Artifact", ("46.7 MB", "lower", "cached")),
    ],
)
async def test_each_page_has_its_facts(database: Path, stored: Path, tab: str, words: tuple[str, ...]) -> None:
    document = make_document(RUN, session_id="5e5510000002")
    document.blocks[1].warmup_settled = False
    document.threads = 1
    document.call = CallTiming(inputs_ms=0.02, execute_ms=1.984, outputs_ms=0.01, fixed_ms=0.004)
    with Store.open(database) as store:
        store.delete_runs([RUN])
        store.save_document(document)
    async with DetailsHost(stored).run_test(size=(120, 40)) as pilot:
        host = await opened(pilot, tab)
        page = host.page()
        assert [word for word in words if word not in page] == []


@pytest.mark.slow
@pytest.mark.parametrize("tab", ["Operators", "Delegation", "Gap"])
async def test_what_reads_executorch_programs_is_not_offered_for_another_runtime(database: Path, tab: str) -> None:
    document = make_document(RUN, delegate="onnxruntime")
    assert document.artifact is not None
    document.artifact = msgspec.structs.replace(document.artifact, kind="onnx")
    document.delegation = document.profile = document.gap = None
    with Store.open(database) as store:
        store.save_document(document)
    async with DetailsHost(database).run_test(size=(120, 40)) as pilot:
        page = (await opened(pilot, tab)).page()
        assert "not available for ONNX Runtime programs" in page
        assert "Press P" not in page


@pytest.mark.slow
async def test_the_log_and_the_json_are_whole(stored: Path) -> None:
    async with DetailsHost(stored).run_test(size=(120, 40)) as pilot:
        host = await opened(pilot, "Log")
        assert host.details.query_one(LogView).lines.matches("measuring fp32")
        await pilot.press("tab")
        view = host.details.query_one(JsonView)
        await until(pilot, lambda: view.line_count() > 0)
        text = "\n".join(view._rows)
        assert msgspec.json.decode(text, type=RunDocument) == host.details.document


@pytest.mark.slow
@pytest.mark.parametrize("tab", ["Summary", "Latency", "Accuracy", "Delegation", "Environment", "Log", "JSON"])
async def test_every_tab_scrolls_by_the_same_keys(stored: Path, tab: str) -> None:
    async with DetailsHost(stored).run_test(size=(60, 14)) as pilot:
        host = await opened(pilot, tab)
        if tab == "JSON":
            await until(pilot, lambda: host.details.query_one(JsonView).line_count() > 0)
        await pilot.press("g")
        pane = host.focused
        assert pane is not None
        assert pane.scroll_offset.y == 0
        if pane.max_scroll_y < 3:
            assert tab == "Log"
            return
        await pilot.press("j", "j", "k")
        assert pane.scroll_offset.y == 1
        await pilot.press("G")
        assert pane.scroll_offset.y == pane.max_scroll_y
        await pilot.press("ctrl+u")
        assert pane.scroll_offset.y < pane.max_scroll_y
        await pilot.press("g")
        assert pane.scroll_offset.y == 0


async def test_chart_keys_open_the_chart(stored: Path) -> None:
    async with DetailsHost(stored).run_test(size=(80, 24)) as pilot:
        host = await opened(pilot)
        await pilot.press("v")
        assert host.details.tab == "Latency"
        await pilot.press("v", "v", "v")
        chart = host.details.query_one(ChartPane)
        assert chart.view == "trend"
        await pilot.pause()
        assert host.details.query_one("#tab-latency").region.contains_region(chart.region)


@pytest.mark.slow
async def test_digits_open_tabs_and_the_tab_bar_shows_them(stored: Path) -> None:
    async with DetailsHost(stored).run_test(size=(120, 40)) as pilot:
        host = await opened(pilot)
        for key, name in zip("2345678901I", (*TABS[1:-1], TABS[0], "Model"), strict=True):
            await pilot.press(key)
            assert host.details.tab == name
            assert f"{key} {name}" in str(host.details.query_one(TabBar).render())


async def test_log_keys_open_the_log(stored: Path) -> None:
    async with DetailsHost(stored).run_test(size=(80, 24)) as pilot:
        host = await opened(pilot)
        await pilot.press("ctrl+f")
        assert host.details.tab == "Log"
        await type_text(pilot, "hjkl")
        assert host.details.query_one(LogPane).query_one(Input).value == "hjkl"
        await pilot.press("escape")
        assert not host.closed
        await pilot.press("escape")
        await until(pilot, lambda: host.closed)


async def test_every_key_of_the_details_does_something(stored: Path) -> None:
    for action in ACTIONS:
        if action.scope == "details":
            assert hasattr(DetailsScreen, f"action_{action.name}")


async def test_a_note_is_saved_and_shown(stored: Path) -> None:
    async with DetailsHost(stored).run_test(size=(120, 40)) as pilot:
        host = await opened(pilot)
        await pilot.press("a")
        await until(pilot, lambda: bool(host.screen.query(TextArea)))
        host.screen.query_one(TextArea).text = "slower since the update"
        host.screen.query_one(Input).value = "odd, torch"
        host.screen.query_one(Input).focus()
        await pilot.press("enter")
        await until(pilot, lambda: "slower since the update" in host.page())
        assert "odd, torch" in host.page()
        with Store.open(stored) as store:
            assert store.summary(RUN).tags == ["odd", "torch"]


async def test_y_says_where_the_copy_went(stored: Path) -> None:
    async with DetailsHost(stored).run_test(size=(120, 40)) as pilot:
        host = await opened(pilot)
        await pilot.press("y")
        await until(pilot, lambda: len(notices(host)) == 1)


async def test_e_asks_where_to_write(stored: Path) -> None:
    async with DetailsHost(stored).run_test(size=(120, 40)) as pilot:
        host = await opened(pilot)
        await pilot.press("e")
        await until(pilot, lambda: host.screen is not host.details)


@pytest.mark.slow
async def test_a_live_run_fills_as_its_blocks_arrive(database: Path) -> None:
    with Store.open(database) as store:
        session = store.add_session(make_spec(("fp32", "xnnpack")), model=MODEL, box="bench-1")
        run_id = session.runs[0][0]
        async with DetailsHost(database, run_id).run_test(size=(120, 40)) as pilot:
            host = await opened(pilot)
            assert "queued" in host.page()
            store.set_status(run_id, "measuring")
            store.add_block(session.id, make_block("fp32/xnnpack", 0))
            await until(pilot, lambda: not lacking(host.page(), "measuring", "1 block"))
            store.add_event(session.id, Event(kind="block", message="block 1 of 3", run_id=run_id, stage="measure"))
            lines = host.details.query_one(LogView).lines
            progress = host.details.query_one("#details-progress", ProgressLine)
            store.add_event(
                session.id, Event(kind="progress", message="block 2 of 3", stage="measure", done=1, total=3, left_s=9)
            )
            await until(pilot, lambda: "block 2 of 3" in str(progress.render()) and progress.display)
            await until(pilot, lambda: lines.matches("block 1 of 3"))
            store.set_status(run_id, "failed", "out of memory")
            await until(pilot, lambda: "failed" in host.page())
            assert "out of memory" in host.page()
            assert len(lines.matches("block 1 of 3")) == 1
            assert not progress.display


async def test_reading_again_leaves_the_scroll_where_it_is(stored: Path) -> None:
    async with DetailsHost(stored).run_test(size=(80, 16)) as pilot:
        host = await opened(pilot)
        await pilot.press("j", "j", "j")
        with Store.open(stored) as store:
            store.annotate(RUN, note="another note")
        await until(pilot, lambda: "another note" in host.page())
        assert host.details.query_one("#tab-summary").scroll_offset.y == 3


@pytest.mark.slow
async def test_a_run_that_is_not_there_is_a_sentence(stored: Path) -> None:
    async with DetailsHost(stored, "nowhere").run_test(size=(80, 24)) as pilot:
        host = pilot.app
        assert isinstance(host, DetailsHost)
        await until(pilot, lambda: "nowhere" in host.page())


async def test_a_database_that_vanishes_is_told_once_and_what_was_read_stays(stored: Path) -> None:
    async with DetailsHost(stored).run_test(size=(80, 24)) as pilot:
        host = await opened(pilot)
        with Store.open(stored) as store:
            store.delete_runs([RUN])
        await until(pilot, lambda: len(notices(host)) == 1)
        assert "Figures" in host.page()


@pytest.mark.slow
@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("size", [(40, 10), (250, 70)])
async def test_any_size_and_any_name_will_do(database: Path, tab: str, size: tuple[int, int]) -> None:
    evil = "[b]m\x1b[31m\x07odel[/b]" * 9
    model = ModelInfo(name=evil, family="x", source="file", identity="i")
    document = make_document(RUN, model=model)
    document.error, document.note, document.status = evil, evil, "failed"
    with Store.open(database) as store:
        store.save_document(document)
    async with DetailsHost(database).run_test(size=size) as pilot:
        host = await opened(pilot, tab)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "\x1b" not in host.heading() and "[b]model[/b]" in host.heading()


@pytest.mark.slow
async def test_a_summary_only_run_has_pages_without_figures(database: Path) -> None:
    bare = RunDocument(
        etui_version="0",
        id=RUN,
        session=make_document().session,
        status="done",
        created_at="2026-11-20T10:00:00.000Z",
        model=MODEL,
        precision="fp32",
        delegate="xnnpack",
        preset="default",
        summary_only=True,
    )
    with Store.open(database) as store:
        store.save_document(bare)
    async with DetailsHost(database).run_test(size=(80, 24)) as pilot:
        host = await opened(pilot)
        for tab in TABS[:-3]:
            assert host.details.tab == tab
            assert host.page().strip()
            await pilot.press("tab")
