"""The evaluation of programs on labelled images on the screen: its options, progress, result and end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from etui.analysis.program_evaluation import DataInfo, Evaluation, ProgramEvaluation
from etui.analysis.task_metrics import differences, evaluate
from etui.errors import EtuiError
from etui.services.score_images import Program
from etui.task_data.digits import make_digits
from etui.tui.details.text_view import Paper
from etui.tui.screens.evaluate import EvaluateDialog, EvaluateScreen
from tests.tui.benches import fill, make_app, make_documents, opened, settled
from tests.tui.hosts import until

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
PROGRAMS = [Program(f"{name} net int8/xnnpack", Path(f"{name}.pte"), "xnnpack") for name in ("aaaa", "bbbb")]
CATEGORIES = ("ant", "bee", "cat")


def made_up(programs: Sequence[Program] = PROGRAMS) -> Evaluation:
    random = np.random.default_rng(0)
    labels = random.random((60, 3)) < 0.4
    scores = [(labels + random.random((60, 3))) / 2 for _ in programs]
    return Evaluation(
        data=DataInfo("digits", "test", "multi-label", 60, 60, "cf475e53b773" + 52 * "0"),
        threshold_data=None,
        seed=0,
        programs=tuple(
            ProgramEvaluation(
                program=program.name,
                metrics=evaluate(one, labels, "multi-label"),
                categories=CATEGORIES,
                threshold_source="default",
                images_per_s=100.0,
                waiting_share=0.05,
                batch=1,
                threads=1,
                readers=1,
                difference=differences(one, scores[0], labels, "multi-label") if place else None,
            )
            for place, (program, one) in enumerate(zip(programs, scores, strict=True))
        ),
    )


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "digits"
    make_digits(folder, images=70, size=32, seed=1)
    return folder


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Program], Path, str | None, Any]]:
    """What was evaluated; the results are made up."""
    seen: list[tuple[list[Program], Path, str | None, Any]] = []

    def work(
        programs: Sequence[Program], folder: Path, split: str | None, *, threshold: Any, progress: Any, **rest: Any
    ) -> Evaluation:
        progress("aaaa: 10 of 60 images", 10, 60)
        seen.append((list(programs), folder, split, threshold))
        return made_up(programs)

    monkeypatch.setattr("etui.tui.screens.evaluate.evaluate_programs", work)
    return seen


def screen_of(pilot: Pilot[Any]) -> EvaluateScreen:
    return next(one for one in reversed(pilot.app.screen_stack) if isinstance(one, EvaluateScreen))


def shown(pilot: Pilot[Any]) -> str:
    return " ".join(word for paper in screen_of(pilot).query(Paper) for word in str(paper.content).split())


async def asked(pilot: Pilot[Any]) -> EvaluateDialog:
    await until(pilot, lambda: isinstance(pilot.app.screen, EvaluateDialog))
    await pilot.pause()
    assert isinstance(pilot.app.screen, EvaluateDialog)
    return pilot.app.screen


@pytest.mark.asyncio
async def test_programs_are_evaluated_and_the_result_is_shown_and_copied(
    database: Path, digits: Path, evaluated: list[tuple[list[Program], Path, str | None, Any]]
) -> None:
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(EvaluateScreen(PROGRAMS))
        dialog = await asked(pilot)
        split, threshold = dialog.rows["split"].query_one(Input), dialog.rows["threshold"].query_one(Input)
        for folder in ("", str(digits / "none")):
            dialog.path.value = folder
            dialog.confirm()
            assert dialog.path_row.problem and pilot.app.screen is dialog
        dialog.path.value = str(digits)
        for wrong in ("much", "2", "nan"):
            threshold.value = wrong
            dialog.confirm()
            assert dialog.rows["threshold"].problem and pilot.app.screen is dialog
        split.value, threshold.value = "test", "auto"
        dialog.confirm()
        await until(pilot, lambda: screen_of(pilot).evaluation is not None)
        assert evaluated == [(PROGRAMS, digits, "test", "auto")]
        expected = made_up()
        first = expected.programs[0].metrics.mean_average_precision
        assert first is not None
        assert f"{100 * first.value:.1f}" in shown(pilot) and "ant" in shown(pilot)
        assert f"difference from {PROGRAMS[0].name}" in shown(pilot)
        await pilot.press("y")
        assert "cf475e53b773" in pilot.app.clipboard and PROGRAMS[1].name in pilot.app.clipboard


@pytest.mark.asyncio
async def test_an_evaluation_can_be_cancelled(database: Path, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags: list[Callable[[], bool]] = []
    may_end = threading.Event()

    def endless(*given: Any, stopped: Callable[[], bool], progress: Any, **rest: Any) -> Evaluation:
        flags.append(stopped)
        progress("aaaa: 10 of 60 images", 10, 60)
        may_end.wait(20.0)
        raise EtuiError("stopped")

    monkeypatch.setattr("etui.tui.screens.evaluate.evaluate_programs", endless)
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(EvaluateScreen(PROGRAMS[:1]))
        dialog = await asked(pilot)
        dialog.path.value = str(digits)
        dialog.confirm()
        await until(pilot, lambda: "10 of 60 images" in shown(pilot))
        await pilot.press("r")
        assert pilot.app.screen is screen_of(pilot)
        await pilot.press("x")
        await until(pilot, flags[0])
        assert "Cancelled" in shown(pilot)
        may_end.set()
        await pilot.press("q")
        assert not any(isinstance(one, EvaluateScreen) for one in pilot.app.screen_stack)


@pytest.mark.asyncio
async def test_marked_runs_are_evaluated_together_and_a_program_that_is_gone_is_explained(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = make_documents(2)
    fill(database, documents)
    async with opened(make_app(database)) as pilot:
        await pilot.press("E")
        await until(pilot, lambda: any("not in the cache" in str(note.message) for note in pilot.app._notifications))

    def program(document: Any, *, imported: bool) -> Program:
        return Program(document.id, Path("net.pte"), "xnnpack")

    monkeypatch.setattr("etui.services.run_programs.program_of_run", program)
    async with opened(make_app(database)) as pilot:
        await pilot.press("space", "space", "E")
        await asked(pilot)
        assert {one.name for one in screen_of(pilot)._programs} == {one.id for one in documents}
        await pilot.press("escape", "escape", "minus", "enter")
        await settled(pilot)
        await pilot.press("E")
        await asked(pilot)
        assert len(screen_of(pilot)._programs) == 1


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_snapshots(
    snap_compare: Any, database: Path, evaluated: list[tuple[list[Program], Path, str | None, Any]], size: str
) -> None:
    async def before(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        screen = EvaluateScreen(PROGRAMS)
        pilot.app.push_screen(screen)
        await asked(pilot)
        await pilot.press("escape")
        screen._done(made_up())
        await pilot.pause()

    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=before)
