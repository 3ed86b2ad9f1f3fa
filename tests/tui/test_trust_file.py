"""The screen asks before a file that an imported run names is used, and the answer that stands ready is no."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input, Static

from etui.analysis_kinds.gap import GapOptions
from etui.analysis_kinds.profile import ProfileOptions
from etui.runner import start
from etui.runner.rebuild_program import Untrusted
from etui.store import Store
from etui.tui.details.analyses import run_again
from etui.tui.screens.compare import CompareScreen
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.screens.details import DetailsScreen
from etui.tui.screens.duel_dialog import DuelDialog
from etui.tui.screens.keep_fp32 import KeepFp32Dialog
from tests.imported_runs import IMPORTED, imported_document, planted
from tests.insights import look_inside
from tests.tui.hosts import until
from tests.tui.test_compare import compared, comparing
from tests.tui.test_details import DetailsHost, opened

OTHER = "cafe00000002"
SIZE = (120, 40)


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that imported runs name; no runner is started."""
    monkeypatch.setattr(start, "ensure_runner", lambda _database: None)
    return planted(tmp_path)[0]


def _store(database: Path, code: Path) -> Path:
    with Store.open(database) as store:
        store.import_documents([look_inside(imported_document(code)), imported_document(code, OTHER)])
    return database


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize(("tab", "kind"), [("Operators", "profile"), ("Gap", "gap")])
async def test_an_analysis_is_queued_only_after_a_yes(database: Path, code: Path, tab: str, kind: str) -> None:
    async with DetailsHost(_store(database, code), IMPORTED).run_test(size=SIZE) as pilot:
        host = await opened(pilot, tab)
        for keys in (("enter",), ("escape",), ("right", "enter")):
            await pilot.press("P")
            await until(pilot, lambda: isinstance(host.screen, ConfirmDialog))
            assert any(str(code) in str(one.content) for one in host.screen.query(Static))
            with Store.open(database) as held:
                assert held.last_analysis(IMPORTED, kind) is None
            await pilot.press(*keys)
            await until(pilot, lambda: isinstance(host.screen, DetailsScreen))
        with Store.open(database) as held:
            await until(pilot, lambda: held.last_analysis(IMPORTED, kind))
            queued = held.last_analysis(IMPORTED, kind)
        assert queued is not None and isinstance(queued.options, ProfileOptions | GapOptions)
        assert queued.options.trusted_files == (str(code),)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_running_it_again_with_a_module_kept_is_asked_about_too(database: Path, code: Path) -> None:
    async with DetailsHost(_store(database, code), IMPORTED).run_test(size=SIZE) as pilot:
        host = await opened(pilot, "Gap")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(host.screen, KeepFp32Dialog))
        host.screen.query_one(Input).value = "fc"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(host.screen, ConfirmDialog))
        with Store.open(database) as held:
            assert held.live_run_ids() == []
            await pilot.press("right", "enter")
            await until(pilot, held.live_run_ids)


def test_running_it_again_is_refused_without_the_file_that_was_allowed(database: Path, code: Path) -> None:
    _store(database, code)
    with Store.open(database) as held:
        document = held.document(IMPORTED)
        for trusted in ((), (f"{code}.txt",)):
            with pytest.raises(Untrusted) as refused:
                run_again(held, document, ["fc"], trusted)
            assert refused.value.files == (str(code),)
        assert held.live_run_ids() == []


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_duel_is_queued_only_after_a_yes(database: Path, code: Path) -> None:
    documents = [imported_document(code), imported_document(code, OTHER)]
    async with comparing(database, documents, ids=[IMPORTED, OTHER], base=IMPORTED) as pilot:
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        with Store.open(database) as held:
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
            assert held.live_run_ids() == []
            await pilot.press("D")
            await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
            await pilot.press("right", "enter")
            await until(pilot, lambda: isinstance(pilot.app.screen, DuelDialog))
            assert held.live_run_ids() == []
            await pilot.press("enter")
            await until(pilot, held.live_run_ids)
            await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
            await compared(pilot)
            session = held.session(held.summary(held.live_run_ids()[0]).session)
        assert session.spec.trusted_files == (str(code),)
