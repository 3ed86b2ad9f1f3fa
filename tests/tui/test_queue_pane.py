"""The queue: which session is measured, and which wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.spec import SessionSpec, Variant
from etui.store import QueuedSession, Store
from etui.task_training import QueuedTraining, TrainingStatus
from etui.tui.glyphs import ASCII
from etui.tui.widgets.queue_pane import QueuePane
from tests.documents import MODEL, make_spec
from tests.trainings import make_epoch, make_request
from tests.tui.benches import make_app, opened
from tests.tui.hosts import Host, until

pytestmark = pytest.mark.asyncio


def session(number: int, model: str = "resnet18") -> QueuedSession:
    variants = (Variant("fp32", "xnnpack"), Variant("int8", "xnnpack"))
    runs = [(f"run{index}", variant) for index, variant in enumerate(variants)]
    spec = SessionSpec(model=model, variants=variants)
    return QueuedSession(id=f"session{number}", spec=spec, created_at="", box=None, runs=runs)


async def test_one_is_measured_and_the_others_wait() -> None:
    async with Host(QueuePane, width=34).run_test() as pilot:
        pane = pilot.app.query_one(QueuePane)
        pane.show([session(1), session(2, "gpt2")], "session1")
        await pilot.pause()
        assert str(pane.render()).splitlines()[0] == "▌● resnet18 fp32+int8 xnnpack"
        pilot.app.set_focus(None)
        await until(pilot, lambda: not pane.has_focus)
        assert str(pane.render()).splitlines() == ["● resnet18 fp32+int8 xnnpack", "· gpt2 fp32+int8 xnnpack"]
        assert "1 waiting" in str(pane.border_title)


async def test_a_waiting_session_says_when_it_starts() -> None:
    async with Host(QueuePane, width=34).run_test() as pilot:
        pane = pilot.app.query_one(QueuePane)
        sessions = [session(1), session(2, "gpt2"), session(3, "minilm")]
        pane.show(sessions, "session1", 0.5, {"session2": 31.0, "session3": 720.0})
        await pilot.pause()
        assert [line[-9:] for line in str(pane.render()).splitlines()] == ["int8 50 %", "8 in 30 s", "in 12 min"]


async def test_trainings_are_below_the_sessions_with_their_epochs() -> None:
    def training(number: int, status: TrainingStatus, epochs: int) -> QueuedTraining:
        figures = [make_epoch(one) for one in range(1, epochs + 1)]
        request = make_request(model="/home/me/net.py:make" if number else "resnet18")
        return QueuedTraining(id=f"{number}", request=request, status=status, created_at="", epochs=figures)

    async with Host(QueuePane, width=34).run_test() as pilot:
        pane = pilot.app.query_one(QueuePane)
        pilot.app.set_focus(None)
        await until(pilot, lambda: not pane.has_focus)
        pane.show([session(1)], None, trainings=[training(0, "running", 1), training(1, "queued", 0)])
        await pilot.pause()
        assert str(pane.render()).splitlines()[1:] == ["● train resnet18 1/2", "· train net.py:make"]
        assert "2 waiting" in str(pane.border_title)


async def test_an_empty_queue_says_so() -> None:
    async with Host(QueuePane).run_test() as pilot:
        assert "empty" in str(pilot.app.query_one(QueuePane).render())


async def test_those_that_do_not_fit_are_counted() -> None:
    async with Host(QueuePane, width=34).run_test() as pilot:
        pane = pilot.app.query_one(QueuePane)
        pane.show([session(number) for number in range(9)], None)
        await pilot.pause()
        lines = str(pane.render()).splitlines()
        assert len(lines) == 4
        assert lines[-1] == "  and 6 more"


async def test_a_model_of_the_user_s_own_is_shown_by_its_file_and_as_text() -> None:
    async with Host(QueuePane, width=60).run_test() as pilot:
        pane = pilot.app.query_one(QueuePane)
        pilot.app.set_focus(None)
        await until(pilot, lambda: not pane.has_focus)
        pane.show([session(1, "/home/me/[red]net\x1b[31m.pte")], None)
        assert str(pane.render()).startswith("· [red]net.pte fp32")


async def test_a_terminal_without_unicode_gets_plain_signs() -> None:
    host = Host(QueuePane, width=34)
    host.glyphs = ASCII
    async with host.run_test() as pilot:
        pane = pilot.app.query_one(QueuePane)
        pane.show([session(1), session(2)], "session1")
        assert str(pane.render()).isascii()


@pytest.mark.slow
async def test_sessions_are_moved_and_cancelled_in_the_queue(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etui.runner.start.ensure_runner", lambda path: None)
    with Store.open(database) as store:
        for model in ("resnet18", "gpt2", "minilm"):
            store.add_session(make_spec(("fp32", "xnnpack"), model=model), model=MODEL, box="x")

        def order() -> list[str]:
            return [store.session(session_id).spec.model for session_id, _, _ in store.waiting_sessions()]

        async with opened(make_app(database, live=True), (80, 24)) as pilot:
            pane = pilot.app.screen.query_one(QueuePane)
            await until(pilot, lambda: "2 waiting" in str(pane.border_title) or "3 waiting" in str(pane.border_title))
            await pilot.press("Q")
            await until(pilot, lambda: pane.has_focus and pane.session is not None)
            await pilot.press("j", "k", "J")
            await until(pilot, lambda: order() == ["gpt2", "resnet18", "minilm"])
            await until(pilot, lambda: "gpt2" in str(pane.render()).splitlines()[0])
            assert pane.session is not None and pane.session.spec.model == "resnet18"
            await pilot.press("K")
            await until(pilot, lambda: order() == ["resnet18", "gpt2", "minilm"])
            await pilot.press("x")
            await until(pilot, lambda: order() == ["gpt2", "minilm"])
