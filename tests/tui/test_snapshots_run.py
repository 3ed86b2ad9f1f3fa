"""Snapshots of the details screen, every tab at both sizes, and of the chart and log panes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from etui.events import Event
from etui.insight import Profile
from etui.results import Ratio
from etui.services.progress_state import SessionProgress
from etui.services.summarize import Request
from etui.store import Store
from etui.store.kept_peaks import keep
from etui.tui.details.table_tab import TableTab
from etui.tui.model_summary.pane import SummaryPane
from etui.tui.screens.details import TABS
from etui.tui.themes import THEMES
from etui.tui.widgets.chart_pane import ChartPane
from etui.tui.widgets.json_view import JsonView
from etui.tui.widgets.log_pane import LogPane
from tests.charts.series import EAGER, PROGRAM
from tests.documents import make_document
from tests.insights import look_inside
from tests.rooflines import net, peaks, side
from tests.tui.hosts import until
from tests.tui.summaries import make_summary
from tests.tui.test_details import RUN, DetailsHost

pytestmark = pytest.mark.slow

Compare = Callable[..., bool]
SIZES = [(80, 24), (120, 40)]

sizes = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")


def pictured_run() -> Any:
    """A run whose samples have a shape."""
    document = make_document(RUN, session_id="5e5510000002", precision="int8", median=4.96)
    for block, samples in zip(document.blocks, PROGRAM.blocks, strict=True):
        block.samples_ms = samples
    for block, samples in zip(document.eager_blocks, EAGER.blocks, strict=True):
        block.samples_ms = samples
    document.speedup = Ratio(value=4.8, ci95=(4.71, 4.91), verdict="faster", blocks=3)
    return look_inside(document)


@pytest.fixture(autouse=True)
def named_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The made-up run does not name a model that can be built."""
    monkeypatch.setattr("etui.services.summarize.request_of_run", lambda document, trust: Request("resnet18"))


@pytest.fixture
def stored(database: Path) -> Path:
    """A database with that run and one before it."""
    before = make_document(
        "aaaaaaaaaaa1", session_id="5e5510000001", precision="int8", median=5.3, created_at="2026-11-18T09:00:00.000Z"
    )
    assert before.environment is not None
    versions = {"torch": "2.12.0", "executorch": "1.5.1"}
    before.environment = msgspec.structs.replace(before.environment, versions=versions)
    with Store.open(database) as store:
        store.save_document(before)
        store.save_document(pictured_run())
    return database


@sizes
@pytest.mark.parametrize("tab", TABS)
def test_details(stored: Path, snap_compare: Compare, tab: str, size: tuple[int, int]) -> None:
    host = DetailsHost(stored)

    async def open_tab(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: host.details.document is not None)
        for _ in range(TABS.index(tab)):
            await pilot.press("tab")
        if tab == "JSON":
            await until(pilot, lambda: host.details.query_one(JsonView).line_count() > 0)
        if tab in ("Operators", "Gap", "Artifact", "Model"):
            rows = host.details.query_one(f"#tab-{tab.lower()}", TableTab)
            await until(pilot, lambda: rows.view.rows is not None)
            await pilot.press("j", *(["right"] if tab != "Gap" else []), "j")
        await pilot.pause()

    assert snap_compare(host, terminal_size=size, run_before=open_tab)


@sizes
def test_roofline(
    database: Path, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setattr("etui.tui.model_summary.pane.summarize", lambda request, stopped: net())
    keep(peaks())
    document = pictured_run()
    operators = side(conv="Convolution (NHWC, QC8) IGEMM", conv_ms=3.2, head_ms=0.3)
    operators = msgspec.structs.replace(operators, inference_ms=5.0, operators_ms=4.5, untraced_ms=4.9)
    document.profile = Profile(created_at="2026-11-21T02:00:00.000Z", threads=2, program=operators)
    with Store.open(database) as store:
        store.save_document(document)
    host = DetailsHost(database)

    async def open_tab(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: host.details.document is not None)
        await pilot.press("I")
        pane = host.details.query_one(SummaryPane)
        await until(pilot, lambda: pane.roofline is not None)
        await pilot.press("m", "j", "j", "j")
        await pilot.pause()

    assert snap_compare(host, terminal_size=size, run_before=open_tab)


@pytest.mark.parametrize("case", ["missing", "one by one", "eager"])
def test_operators(database: Path, snap_compare: Compare, case: str) -> None:
    document = pictured_run()
    if case == "missing":
        document.profile = None
    with Store.open(database) as store:
        store.save_document(document)
    host = DetailsHost(database)

    async def open_tab(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: host.details.document is not None)
        for _ in range(TABS.index("Operators")):
            await pilot.press("tab")
        view = host.details.query_one("#tab-operators", TableTab).view
        if case != "missing":
            await until(pilot, lambda: view.rows is not None)
        before = view.rows
        await pilot.press(*{"missing": [], "one by one": ["m", "m"], "eager": ["w"]}[case])
        if case != "missing":
            await until(pilot, lambda: view.rows is not before)
        await pilot.pause()

    assert snap_compare(host, terminal_size=(80, 24), run_before=open_tab)


class PanesHost(App[None]):
    """A chart over a log."""

    CSS = "ChartPane { height: 3fr; } LogPane { height: 2fr; }"

    def __init__(self, view: int) -> None:
        super().__init__()
        for one in THEMES:
            self.register_theme(one)
        self.theme = "etui-dark"
        self._view = view

    def compose(self) -> ComposeResult:
        """Both."""
        yield ChartPane()
        yield LogPane()

    def on_mount(self) -> None:
        """Fill them."""
        chart, log = self.query_one(ChartPane), self.query_one(LogPane)
        past = [
            make_summary("c1", created_at="2026-11-01T10:00:00.000Z"),
            make_summary("c2", created_at="2026-11-03T10:00:00.000Z", status="failed"),
            make_summary("c3", created_at="2026-11-07T10:00:00.000Z", threads=1),
        ]
        chart.show_run(pictured_run(), past)
        getattr(chart, f"action_view_{self._view + 1}")()
        log.follow("s1", None, "resnet18 fp32+int8", {"r1": "int8/xnnpack"})
        log.show(
            [
                Event(kind="stage", message="lowering", at="2026-11-20T10:42:00.000Z", stage="lower", run_id="r1"),
                Event(kind="log", message="a detail", at="2026-11-20T10:42:01.000Z", level="debug", stage="lower"),
                Event(kind="log", message="lowered in 7.4 s", at="2026-11-20T10:42:07.000Z", stage="lower"),
                Event(
                    kind="warning", message="[weights] are synthetic", at="2026-11-20T10:42:08.000Z", level="warning"
                ),
                Event(
                    kind="block", message="block 1 of 6: eager 23.9 ms", at="2026-11-20T10:42:09.000Z", stage="measure"
                ),
                Event(kind="log", message="killed", at="2026-11-20T10:42:10.000Z", level="error", stage="measure"),
            ]
        )
        log.show_progress(
            SessionProgress(
                share=0.33, stage="measure", step="block 2 of 6", doing="block 2 of 6: eager", at="2026-11-20T10:42:10Z"
            )
        )


@pytest.mark.parametrize("view", range(5))
def test_panes(snap_compare: Compare, view: int) -> None:
    assert snap_compare(PanesHost(view), terminal_size=(80, 24))


def test_panes_without_colour(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(PanesHost(0), terminal_size=(80, 24))
