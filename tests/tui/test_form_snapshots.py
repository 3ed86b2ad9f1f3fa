"""Snapshots of the picker, the queue and the dialogs at both sizes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static

from etui.services.session_config import SessionConfig
from etui.services.session_file import save
from etui.spec import SessionSpec, Variant
from etui.store import QueuedSession, Store
from etui.tui.database import Database
from etui.tui.picker_form import FormValues, remember
from etui.tui.screens.annotate import AnnotateDialog
from etui.tui.screens.busy_machine import BusyMachineDialog
from etui.tui.screens.columns import ColumnsDialog
from etui.tui.screens.configurations import Choice, ConfigurationsDialog, load_choices
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.export import ExportDialog
from etui.tui.screens.import_runs import ImportDialog
from etui.tui.screens.jump import JumpDialog
from etui.tui.widgets.combo import Combo
from etui.tui.widgets.picker import Picker
from etui.tui.widgets.queue_pane import QueuePane
from tests.documents import make_document
from tests.tui.hosts import DialogHost, Host, paste, stop_blinking, type_text, until, work_done

pytestmark = pytest.mark.slow

Compare = Callable[..., bool]
SIZES = [pytest.param((120, 40), id="120x40"), pytest.param((80, 24), id="80x24")]
sizes = pytest.mark.parametrize("size", SIZES)


class LeftSide(Host):
    """The picker over the queue, as wide as they are on the bench."""

    def compose(self) -> ComposeResult:
        """Both, one under the other."""
        with Vertical() as side:
            side.styles.width = 34
            yield from super().compose()
            yield QueuePane()


def _session(name: str, model: str, *precisions: str) -> QueuedSession:
    variants = tuple(Variant(precision, "xnnpack") for precision in precisions)
    runs = [(f"{name}{variant.precision}", variant) for variant in variants]
    spec = SessionSpec(model=model, variants=variants)
    return QueuedSession(id=name, spec=spec, created_at="", box=None, runs=runs)


async def _ready(pilot: Pilot[None]) -> None:
    pilot.app.query_one(QueuePane).show([_session("a", "resnet18", "fp32", "int8"), _session("b", "gpt2", "int8")], "a")
    await until(pilot, lambda: str(pilot.app.query_one(".picker--time", Static).content))
    pilot.app.query_one(Picker).focus()
    await stop_blinking(pilot)


def _left_side(database: Path) -> LeftSide:
    return LeftSide(lambda: Picker(Database(database)))


@sizes
def test_the_picker(snap_compare: Compare, database: Path, size: tuple[int, int]) -> None:
    assert snap_compare(_left_side(database), terminal_size=size, run_before=_ready)


@sizes
def test_the_picker_with_its_models(snap_compare: Compare, database: Path, size: tuple[int, int]) -> None:
    async def open_list(pilot: Pilot[None]) -> None:
        await _ready(pilot)
        await type_text(pilot, "trans")
        await until(pilot, lambda: pilot.app.query_one(Combo).is_open)

    assert snap_compare(_left_side(database), terminal_size=size, run_before=open_list)


def test_the_picker_at_what_cannot_be(snap_compare: Compare, database: Path) -> None:
    remember(FormValues(model="minilm", precisions=("fp32", "8da4w"), delegates=("xnnpack", "portable")))

    async def point(pilot: Pilot[None]) -> None:
        await _ready(pilot)
        await pilot.press("tab", "tab", *["down"] * 4)

    assert snap_compare(_left_side(database), terminal_size=(80, 24), run_before=point)


def test_the_picker_with_mistakes(snap_compare: Compare, database: Path) -> None:
    remember(FormValues(model="resnt18", repeat="0", warmup="abc", weights="/no/such/weights"))

    async def submit(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: str(pilot.app.query_one(".picker--total", Static).content))
        pilot.app.query_one(Picker).submit()
        await stop_blinking(pilot)

    assert snap_compare(_left_side(database), terminal_size=(80, 24), run_before=submit)


async def _export(pilot: Pilot[None]) -> None:
    await work_done(pilot)
    combo = pilot.app.screen.query_one(Combo)
    combo.focus()
    await pilot.press("end", "ctrl+u")
    await paste(pilot, "/results/")


async def _import(pilot: Pilot[None]) -> None:
    await paste(pilot, "/no/such/folder")
    await pilot.press("enter")


async def _jump(pilot: Pilot[None]) -> None:
    await type_text(pilot, "b")


async def _nothing(pilot: Pilot[None]) -> None:
    await pilot.pause()


def _configurations() -> list[Choice]:
    save("nightly", SessionConfig(models=("resnet18", "gpt2"), precisions=("int8",), preset="rigorous"), force=True)
    save("quick-look", SessionConfig(models=("minilm",), preset="quick"), force=True)
    for model in ("resnet18", "mobilenet_v2"):
        remember(FormValues(model=model))
    return load_choices()


_COLUMNS = [("when", "when"), ("model", "model"), ("p50", "p50 ms"), ("mae", "MAE"), ("note", "note")]
_IDS = ["aaaaaaaaaaa1", "aaaaaaaaaaa2", "bbbbbbbbbbb1"]
_LOAD = "other programs use 1.5 cores: cargo (pid 4711, user alice) 1.1 cores, rsync (pid 99, user root) 0.4 cores"
_DIALOGS: dict[str, tuple[Callable[[Path], Screen[Any]], Callable[[Pilot[None]], Awaitable[None]]]] = {
    "export": (lambda database: ExportDialog(Database(database), _IDS), _export),
    "import": (lambda database: ImportDialog(Database(database)), _import),
    "confirm": (lambda _: ConfirmDialog("Delete 2 runs", "It cannot be undone.", "Delete"), _nothing),
    "columns": (lambda _: ColumnsDialog(_COLUMNS, ["when", "p50"]), _nothing),
    "jump": (lambda database: JumpDialog(Database(database)), _jump),
    "busy": (lambda _: BusyMachineDialog(_LOAD), _nothing),
    "configurations": (lambda _: ConfigurationsDialog(_configurations(), FormValues()), _nothing),
    "annotate": (lambda _: AnnotateDialog("a note\nof two lines", ["tag", "other"]), _nothing),
}  # fmt: skip


@sizes
@pytest.mark.parametrize("name", _DIALOGS)
def test_a_dialog(snap_compare: Compare, database: Path, name: str, size: tuple[int, int]) -> None:
    with Store.open(database) as store:
        store.import_documents(
            [make_document(run_id, precision=one) for run_id, one in zip(_IDS, ("fp32", "int8", "fp16"), strict=True)]
        )
    make, use = _DIALOGS[name]

    async def before(pilot: Pilot[None]) -> None:
        await pilot.pause()
        await use(pilot)
        await stop_blinking(pilot)

    assert snap_compare(DialogHost(lambda: make(database)), terminal_size=size, run_before=before)
