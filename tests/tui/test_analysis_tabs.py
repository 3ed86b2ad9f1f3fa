"""The tabs that look inside a program, as a user meets them: operators, delegation, numbers, the file's sections."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from etui.analysis_kinds.gap import GapOptions
from etui.analysis_kinds.profile import ProfileOptions
from etui.insight import Operator, Origin, Section
from etui.results import RunDocument
from etui.runner import rebuild_program, start
from etui.store import Store
from etui.tui.details import loader
from etui.tui.details.table_tab import TableTab
from etui.tui.details.table_view import TreeTable
from etui.tui.screens.details import DetailsScreen
from etui.tui.screens.keep_fp32 import KeepFp32Dialog
from etui.tui.screens.profile_files import ProfileFilesDialog
from etui.tui.widgets.combo import Combo
from tests.documents import make_document, make_spec
from tests.facts import lacking
from tests.insights import look_inside, make_gap, make_profile
from tests.tui.hosts import notices, type_text, until
from tests.tui.test_details import RUN, DetailsHost, opened

pytestmark = pytest.mark.asyncio

SIZE = (120, 40)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is looked at often enough for a test."""
    monkeypatch.setattr(loader, "LOOK_S", 0.02)


def store(database: Path, document: RunDocument) -> Path:
    """The database with this run."""
    with Store.open(database) as opened_store:
        opened_store.save_document(document)
    return database


@pytest.fixture
def inside(database: Path) -> Path:
    """A database with a run that was looked into."""
    return store(database, look_inside(make_document(RUN, precision="int8", median=12.0)))


def rows_of(host: DetailsHost) -> TreeTable:
    """The rows of the open tab."""
    return host.details.query_one(f"#tab-{host.details.tab.lower()}", TableTab).view


def labels(host: DetailsHost) -> list[str]:
    """The names of all rows that are shown."""
    rows = rows_of(host).rows
    return [node.label for node in rows.shown] if rows else []


async def at(pilot: Pilot[None], tab: str) -> DetailsHost:
    """The host with this tab open and its rows there."""
    host = await opened(pilot, tab)
    await until(pilot, lambda: rows_of(host).rows is not None)
    return host


# Operators


@pytest.mark.slow
async def test_the_operators_begin_with_the_answer_and_how_far_it_holds(inside: Path) -> None:
    async with DetailsHost(inside).run_test(size=SIZE) as pilot:
        host = await at(pilot, "Operators")
        lines = host.lines()
        assert not lacking(lines[0], "int8/xnnpack", "96 %", "convolution", "99 %")
        assert lines[1].startswith(" ✓ ") and not lacking(lines[1], "17.2 ms", "17.0 ms", "+1.2 %")
        assert lines[2].startswith(" ✓ ") and "4.1 %" in lines[2]
        assert not lacking(host.page(), " ! ", "torch.profiler")
        heading = next(line for line in lines if "module / operator" in line)
        assert " ".join(heading.split()) == "module / operator where calls p50 ms p90 ms share %▼ eager ms eager %"


async def test_operators_that_do_not_add_up_and_a_dear_trace_are_said(database: Path) -> None:
    document = make_document(RUN)
    profile = make_profile()
    program = msgspec.structs.replace(profile.program, inference_ms=30.0, untraced_ms=20.0)
    document.profile = msgspec.structs.replace(profile, program=program)
    async with DetailsHost(store(database, document)).run_test(size=SIZE) as pilot:
        host = await at(pilot, "Operators")
        assert host.page().count(" ! ") >= 2 and not lacking(host.page(), "17.2 ms", "20.0 ms", "14 %", "50.0 %")


@pytest.mark.slow
async def test_modules_unfold_to_operators_with_eager_beside(inside: Path) -> None:
    async with DetailsHost(inside).run_test(size=SIZE) as pilot:
        host = await at(pilot, "Operators")
        # The heaviest branches are open at first, as far as a screen of lines goes.
        assert labels(host)[:6] == ["layer3", "layer3.1", "layer3.0", "layer4", "layer4.0", "layer4.1"]
        assert len(labels(host)) == 18
        await pilot.press("left")
        assert labels(host)[:2] == ["layer3", "layer4"]
        await pilot.press("right")
        assert labels(host)[:4] == ["layer3", "layer3.1", "layer3.0", "layer4"]
        await pilot.press("right", "enter", "right", "right")
        assert labels(host)[1:5] == ["layer3.1", "conv2", "Convolution (NHWC, F32) IGEMM", "aten::convolution"]
        row = next(line for line in host.lines() if line.startswith("▌"))
        assert " ".join(row.split()[1:]) == "▾ conv2 xnnpack 0 1 1.210 1.295 7.1 ▊ 1.650 6.8"
        await pilot.press("down")
        foot = str(host.details.query_one("#tab-operators #rows-foot").render())
        assert not lacking(foot, "layer3.1.conv2 (Conv2d)", "aten.conv2d.default")
        assert "torchvision/models/resnet.py:92 in forward: out = self.conv2(x)" in foot
        await pilot.press("left", "left", "left", "left", "left")
        assert rows_of(host).node is not None and labels(host)[:3] == ["layer3", "layer3.1", "layer3.0"]
        await pilot.press("enter")
        assert labels(host)[:2] == ["layer3", "layer4"]
        await pilot.press("asterisk")
        assert len(labels(host)) > 60
        await pilot.press("asterisk")
        assert len(labels(host)) == 10
        assert host.details.tab == "Operators"


@pytest.mark.slow
async def test_m_groups_otherwise_and_w_shows_eager(inside: Path) -> None:
    async with DetailsHost(inside).run_test(size=SIZE) as pilot:
        host = await at(pilot, "Operators")
        await pilot.press("m")
        await until(pilot, lambda: labels(host)[0] == "Convolution (NHWC, F32) IGEMM")
        await pilot.press("right")
        assert labels(host)[1:3] == ["conv1", "layer4.0.conv2"]
        await pilot.press("w")
        await until(pilot, lambda: "aten::batch_norm" in labels(host))
        assert not lacking(host.lines()[0], "Eager PyTorch", "92 %", "convolution")
        await pilot.press("m")
        await until(pilot, lambda: labels(host)[0] == "aten::convolution  conv1")
        # The keys that unfold are the tabs' again where nothing does.
        await pilot.press("right")
        assert host.details.tab == "Delegation"
        await pilot.press("left", "m")
        await until(pilot, lambda: labels(host)[0] == "layer3")
        heading = next(line for line in host.lines() if "module / operator" in line)
        assert "program ms" in heading


async def test_s_sorts_by_the_next_column_and_shift_s_the_other_way(inside: Path) -> None:
    async with DetailsHost(inside).run_test(size=SIZE) as pilot:
        host = await at(pilot, "Operators")
        rows = rows_of(host).rows
        assert rows is not None
        await pilot.press("s")
        assert rows.sort == "other"
        assert labels(host)[0] == "layer3"
        await pilot.press("s")
        assert rows.sort == "name"
        assert labels(host)[:4] == ["conv1", "layer1", "layer1.0", "layer1.1"]
        await pilot.press("S")
        assert labels(host)[0] == "(module not known)"
        # What the other side alone ran has no place in this order, and stays at the end.
        assert labels(host)[-1] == "relu"


async def test_a_click_on_a_heading_sorts_and_one_on_a_row_moves(inside: Path) -> None:
    async with DetailsHost(inside).run_test(size=SIZE) as pilot:
        host = await at(pilot, "Operators")
        line = next(y for y, words in enumerate(host.lines()) if "module / operator" in words)
        await pilot.click(rows_of(host), offset=(5, line))
        rows = rows_of(host).rows
        assert rows is not None and rows.sort == "name"
        line = next(y for y, words in enumerate(host.lines()) if "layer2" in words)
        await pilot.click(rows_of(host), offset=(10, line))
        node = rows_of(host).node
        assert node is not None and node.label == "layer2"


@pytest.mark.slow
async def test_the_filter_shows_what_is_left_and_its_sum(inside: Path) -> None:
    async with DetailsHost(inside).run_test(size=SIZE) as pilot:
        host = await at(pilot, "Operators")
        await pilot.press("slash")
        await type_text(pilot, "mean cpu")
        left = host.details.query_one("#tab-operators #rows-left")
        await until(pilot, lambda: "1 operator, 0.190 ms, 1.1 %" in str(left.render()))
        assert labels(host) == ["avgpool", "aten::mean.out"]
        await pilot.press("enter")
        assert isinstance(host.focused, TreeTable)
        await pilot.press("m")
        await until(pilot, lambda: labels(host) == ["aten::mean.out", "avgpool"])
        await pilot.press("escape")
        assert not host.closed and len(labels(host)) > 2
        await pilot.press("slash")
        await type_text(pilot, "nothing like it")
        assert labels(host) == []
        await pilot.press("escape")
        assert host.details.query_one("#tab-operators Input", Input).value == ""
        await pilot.press("escape")
        await until(pilot, lambda: host.closed)


@pytest.mark.slow
async def test_the_cursor_moves_by_the_tables_keys_and_the_words_scroll_with_it(inside: Path) -> None:
    async with DetailsHost(inside).run_test(size=(80, 16)) as pilot:
        host = await at(pilot, "Operators")
        view = rows_of(host)
        await pilot.press("j", "j", "k")
        assert view.cursor == 1
        await pilot.press("G")
        assert view.cursor == view.count - 1
        assert view.scroll_offset.y == view.max_scroll_y
        await pilot.press("ctrl+u")
        assert view.cursor < view.count - 1
        await pilot.press("g")
        assert (view.cursor, view.scroll_offset.y) == (0, 0)
        await pilot.press("ctrl+d", "pagedown")
        # The heading stays in sight over the rows.
        assert "module / operator" in host.lines()[0] or view.scroll_offset.y <= len(view.above)


@pytest.mark.slow
async def test_ten_thousand_operators_page_without_a_widget_a_row(database: Path) -> None:
    document = make_document(RUN)
    document.profile = make_profile(2_500)
    async with DetailsHost(store(database, document)).run_test(size=SIZE) as pilot:
        host = await at(pilot, "Operators")
        before = len(host.details.query("*"))
        await pilot.press("m", "m")
        await until(pilot, lambda: len(labels(host)) > 7_500)
        await pilot.press("G")
        assert len(host.details.query("*")) == before
        assert any("aten::view_copy.out" in line for line in host.lines())


@pytest.mark.slow
async def test_a_run_without_a_profile_says_how_to_get_one_and_p_queues_it(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_program, "check_rebuildable", lambda _document, _trust: None)
    monkeypatch.setattr(start, "ensure_runner", lambda _database: None)
    with Store.open(store(database, make_document(RUN))) as held:
        async with DetailsHost(database).run_test(size=SIZE) as pilot:
            host = await opened(pilot, "Operators")
            assert "Press P" in host.page()
            await pilot.press("P")
            await until(pilot, lambda: "queued" in host.page())
            queued = held.last_analysis(RUN, "profile")
            assert queued is not None and isinstance(queued.options, ProfileOptions)
            await pilot.press("x")
            await until(pilot, lambda: "cancelled" in host.page())
            assert "Press P" in host.page()
            await pilot.press("P")
            await until(pilot, lambda: "queued" in host.page())
            again = held.last_analysis(RUN, "profile")
            assert again is not None
            held.set_analysis_status(again.id, "running")
            await until(pilot, lambda: "queued" not in host.page() and " x " in host.page())
            held.set_analysis_status(again.id, "failed", "the [b]trace\x1b[31m is empty")
            await until(pilot, lambda: "the [b]trace is empty" in host.page())
            assert "failed" in host.page()


async def test_a_profile_that_cannot_be_made_is_a_sentence(database: Path) -> None:
    async with DetailsHost(store(database, make_document(RUN))).run_test(size=SIZE) as pilot:
        host = await opened(pilot, "Operators")
        await pilot.press("P")
        await until(pilot, lambda: len(notices(host)) == 1)
        (displayed,) = notices(host)
        assert displayed.severity == "error" and "profile" in displayed.title


async def test_shift_t_asks_for_a_folder_and_profiles_into_it(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild_program, "check_rebuildable", lambda _document, _trust: None)
    monkeypatch.setattr(start, "ensure_runner", lambda _database: None)
    async with DetailsHost(store(database, make_document(RUN))).run_test(size=SIZE) as pilot:
        host = await opened(pilot, "Operators")
        await pilot.press("T")
        await until(pilot, lambda: isinstance(host.screen, ProfileFilesDialog))
        field = host.screen.query_one(Combo)
        field.value = str(database)
        await pilot.press("enter")
        assert isinstance(host.screen, ProfileFilesDialog), "a file is no folder"
        field.value = str(tmp_path / "kept")
        await pilot.press("enter")
        await until(pilot, lambda: "queued" in host.page())
        with Store.open(database) as held:
            queued = held.last_analysis(RUN, "profile")
        assert queued is not None and isinstance(queued.options, ProfileOptions)
        assert queued.options.keep_dir == str(tmp_path / "kept") and not queued.options.etrecord


# The summary


@pytest.mark.slow
async def test_each_sentence_of_the_verdict_names_where_it_comes_from(database: Path) -> None:
    with Store.open(database) as held:
        held.save_document(make_document("aaaaaaaaaaa1", median=40.0))
    document = look_inside(make_document(RUN, precision="int8", median=12.0))
    async with DetailsHost(store(database, document)).run_test(size=SIZE) as pilot:
        host = await opened(pilot)
        displayed = host.page().split("Figures")[0]
        sentences = re.findall(r"(\S.*?) \[(\d \w+)\]", " ".join(displayed.split()))
        sources = {source: sentence for sentence, source in sentences}
        assert list(sources) == [
            "2 Latency", "5 Delegation", "4 Operators", "3 Accuracy", "6 Gap", "8 Artifact"
        ]  # fmt: skip
        # The comparison has no tab, so its sentence has no link.
        assert not lacking(displayed, "INT8", "3.21", "FP32")
        for source, facts in {
            "5 Delegation": ["94 %", "3 partitions", "99 %"],
            "4 Operators": ["96 %", "convolution"],
            "6 Gap": ["layer2.1.conv1", "81 %"],
        }.items():
            assert not lacking(sources[source], *facts)


# Delegation


async def test_the_delegation_says_what_stayed_outside_and_where_it_comes_from(inside: Path) -> None:
    async with DetailsHost(inside).run_test(size=SIZE) as pilot:
        host = await opened(pilot, "Delegation")
        page = " ".join(host.page().split())
        for words in (
            "xnnpack",
            "66 of 70 nodes",
            "94 %",
            "3 partitions",
            "99 %",
            "native_layer_norm 3 3 encoder.layers.*.norm",
            "encoder.layers.0.norm (LayerNorm)",
            "torchvision/models/resnet.py:92 in forward: out = self.norm(x)",
            "core aten",
            "-20 batch_norm",
        ):
            assert words in page


# Gap


@pytest.mark.slow
async def test_the_numbers_name_the_first_layer_past_the_threshold(inside: Path) -> None:
    async with DetailsHost(inside).run_test(size=SIZE) as pilot:
        host = await at(pilot, "Gap")
        lines = host.lines()
        assert not lacking(lines[0], "20.0 dB", "layer2.1.conv1", "19.0 dB", "7 of 21")
        assert not lacking(host.page(), "! layer2.1.conv1", "81 %", "FP32")
        assert "SQNR of each layer's output" in host.page()
        row = next(line for line in lines if line.startswith("▌"))
        assert row.split()[:3] == ["▌", "7", "layer2.1.conv1"] and "81.0" in row
        await pilot.press("m")
        assert "mean squared error" in host.page()
        await pilot.press("m")
        assert "contribution of each layer" in host.page()
        await pilot.press("s")
        rows = rows_of(host).rows
        assert rows is not None and rows.sort == "depth"
        assert [node.figures["depth"] for node in rows.shown[:3]] == [0.0, 1.0, 2.0]


async def test_exact_numbers_need_no_chart(database: Path) -> None:
    document, gap = make_document(RUN), make_gap()
    exact = [
        msgspec.structs.replace(layer, exact=True, sqnr_db=None, mse=0.0, contribution=None) for layer in gap.layers
    ]
    document.gap = msgspec.structs.replace(gap, layers=exact, first_past=None, suggestion="", keep_fp32="")
    async with DetailsHost(store(database, document)).run_test(size=SIZE) as pilot:
        host = await at(pilot, "Gap")
        assert not lacking(host.page(), "21 layers", "exact", "FP32 eager")
        assert "exact" in host.lines()[-8] or any("exact" in line for line in host.lines())


@pytest.mark.slow
async def test_p_on_numbers_compares_layer_by_layer(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild_program, "check_rebuildable", lambda _document, _trust: None)
    monkeypatch.setattr(start, "ensure_runner", lambda _database: None)
    async with DetailsHost(store(database, make_document(RUN, precision="int8"))).run_test(size=SIZE) as pilot:
        host = await opened(pilot, "Gap")
        assert "Press P" in host.page()
        await pilot.press("P")
        await until(pilot, lambda: "queued" in host.page())
        with Store.open(database) as held:
            queued = held.last_analysis(RUN, "gap")
        assert queued is not None and isinstance(queued.options, GapOptions)


@pytest.mark.slow
async def test_shift_k_runs_it_again_with_the_worst_module_in_fp32(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "ensure_runner", lambda _database: None)
    document = look_inside(make_document(RUN, precision="int8"))
    document.session = msgspec.structs.replace(document.session, spec=msgspec.to_builtins(make_spec()))
    async with DetailsHost(store(database, document)).run_test(size=SIZE) as pilot:
        host = await at(pilot, "Gap")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(host.screen, KeepFp32Dialog))
        field = host.screen.query_one(Input)
        assert field.value == "layer2.1.conv1"
        field.value = " , "
        await pilot.press("enter")
        assert isinstance(host.screen, KeepFp32Dialog), "no module is named"
        field.value = "layer2.1.conv1, fc"
        await pilot.press("enter")
        with Store.open(database) as held:
            await until(pilot, lambda: held.live_run_ids())
            (run_id,) = held.live_run_ids()
            spec = held.document(run_id).session.spec
        assert spec["keep_fp32"] == ["fc", "layer2.1.conv1"]
        assert spec["variants"] == [{"precision": "int8", "delegate": "xnnpack"}]


async def test_what_is_not_quantized_has_nothing_to_keep(database: Path) -> None:
    async with DetailsHost(store(database, make_document(RUN))).run_test(size=SIZE) as pilot:
        host = await opened(pilot, "Gap")
        await pilot.press("K")
        await until(pilot, lambda: len(notices(host)) == 1)
        assert not isinstance(host.screen, KeepFp32Dialog)


# The program's file


@pytest.mark.slow
async def test_the_sections_are_a_tree_with_the_largest_first(inside: Path) -> None:
    async with DetailsHost(inside).run_test(size=SIZE) as pilot:
        host = await at(pilot, "Artifact")
        assert labels(host) == ["delegates", "XnnpackBackend 0", "constants", "fc.weight", "fc.bias", "program"]
        row = next(line for line in host.lines() if "XnnpackBackend" in line)
        assert "46.6 MB" in row and "99.8" in row and "██" in row
        await pilot.press("left")
        assert labels(host) == ["delegates", "constants", "fc.weight", "fc.bias", "program"]


# Whatever the names are, and whatever the terminal is


@pytest.mark.slow
@pytest.mark.parametrize("size", [(40, 20), (80, 24), (250, 70)])
async def test_names_are_data(database: Path, size: tuple[int, int]) -> None:
    evil = "[red]op\x1b[31m\x07\n漢字[/red]" * 7
    document = look_inside(make_document(RUN))
    assert document.profile is not None and document.gap is not None and document.artifact is not None
    operator = Operator(
        name=evil, calls=1, median_ms=1.0, p90_ms=None, share=1.0, delegate=evil, subgraph=3,
        origin=Origin(module=evil, module_type=evil, operators=[evil], stack=[evil]),
    )  # fmt: skip
    program = msgspec.structs.replace(document.profile.program, operators=[operator])
    document.profile = msgspec.structs.replace(document.profile, program=program, notes=[evil])
    layers = [msgspec.structs.replace(layer, name=evil, origin=operator.origin) for layer in document.gap.layers]
    document.gap = msgspec.structs.replace(document.gap, layers=layers, suggestion=evil, keep_fp32=evil)
    sections = [Section(path=f"{evil}/{evil}", size_bytes=7, detail=evil)]
    document.artifact = msgspec.structs.replace(document.artifact, sections=sections)
    async with DetailsHost(store(database, document)).run_test(size=size) as pilot:
        for tab in ("Operators", "Gap", "Artifact"):
            host = await at(pilot, tab) if tab == "Operators" else pilot.app
            assert isinstance(host, DetailsHost)
            while host.details.tab != tab:
                await pilot.press("l")
            await pilot.press("asterisk", "j", "j")
            seen = host.page()
            await pilot.press("G")
            seen += host.page()
            assert "\x1b" not in seen and "[red]" in seen
            await pilot.resize_terminal(30, 8)
            await pilot.pause()
            await pilot.resize_terminal(*size)
            await pilot.pause()


@pytest.mark.slow
async def test_bars_are_ascii_where_the_terminal_is(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    async with DetailsHost(inside).run_test(size=SIZE) as pilot:
        for tab in ("Operators", "Gap", "Artifact"):
            host = await at(pilot, tab) if tab == "Operators" else pilot.app
            assert isinstance(host, DetailsHost)
            while host.details.tab != tab:
                await pilot.press("l")
            assert "#" in "".join(host.lines())
            assert all(line.isascii() for line in host.lines())


async def test_every_key_of_the_rows_does_something(inside: Path) -> None:
    from etui.actions import ACTIONS

    for action in ACTIONS:
        if action.scope == "rows":
            assert hasattr(TreeTable, f"action_{action.name}")
        if action.scope == "details":
            assert hasattr(DetailsScreen, f"action_{action.name}")
