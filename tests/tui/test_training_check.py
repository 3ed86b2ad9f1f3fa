"""The training check on the screen: from a run, its details and the picker; its options, progress, result and end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from etui.errors import EtuiError
from etui.store import Store
from etui.training_check import Failure, OptimizerCheck, StoredCheck, TrainingCheck, TrainingOptions, TrainingStep
from etui.tui.details.text_view import Paper
from etui.tui.screens.details import DetailsScreen
from etui.tui.screens.training_check import TrainingCheckScreen
from etui.tui.screens.training_options import TrainingDialog
from etui.tui.widgets.cycle import Cycle
from tests.tui.benches import fill, make_app, make_documents, opened, settled
from tests.tui.hosts import until, work_done

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}


def made_up(model: str = "net") -> TrainingCheck:
    """A check in which one optimizer fails."""
    losses = {"sgd": [2.0 * 0.93**step for step in range(20)], "adamw": [2.0 * 0.8**step for step in range(20)]}
    failure = Failure(kind="no gradient", places=["body.3 (Linear): weight, bias"])
    return TrainingCheck(
        model=model,
        title="a made-up network",
        losses=["cross entropy of 10 logits"],
        targets="drawn with seed 0",
        inputs=["4x8 float32"],
        batch=4,
        steps=20,
        seed=0,
        trainable_parameters=6,
        trainable_elements=248,
        frozen=[],
        optimizers=[
            OptimizerCheck(
                optimizer=name,  # type: ignore[arg-type]
                learning_rate=0.01,
                passed=name == "adamw",
                failures=[] if name == "adamw" else [failure],
                losses=list(values),
                begin_loss=values[0],
                end_loss=values[-1],
                gradient_norms=[1.5, 1.0, 0.5],
                module_gradient_norms={"body.0": 0.5, "body.3": 1.0},
                changed_parameters=6,
                step_ms=2.5,
                peak_rss_bytes=330_000_000,
            )
            for name, values in losses.items()
        ],
        torch_version="2.13.0",
        at="2026-11-28T09:00:00.000Z",
    )


def stored(check: TrainingCheck | None, *, hour: int = 9, error: str | None = None) -> StoredCheck:
    model = "net" if check is None else check.model
    return StoredCheck(
        id=f"aaaaaaaaaa{hour:02}",
        created_at=f"2026-11-28T{hour:02}:00:00.000Z",
        model=model,
        reference=model,
        options=TrainingOptions(),
        box="bench-1",
        cpu="a CPU",
        versions={"torch": "2.13.0"},
        check=check,
        error=error,
    )


def keep(database: Path, *checks: StoredCheck) -> None:
    with Store.open(database) as store:
        for check in checks:
            store.add_training_check(check)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, TrainingOptions]]:
    """What was trained; the result is made up."""
    seen: list[tuple[str, TrainingOptions]] = []

    def check(
        model: str, options: TrainingOptions, *, keep: Callable[[StoredCheck], object], **rest: Any
    ) -> TrainingCheck:
        seen.append((model, options))
        made = made_up(model)
        keep(stored(made, hour=10 + len(seen)))
        return made

    monkeypatch.setattr("etui.tui.screens.training_check.check_training", check)
    monkeypatch.setattr("etui.tui.screens.training_check.reference_of", lambda model: model)
    return seen


def screen_of(pilot: Pilot[Any]) -> TrainingCheckScreen:
    return next(one for one in reversed(pilot.app.screen_stack) if isinstance(one, TrainingCheckScreen))


def shown(pilot: Pilot[Any]) -> str:
    papers = [str(paper.content) for screen in pilot.app.screen_stack for paper in screen.query(Paper)]
    return " ".join(" ".join(papers).split())


async def ended(pilot: Pilot[Any]) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, TrainingCheckScreen))
    await until(pilot, lambda: screen_of(pilot).check is not None)
    await work_done(pilot)
    await pilot.pause()


async def asked(pilot: Pilot[Any]) -> TrainingDialog:
    await until(pilot, lambda: isinstance(pilot.app.screen, TrainingDialog))
    await pilot.pause()
    assert isinstance(pilot.app.screen, TrainingDialog)
    return pilot.app.screen


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_run_its_details_and_the_picker_lead_to_the_check(
    database: Path, trained: list[tuple[str, TrainingOptions]]
) -> None:
    documents = make_documents(2)
    fill(database, documents)
    name = documents[-1].model.name
    async with opened(make_app(database)) as pilot:
        await pilot.press("C")
        await asked(pilot)
        await pilot.press("enter")
        await ended(pilot)
        assert trained == [(name, TrainingOptions())]
        assert "FAIL with sgd; PASS with adamw" in shown(pilot)
        assert "body.3 (Linear): weight, bias" in shown(pilot)
        await pilot.press("y")
        assert "body.3" in pilot.app.clipboard and "| adamw" in pilot.app.clipboard
        await pilot.press("escape", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen))
        await work_done(pilot)
        await pilot.press("C")
        await ended(pilot)
        assert len(trained) == 1  # the stored one is shown
        await pilot.press("escape", "escape")
        await settled(pilot)
        await pilot.press("n", "end", "ctrl+u", *"gpt2", "enter", "ctrl+l")
        await asked(pilot)
        await pilot.press("enter")
        await ended(pilot)
        assert trained[-1][0] == "gpt2"


@pytest.mark.asyncio
async def test_options_are_checked_and_used(
    database: Path, tmp_path: Path, trained: list[tuple[str, TrainingOptions]]
) -> None:
    keep(database, stored(made_up()))
    (tmp_path / "inputs").mkdir()
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(TrainingCheckScreen("net"))
        await ended(pilot)
        await pilot.press("r")
        dialog = await asked(pilot)
        steps, rate, batch, data = dialog.query(Input)
        steps.value, rate.value, batch.value, data.value = "3", "nan", "0", str(tmp_path / "none")
        await pilot.press("enter")
        assert [name for name, row in dialog.rows.items() if row.problem] == ["steps", "rate", "batch", "data"]
        steps.value, rate.value, batch.value, data.value = "8", "0.5", "2", ""
        dialog.query_one(Cycle).value = "mse"
        dialog.confirm()
        await until(pilot, lambda: trained)
        await ended(pilot)
        assert trained[0][1] == TrainingOptions(loss="mse", steps=8, learning_rate=0.5, batch=2)


@pytest.mark.asyncio
async def test_progress_is_shown_and_cancelling_stops_the_work(
    database: Path, trained: list[tuple[str, TrainingOptions]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_flags: list[Callable[[], bool]] = []
    may_end = threading.Event()

    def endless(
        model: str,
        options: TrainingOptions,
        *,
        keep: Callable[[StoredCheck], object],
        begin: Callable[[str], object],
        step: Callable[[TrainingStep], object],
        stopped: Callable[[], bool],
    ) -> TrainingCheck:
        del keep
        stopped_flags.append(stopped)
        begin("net: training ..")
        for number, loss in enumerate((3.0, 2.0, None), 1):
            step(TrainingStep(optimizer="adam", text="training with adam", step=number, steps=9, loss=loss, left_s=7.0))
        may_end.wait(20.0)
        raise EtuiError("stopped")

    monkeypatch.setattr("etui.tui.screens.training_check.check_training", endless)
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(TrainingCheckScreen("net"))
        await asked(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "step 3 of 9, loss not finite, about 0:07 left" in shown(pilot))
        assert "not finite" in shown(pilot)
        await pilot.press("x")
        await until(pilot, stopped_flags[0])
        assert not screen_of(pilot).is_checking and "Cancelled" in shown(pilot)
        await pilot.press("r")
        await asked(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: len(stopped_flags) == 2)
        await pilot.press("q")
        await until(pilot, stopped_flags[1])
        may_end.set()


@pytest.mark.asyncio
async def test_stored_checks_are_shown_one_after_the_other_and_deleted(
    database: Path, trained: list[tuple[str, TrainingOptions]]
) -> None:
    keep(
        database,
        stored(None, hour=7, error="the backward pass failed"),
        stored(made_up()),
        stored(made_up("other"), hour=8),
    )
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(TrainingCheckScreen("net"))
        await ended(pilot)
        await pilot.press("h")
        await until(pilot, lambda: "error: the backward pass failed" in shown(pilot))
        await pilot.press("l")
        await until(pilot, lambda: "FAIL with sgd" in shown(pilot))
        await pilot.press("d", "right", "enter")
        await until(pilot, lambda: "error: the backward pass failed" in shown(pilot))
        await pilot.press("d", "enter")  # keeps it
        await pilot.pause()
        await pilot.press("d", "right", "enter")
        await until(pilot, lambda: "No check of this model is stored" in shown(pilot))
    with Store.open(database) as store:
        assert [one.model for one in store.training_checks()] == ["other"]


@pytest.mark.asyncio
async def test_a_model_that_cannot_be_trained_is_explained(database: Path, tmp_path: Path) -> None:
    program = tmp_path / "net.pte"
    program.write_bytes(b"")
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(TrainingCheckScreen(str(program)))
        await until(pilot, lambda: "cannot be trained" in shown(pilot))
        assert isinstance(pilot.app.screen, TrainingCheckScreen)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_snapshots(snap_compare: Any, database: Path, trained: list[tuple[str, TrainingOptions]], size: str) -> None:
    keep(database, stored(made_up()), stored(None, hour=8, error="the backward pass failed"))

    async def before(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        pilot.app.push_screen(TrainingCheckScreen("net"))
        await ended(pilot)

    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=before)
