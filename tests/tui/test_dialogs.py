"""The dialogs from the keyboard: what they do, what they refuse in words, and that escape does nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Button, Static

from etui.store import Store
from etui.store.saved_filters import load_filters, save_filter
from etui.store.transfer import read_documents
from etui.tui.database import Database
from etui.tui.screens.annotate import AnnotateDialog
from etui.tui.screens.columns import ColumnsDialog
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.dialog import CLOSE, Dialog
from etui.tui.screens.export import ExportDialog
from etui.tui.screens.filters import FiltersDialog
from etui.tui.screens.import_runs import ImportDialog
from etui.tui.screens.jump import JumpDialog
from etui.tui.screens.sort import SortDialog
from etui.tui.widgets.combo import Combo
from etui.tui.widgets.form_row import FormRow
from tests.documents import encode_documents, make_document
from tests.tui.hosts import DialogHost, paste, type_text, until, work_done

pytestmark = pytest.mark.asyncio
IDS = ["aaaaaaaaaaa1", "aaaaaaaaaaa2", "bbbbbbbbbbb1"]
COLUMNS = [("when", "when"), ("model", "model"), ("p50", "p50 ms"), ("mae", "MAE")]


@pytest.fixture
def stored(database: Path) -> Path:
    with Store.open(database) as store:
        store.import_documents(
            [
                make_document(run_id, precision=precision)
                for run_id, precision in zip(IDS, ("fp32", "int8", "fp16"), strict=True)
            ]
        )
    return database


def results(pilot: Pilot[None]) -> list[Any]:
    assert isinstance(pilot.app, DialogHost)
    return pilot.app.results


def dialog(pilot: Pilot[None]) -> Dialog[Any]:
    assert isinstance(pilot.app.screen, Dialog)
    return pilot.app.screen


def problem(pilot: Pilot[None]) -> str:
    return " ".join(row.problem for row in pilot.app.screen.query(FormRow))


async def give_path(pilot: Pilot[None], path: object) -> None:
    """Write a path over what stands in the field."""
    combo = pilot.app.screen.query_one(Combo)
    combo.focus()
    await pilot.press("end", "ctrl+u")
    await paste(pilot, str(path))


@pytest.mark.parametrize(
    ("make", "nothing"),
    [
        (lambda: ExportDialog(Database(Path("/no/such.db")), IDS), None),
        (lambda: ImportDialog(Database(Path("/no/such.db"))), 0),
        (lambda: ConfirmDialog("Delete?", "text", "Delete"), False),
        (lambda: ColumnsDialog(COLUMNS, ["when"]), None),
        (lambda: JumpDialog(Database(Path("/no/such.db"))), None),
        (lambda: AnnotateDialog("note", ["tag"]), None),
        (lambda: FiltersDialog({"fast": "p50<10"}, "resnet"), None),
        (lambda: FiltersDialog({}, ""), None),
        (lambda: SortDialog(COLUMNS, "when"), None),
    ],
)
async def test_escape_does_nothing(make: Callable[[], Screen[Any]], nothing: object) -> None:
    async with DialogHost(make).run_test() as pilot:
        await pilot.pause()
        await pilot.press("escape")
        await until(pilot, lambda: results(pilot))
        assert results(pilot) == [nothing]


# Confirm


async def test_what_destroys_has_cancel_focused_first() -> None:
    async with DialogHost(lambda: ConfirmDialog("Delete?", "three runs", "Delete")).run_test() as pilot:
        await pilot.pause()
        assert pilot.app.focused is not None and pilot.app.focused.id == CLOSE
        await pilot.press("enter")
        assert results(pilot) == [False]


async def test_right_and_enter_confirm() -> None:
    async with DialogHost(lambda: ConfirmDialog("Delete?", "three runs", "Delete")).run_test() as pilot:
        await pilot.press("right", "enter")
        assert results(pilot) == [True]


async def test_a_question_s_names_are_text() -> None:
    async with DialogHost(lambda: ConfirmDialog("[red]?", "run [bold]x\x1b[31m", "Delete")).run_test() as pilot:
        await pilot.pause()
        body = pilot.app.screen.query_one(".dialog--body Static", Static)
        assert str(body.content) == "run [bold]x"


# Export


async def test_one_run_goes_to_a_file_of_its_name(
    stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with DialogHost(lambda: ExportDialog(Database(stored), IDS[:1])).run_test() as pilot:
        target = tmp_path / "resnet18_fp32_xnnpack.json"
        await until(pilot, lambda: pilot.app.screen.query_one(Combo).value == str(target))
        await pilot.press("enter")
        await until(pilot, lambda: results(pilot))
        assert results(pilot) == [[target]]
    assert [document.id for document in read_documents(target)] == IDS[:1]


async def test_several_runs_go_to_a_file_each_or_to_one(stored: Path, tmp_path: Path) -> None:
    for name, count in (("each/", 3), ("all.json", 1)):
        async with DialogHost(lambda: ExportDialog(Database(stored), IDS)).run_test(size=(120, 40)) as pilot:
            await work_done(pilot)
            await give_path(pilot, tmp_path / "new" / name if count == 1 else f"{tmp_path}/new/{name}")
            await pilot.press("enter")
            await until(pilot, lambda: results(pilot))
            assert len(results(pilot)[0]) == count
    assert len(read_documents(tmp_path / "new" / "all.json")) == 3
    assert len(list((tmp_path / "new" / "each").iterdir())) == 3


async def test_the_shape_changes_the_path(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with DialogHost(lambda: ExportDialog(Database(stored), IDS)).run_test(size=(120, 40)) as pilot:
        await work_done(pilot)
        await pilot.press("shift+tab", "space")
        assert pilot.app.screen.query_one(Combo).value == str(tmp_path / "etui-runs.json")
        await pilot.press("space")
        assert pilot.app.screen.query_one(Combo).value == f"{tmp_path}/"


async def test_a_file_is_not_overwritten_without_asking(stored: Path, tmp_path: Path) -> None:
    target = tmp_path / "there.json"
    target.write_text("mine")
    async with DialogHost(lambda: ExportDialog(Database(stored), IDS[:1])).run_test(size=(120, 40)) as pilot:
        await work_done(pilot)
        await give_path(pilot, target)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ExportDialog))
        assert target.read_text() == "mine"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("right", "enter")
        await until(pilot, lambda: results(pilot))
    assert len(read_documents(target)) == 1


@pytest.mark.slow
async def test_a_place_that_cannot_be_written_is_said(stored: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with DialogHost(lambda: ExportDialog(Database(stored), IDS[:1])).run_test(size=(120, 40)) as pilot:
        await work_done(pilot)
        await give_path(pilot, tmp_path / "file" / "below.json")
        await pilot.press("enter")
        await until(pilot, lambda: dialog(pilot).status or problem(pilot))
        assert "cannot" in dialog(pilot).status + problem(pilot)
        assert results(pilot) == []


async def test_a_database_that_is_gone_is_said_at_the_export() -> None:
    async with DialogHost(lambda: ExportDialog(Database(Path("/no/such.db")), IDS)).run_test() as pilot:
        await until(pilot, lambda: dialog(pilot).status)
        assert "there is no database" in dialog(pilot).status


# Import


async def test_files_come_in_and_each_is_reported(database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "new.json").write_bytes(encode_documents([make_document(one) for one in IDS[:2]]))
    (folder / "twice.json").write_bytes(encode_documents([make_document(IDS[0])]))
    (folder / "z[bold].json").write_text("{")
    async with DialogHost(lambda: ImportDialog(Database(database))).run_test(size=(120, 40)) as pilot:
        await give_path(pilot, folder)
        await pilot.press("enter")
        await until(pilot, lambda: "imported" in dialog(pilot).status)
        report = str(pilot.app.screen.query_one(".import--report Static", Static).content)
        assert "✓ new.json: 2 new" in report
        assert "✓ twice.json: 1 already stored" in report
        assert "✗ z[bold].json: refused" in report
        assert re.findall(r"\d+", dialog(pilot).status) == ["2", "1", "1"]
        await pilot.press("enter")
        await until(pilot, lambda: results(pilot))
        assert results(pilot) == [2]


async def test_a_path_that_names_nothing_is_marked_at_the_field(database: Path) -> None:
    async with DialogHost(lambda: ImportDialog(Database(database))).run_test(size=(120, 40)) as pilot:
        await give_path(pilot, "/no/such.json")
        await pilot.press("enter")
        await until(pilot, lambda: problem(pilot))
        assert "/no/such.json" in problem(pilot)
        await pilot.press("x")
        assert not problem(pilot)


async def test_a_database_that_is_none_is_said_at_the_import(database: Path, tmp_path: Path) -> None:
    database.write_text("no database, and longer than a header of sixteen bytes")
    file = tmp_path / "run.json"
    file.write_bytes(encode_documents([make_document()]))
    async with DialogHost(lambda: ImportDialog(Database(database))).run_test(size=(120, 40)) as pilot:
        await give_path(pilot, file)
        await pilot.press("enter")
        await until(pilot, lambda: dialog(pilot).status.startswith("! "))
        assert str(database) in dialog(pilot).status


# Jump


async def test_a_beginning_is_enough_to_jump(stored: Path) -> None:
    async with DialogHost(lambda: JumpDialog(Database(stored))).run_test() as pilot:
        await type_text(pilot, "b")
        await until(pilot, lambda: dialog(pilot).status)
        assert "resnet18 fp16/xnnpack" in dialog(pilot).status
        await pilot.press("enter")
        await until(pilot, lambda: results(pilot))
        assert results(pilot) == ["bbbbbbbbbbb1"]


async def test_an_unknown_or_ambiguous_beginning_is_said(stored: Path) -> None:
    async with DialogHost(lambda: JumpDialog(Database(stored))).run_test() as pilot:
        await type_text(pilot, "a")
        await until(pilot, lambda: problem(pilot))
        assert problem(pilot).startswith("! a matches several")
        assert IDS[0] in dialog(pilot).status and IDS[1] in dialog(pilot).status
        await type_text(pilot, "z")
        await until(pilot, lambda: "az" in problem(pilot))
        assert problem(pilot).startswith("! ")
        await pilot.press("enter")
        await work_done(pilot)
        assert results(pilot) == []


# Columns


async def test_a_column_with_a_long_description_keeps_its_name() -> None:
    columns = [("delegate", f"delegate: {'what it is and ' * 12}")]
    async with DialogHost(lambda: ColumnsDialog(columns, ["delegate"])).run_test(size=(80, 24)) as pilot:
        lines = [strip.text for strip in pilot.app.screen._compositor.render_strips()]
        assert sum("[x] delegate: what it is" in line for line in lines) == 1


async def test_columns_are_chosen_and_moved() -> None:
    async with DialogHost(lambda: ColumnsDialog(COLUMNS, ["when", "model"])).run_test() as pilot:
        await pilot.press("space", "j", "j", "space", "K", "tab", "right", "enter")
        await until(pilot, lambda: results(pilot))
        assert results(pilot) == [["p50", "model"]]


async def test_no_column_at_all_is_refused() -> None:
    async with DialogHost(lambda: ColumnsDialog(COLUMNS, ["when"])).run_test() as pilot:
        await pilot.press("space", "tab", "right", "enter")
        assert "column" in dialog(pilot).status
        assert results(pilot) == []


# Sort


async def test_a_letter_goes_to_the_next_column_that_begins_with_it() -> None:
    async with DialogHost(lambda: SortDialog(COLUMNS, "when")).run_test() as pilot:
        await pilot.press("p", "enter")
        await until(pilot, lambda: results(pilot))
        assert results(pilot) == ["p50"]


# Saved filters


@pytest.fixture
def filters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Two saved filters."""
    monkeypatch.setenv("ETUI_STATE", str(tmp_path / "state"))
    save_filter("fast", "p50<10")
    save_filter("good", "verdict:PASS")
    return load_filters()


async def test_a_saved_filter_is_picked(filters: dict[str, str]) -> None:
    async with DialogHost(lambda: FiltersDialog(filters, "resnet")).run_test() as pilot:
        await pilot.press("down", "enter")
        await until(pilot, lambda: results(pilot))
        assert results(pilot) == ["@good"]


@pytest.mark.slow
async def test_the_current_filter_is_saved_under_a_name(filters: dict[str, str]) -> None:
    async with DialogHost(lambda: FiltersDialog(filters, "resnet")).run_test() as pilot:
        await pilot.press("tab")
        await type_text(pilot, "two words")
        await pilot.press("enter")
        await until(pilot, lambda: "two words" in dialog(pilot).status)
        await pilot.press("ctrl+u")
        await type_text(pilot, "mine")
        await pilot.press("enter")
        await until(pilot, lambda: results(pilot))
        assert results(pilot) == ["@mine"]
        assert load_filters() == {**filters, "mine": "resnet"}


async def test_a_saved_filter_is_removed(filters: dict[str, str]) -> None:
    async with DialogHost(lambda: FiltersDialog(filters, "")).run_test() as pilot:
        await pilot.press("delete")
        await until(pilot, lambda: list(load_filters()) == ["good"])
        await until(pilot, lambda: "@fast" in dialog(pilot).status)
        await pilot.press("enter")
        await until(pilot, lambda: results(pilot))
        assert results(pilot) == ["@good"]


# Annotate


@pytest.mark.slow
async def test_a_note_and_tags_are_edited() -> None:
    async with DialogHost(lambda: AnnotateDialog("old", ["one"])).run_test() as pilot:
        await pilot.press("j", "q", "tab", "end")
        await type_text(pilot, ", two words, one")
        await pilot.press("enter")
        await until(pilot, lambda: results(pilot))
        assert results(pilot) == [("jqold", ["one", "two words"])]


@pytest.mark.slow
@pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 10)])
@pytest.mark.parametrize(
    "make",
    [
        lambda: ExportDialog(Database(Path("/no/such.db")), IDS),
        lambda: ImportDialog(Database(Path("/no/such.db"))),
        lambda: ConfirmDialog("Delete?", "a long question " * 20, "Delete"),
        lambda: ColumnsDialog([(f"c{number}", f"column {number}") for number in range(40)], ["c1"]),
        lambda: JumpDialog(Database(Path("/no/such.db"))),
        lambda: AnnotateDialog("note\n" * 20, ["tag"]),
        lambda: SortDialog([(f"c{number}", f"column {number}") for number in range(40)], "c1"),
        lambda: FiltersDialog({f"f{number}": "p50<10" for number in range(40)}, "resnet " * 30),
    ],
)
async def test_the_buttons_are_in_sight_at_every_size(make: Callable[[], Screen[Any]], size: tuple[int, int]) -> None:
    async with DialogHost(make).run_test(size=size) as pilot:
        await pilot.pause()
        for button in pilot.app.screen.query(Button):
            assert pilot.app.screen.region.contains_region(button.region), button.label
