"""A model that would fail is refused before it is queued, at the field that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Static

from etui.services import submit
from etui.store import Store
from etui.tui.picker_form import FormValues, remember
from tests.tui.benches import app_of, make_app, opened
from tests.tui.hosts import notices, until, work_done

OWN = Path(__file__).parents[1] / "services" / "own_models.py"

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]


async def test_a_model_that_would_fail_is_not_queued(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("queued")

    monkeypatch.setattr(submit, "submit", never)
    remember(FormValues(model=f"{OWN}:raises"))
    async with opened(make_app(database)) as pilot:
        await pilot.press("r")
        await until(pilot, lambda: any("ZeroDivisionError" in notice.message for notice in notices(pilot.app)))
        await work_done(pilot)
        picker = app_of(pilot).bench.picker
        assert picker is not None and picker.has_focus_within
        problems = [str(part.content) for part in picker.query(Static)]
        assert any(text.startswith("! own_models.py") for text in problems)
    with Store.open(database) as store:
        assert store.count() == 0
