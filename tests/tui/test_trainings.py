"""Trainings on the screen: the table, live figures and charts, starting, cancelling, continuing and deleting."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from etui.events import Event
from etui.paths import installation
from etui.services import train as service
from etui.store import RunnerIdentity, Store
from etui.task_training import BEST, LAST, QueuedTraining, StepFigures
from etui.tui.details.text_view import Paper
from etui.tui.screens.train_model import TrainModelDialog
from etui.tui.screens.trainings import DeleteTrainingDialog, TrainingsScreen
from etui.tui.widgets.cycle import Cycle
from tests.machines import until as wait_until
from tests.trainings import make_epoch, make_image_folder, make_request, make_trained
from tests.tui.benches import make_app, opened, settled
from tests.tui.hosts import until, work_done

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
OWNER = RunnerIdentity(pid=os.getpid(), host=socket.gethostname(), user="me", started_at="2026-11-20T09:59:00.000Z")


@pytest.fixture(autouse=True)
def without_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """No runner is started, and none of a test is taken for dead."""
    monkeypatch.setattr(service, "start_and_check", lambda database: None)
    monkeypatch.setattr("etui.tui.feed.Feed._look_after_runner", lambda *arguments: None)
    monkeypatch.setattr("etui.services.train.recover", lambda store: [])
    monkeypatch.setattr("etui.tui.screens.trainings._REST_S", 0.1)


def fill(database: Path, folder: Path, *, epochs: int = 6, total: int = 10) -> tuple[str, str]:
    """Store a training that is done and one that runs, and return their ids."""
    with Store.open(database) as store:
        done = store.add_training(make_request(str(folder / "done")), box="bench-1")
        store.claim_next(OWNER)
        store.save_trained(done.id, make_trained(done.request))
        store.set_training_status(done.id, "done")
        request = make_request(str(folder / "live"), epochs=total, model="mobilenet_v2")
        live = store.add_training(request, box=socket.gethostname(), installation=installation())
        store.claim_next(RunnerIdentity(**{**_fields(OWNER), "installation": installation()}))
        store.set_training_status(live.id, "running")
        for number in range(1, epochs + 1):
            store.add_training_event(live.id, Event(kind="log", message="", epoch=make_epoch(number, 0.1 * number)))
        add_progress(store, live.id, epochs, total)
    return done.id, live.id


def _fields(owner: RunnerIdentity) -> dict[str, Any]:
    return {name: getattr(owner, name) for name in owner.__struct_fields__}


def add_progress(store: Store, training_id: str, epochs: int, total: int) -> None:
    step = StepFigures(epoch=epochs + 1, loss=0.125, learning_rate=0.0175, images_per_second=12.0)
    event = Event(kind="progress", message="", done=epochs + 0.5, total=float(total), left_s=75.0, step=step)
    store.add_training_event(training_id, event)


def shown(pilot: Pilot[Any]) -> str:
    papers = [str(paper.content) for screen in pilot.app.screen_stack for paper in screen.query(Paper)]
    return " ".join(" ".join(papers).split())


async def listed(pilot: Pilot[Any], count: int) -> TrainingsScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, TrainingsScreen))
    screen = pilot.app.screen
    assert isinstance(screen, TrainingsScreen)
    await until(pilot, lambda: len(screen.trainings) == count)
    await pilot.pause()
    return screen


def stored(database: Path) -> list[QueuedTraining]:
    with Store.open(database) as store:
        return store.trainings()


@pytest.mark.asyncio
async def test_a_running_training_is_shown_live_and_cancelled(database: Path, tmp_path: Path) -> None:
    done, live = fill(database, tmp_path)
    async with opened(make_app(database)) as pilot:
        await pilot.press("T")
        screen = await listed(pilot, 2)
        assert screen.training is not None and screen.training.id == live
        await until(pilot, lambda: "epoch 7 of 10: loss 0.1250, learning rate 0.0175, 12 images/s" in shown(pilot))
        assert "about 75 s left" in shown(pilot)
        for title in ("loss 0.125", "mAP 0.6", "learning rate 0.0175", "images/s 12"):
            assert title in shown(pilot)
        with Store.open(database) as store:
            store.add_training_event(live, Event(kind="log", message="", epoch=make_epoch(7, 0.5)))
            add_progress(store, live, 7, 10)
        await until(pilot, lambda: "epoch 8 of 10" in shown(pilot) and "mAP 0.5" in shown(pilot))
        await pilot.press("x")
        await work_done(pilot)
        with Store.open(database) as store:
            wait_until(lambda: store.training_cancel_requested(live))
            store.set_training_status(live, "cancelled")
        await until(pilot, lambda: "cancelled" in shown(pilot))
        await pilot.press("down")
        await until(pilot, lambda: "0.1250, FP32, XNNPACK" in shown(pilot))
        assert screen.training is not None and screen.training.id == done
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is not screen)


@pytest.mark.asyncio
async def test_a_training_is_started_with_what_the_form_has(database: Path, tmp_path: Path) -> None:
    data = make_image_folder(tmp_path / "data")
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(TrainingsScreen("resnet18"))
        await until(pilot, lambda: "no trainings yet" in shown(pilot))
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, TrainModelDialog))
        dialog = pilot.app.screen
        assert isinstance(dialog, TrainModelDialog)
        model, folder_of_data, folder, epochs, batch, pixels, rate, initial = dialog.query(Input)
        assert model.value == "resnet18"
        epochs.value, batch.value, pixels.value, rate.value = "0", "1", "7", "nan"
        initial.value, model.value = str(tmp_path / "none"), "nothing"
        dialog.confirm()
        assert all(row.problem for name, row in dialog.rows.items() if name not in ("loss", "optimizer", "qat", "flip"))
        epochs.value, batch.value, pixels.value, rate.value = "3", "8", "32", ""
        initial.value, model.value = "pretrained", "resnet18"
        folder_of_data.value, folder.value = str(tmp_path), str(tmp_path / "out")
        dialog.confirm()
        assert dialog.status  # the folder has no images
        folder_of_data.value = str(data)
        _, optimizer, qat, flip = dialog.query(Cycle)
        optimizer.value, qat.value, flip.value = "adamw", "lsq", "no"
        dialog.confirm()
        await until(pilot, lambda: bool(stored(database)))
        (training,) = stored(database)
        settings = training.request.settings
        assert (settings.epochs, settings.batch, settings.size, settings.qat) == (3, 8, 32, "lsq")
        assert (settings.optimizer, settings.flip, settings.initial) == ("adamw", False, "pretrained")
        assert (settings.learning_rate, settings.weight_decay) == pytest.approx((1e-4, 5e-5))
        assert (training.request.data, training.request.folder) == (str(data), str(tmp_path / "out"))
        screen = await listed(pilot, 1)
        await until(pilot, lambda: "waits for the machine" in shown(pilot))
        await pilot.press("x")
        await until(pilot, lambda: stored(database)[0].status == "cancelled")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / LAST).write_bytes(b"")
        await until(pilot, lambda: screen.training is not None and not screen.training.live)
        await pilot.press("c")
        await until(pilot, lambda: stored(database)[0].status == "queued")
        assert stored(database)[0].request.resume


@pytest.mark.asyncio
async def test_a_training_is_deleted_with_or_without_its_files(database: Path, tmp_path: Path) -> None:
    with Store.open(database) as store:
        for name in ("one", "two"):
            training = store.add_training(make_request(str(tmp_path / name)), box="")
            store.set_training_status(training.id, "failed", "no space is left on the disk")
            (tmp_path / name).mkdir()
            (tmp_path / name / BEST).write_bytes(bytes(2_000_000))
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(TrainingsScreen())
        await listed(pilot, 2)
        await until(pilot, lambda: "failed: no space is left" in shown(pilot) and "2.00 MB" in shown(pilot))
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, DeleteTrainingDialog))
        await pilot.press("enter")  # keeps everything
        await listed(pilot, 2)
        for keys in (("right", "right", "enter"), ("right", "enter")):
            count = len(stored(database))
            await pilot.press("d")
            await until(pilot, lambda: isinstance(pilot.app.screen, DeleteTrainingDialog))
            await pilot.press(*keys)
            await listed(pilot, count - 1)
    assert stored(database) == []
    assert (tmp_path / "one" / BEST).exists() and not (tmp_path / "two").exists()


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_snapshots(snap_compare: Any, database: Path, monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    moments = iter(f"2026-11-28T09:00:{number:02}.000Z" for number in range(60))
    monkeypatch.setattr("etui.store.trainings.utc_now", lambda: next(moments))
    identifiers = iter(("aaaaaaaaaaa1", "aaaaaaaaaaa2"))
    monkeypatch.setattr("etui.store.trainings.new_id", lambda: next(identifiers))
    fill(database, Path("/trainings"))

    async def before(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        pilot.app.push_screen(TrainingsScreen())
        await listed(pilot, 2)
        await until(pilot, lambda: "epoch 7 of 10" in shown(pilot))

    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=before)
