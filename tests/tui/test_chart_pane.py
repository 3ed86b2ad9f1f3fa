"""The chart pane: its views, its titles, what it says without data, and what it takes of a run."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from etui.facts import RunSummary
from etui.results import RunDocument, Status
from etui.tui.widgets.chart_data import MOST_SAMPLES, past_runs, program_series
from etui.tui.widgets.chart_pane import VIEWS, ChartPane
from tests.documents import make_block, make_document
from tests.facts import lacking
from tests.tui.hosts import notices, shown_title
from tests.tui.summaries import make_summary


class ChartHost(App[None]):
    """A chart pane alone."""

    def compose(self) -> ComposeResult:
        """The pane."""
        yield ChartPane()

    @property
    def pane(self) -> ChartPane:
        """The pane."""
        return self.query_one(ChartPane)

    def seen(self) -> str:
        """The chart as text."""
        return str(self.pane.render())


async def shown(pilot: Pilot[Any], document: RunDocument | None) -> ChartHost:
    """The host with this run's charts."""
    host = pilot.app
    assert isinstance(host, ChartHost)
    host.pane.show_run(document, [make_summary("b" * 12), make_summary("c" * 12, threads=1)])
    await pilot.pause()
    return host


@pytest.mark.asyncio
async def test_each_key_shows_its_view_and_marks_it() -> None:
    marks = ("24 inferences", "100 %", "0 % = ", "median latency", "MAE")
    async with ChartHost().run_test(size=(100, 20)) as pilot:
        host = await shown(pilot, make_document())
        host.pane.can_focus = True
        host.pane.focus()
        for number, (view, mark) in enumerate(zip(VIEWS, marks, strict=True), start=1):
            await pilot.press(str(number))
            assert host.pane.view == view
            assert f" {number} {view}" in str(host.pane.border_title)
            assert mark in host.seen()


@pytest.mark.asyncio
async def test_the_logarithmic_scale_is_each_views_own() -> None:
    async with ChartHost().run_test(size=(100, 20)) as pilot:
        host = await shown(pilot, make_document())
        assert "log" not in host.seen()
        host.pane.action_log_scale()
        assert "ms (log)" in host.seen()
        host.pane.action_view_5()
        assert "log scale" in host.seen()
        host.pane.action_log_scale()
        assert "log scale" not in host.seen()


@pytest.mark.asyncio
async def test_blocks_have_no_logarithmic_scale_and_say_so() -> None:
    async with ChartHost().run_test(size=(100, 20)) as pilot:
        host = await shown(pilot, make_document())
        host.pane.action_view_3()
        before = host.seen()
        host.pane.action_log_scale()
        await pilot.pause()
        assert host.seen() == before
        assert len(notices(host)) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "preparing"}, "is preparing"),
        ({"status": "failed", "error": "GuardOnDataDependentSymNode"}, "GuardOnDataDependentSymNode"),
        ({"status": "timed out"}, "timed out"),
        ({"status": "done", "summary_only": True}, "Only a summary"),
    ],
)
async def test_a_run_without_latencies_says_why(changes: dict[str, Any], words: str) -> None:
    async with ChartHost().run_test(size=(100, 20)) as pilot:
        bare = msgspec.structs.replace(make_document(), blocks=[], eager_blocks=[], latency_ms=None, **changes)
        host = await shown(pilot, bare)
        assert words in " ".join(host.seen().split())


@pytest.mark.asyncio
async def test_no_run_says_what_to_press() -> None:
    async with ChartHost().run_test(size=(100, 20)) as pilot:
        host = await shown(pilot, None)
        assert "press r" in host.seen()


@pytest.mark.asyncio
async def test_a_name_with_markup_is_shown_as_text() -> None:
    async with ChartHost().run_test(size=(100, 20)) as pilot:
        document = make_document()
        document.model = msgspec.structs.replace(document.model, name="[b]evil[/b]\x1b[31m")
        host = await shown(pilot, document)
        assert "[b]evil[/b] fp32/xnnpack" in shown_title(host.pane.border_subtitle)


@pytest.mark.asyncio
async def test_it_redraws_for_its_size_and_only_then() -> None:
    async with ChartHost().run_test(size=(100, 20)) as pilot:
        host = await shown(pilot, make_document())
        first = host.pane.render()
        assert host.pane.render() is first
        await pilot.resize_terminal(60, 12)
        await pilot.pause()
        assert host.pane.render() is not first


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(1, 1), (10, 3), (40, 6), (250, 70)])
async def test_any_size_will_do(size: tuple[int, int]) -> None:
    async with ChartHost().run_test(size=size) as pilot:
        host = await shown(pilot, make_document())
        for view in range(5):
            getattr(host.pane, f"action_view_{view + 1}")()
            await pilot.pause()


def test_very_many_samples_are_thinned_and_still_counted() -> None:
    document = make_document()
    block = msgspec.structs.replace(make_block("fp32/xnnpack", 0), samples_ms=[1.0] * (3 * MOST_SAMPLES + 1))
    series = program_series(msgspec.structs.replace(document, blocks=[block]))
    assert series.total == 3 * MOST_SAMPLES + 1
    assert len(series.samples) <= MOST_SAMPLES


def test_the_past_is_in_order_with_the_run_itself_once() -> None:
    document = make_document(created_at="2026-11-20T10:00:00.000Z")
    past = past_runs(
        document,
        [
            make_summary("c" * 12, created_at="2026-11-22T10:00:00.000Z"),
            make_summary(document.id),
            make_summary("b" * 12, created_at="2026-11-01T10:00:00.000Z", status="failed"),
            make_summary("d" * 12, created_at="2026-11-21T10:00:00.000Z", status="measuring"),
        ],
    )
    assert [(run.is_chosen, run.failed) for run in past] == [(False, True), (True, False), (False, False)]


@pytest.mark.parametrize("status", ["queued", "preparing", "measuring"])
def test_a_live_run_is_no_past(status: Status) -> None:
    assert past_runs(msgspec.structs.replace(make_document(), status=status), []) == []


@pytest.mark.asyncio
async def test_a_run_whose_session_varies_its_batch_has_charts_over_it() -> None:
    async with ChartHost().run_test(size=(100, 20)) as pilot:
        host = await shown(pilot, make_document())
        host.pane.action_view_6()
        assert host.pane.view == VIEWS[0]
        rows = []
        for batch in (1, 2, 4):
            document = make_document(f"{batch:012x}", median=3.0 * batch)
            document.batch, document.variant = batch, f"fp32/xnnpack batch {batch}"
            rows.append(RunSummary.of(document))
        host.pane.show_run(document, [], rows)
        host.pane.action_view_6()
        assert not lacking(host.seen(), "over batch", "fp32/xnnpack", "eager")
        host.pane.action_view_7()
        assert host.pane.view == "per item" and "ms per item" in host.seen()
        # The next run has no such views.
        await shown(pilot, make_document())
        assert host.pane.view == VIEWS[0] and "per item" not in str(host.pane.border_title)
