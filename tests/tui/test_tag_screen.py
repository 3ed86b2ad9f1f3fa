"""Tags of photos on the screen: the dialog, the tags of a run's program, what cannot be read, and cancelling."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from etui.errors import EtuiError
from etui.paths import cache_dir, program_path
from etui.results import RunDocument, WeightsInfo
from etui.services.score_images import Program
from etui.task_data.tagging import Tag, TaggedPhoto, Tagging
from etui.tui.details.text_view import Paper
from etui.tui.screens.tag_photos import TagDialog, TagScreen
from etui.tui.widgets.combo import Combo
from tests.tui.benches import fill, make_app, make_documents, opened, settled
from tests.tui.hosts import notices, until

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
PROGRAM = Program("made-up.pte", Path("made-up.pte"), "xnnpack", None, "net")


def made_up(program: Program, photos: Sequence[Path]) -> Tagging:
    """The tags of photos: two of the first, none of the second, and the last cannot be read."""
    dog, cat, boat = Tag("dog", 0.93), Tag("cat", 0.54), Tag("boat", 0.31)
    tagged = [
        TaggedPhoto(path=str(photos[0]), tags=(dog, cat), best=dog),
        TaggedPhoto(path=str(photos[1]), best=boat),
        *(TaggedPhoto(path=str(photo), error=f"{photo.name} is truncated") for photo in photos[2:]),
    ]
    return Tagging(
        program=program.name, kind="multi-label", threshold=0.5, threshold_source="default", top=None,
        photos=tuple(tagged), photos_per_s=20.0, duration_s=0.1, read_s=0.03, prepare_s=0.02, infer_s=0.08, wait_s=0.01,
        other_s=0.01, threads=1, readers=1, batch=1,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three files that have the names of photos."""
    for name in ("beach/a.jpg", "beach/b.JPG", "forest/c.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "photos"


@pytest.fixture
def tagged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Program, dict[str, Any]]]:
    """What was tagged, with which program and options; the tags are made up."""
    seen: list[tuple[Program, dict[str, Any]]] = []

    def tag_photos(
        program: Program, photos: Sequence[Path], *, progress: Callable[[str, int, int], object], **options: Any
    ) -> Tagging:
        progress(f"{program.name}: loading", 0, len(photos))
        seen.append((program, options))
        return made_up(program, photos)

    monkeypatch.setattr("etui.tui.screens.tag_photos.tag_photos", tag_photos)
    return seen


def cached_program(document: RunDocument) -> Path:
    """Put an empty file into the program cache as the program of a run."""
    assert document.artifact is not None
    path = program_path(cache_dir(), document.artifact.key)
    assert path is not None
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    return path


def screen_of(pilot: Pilot[Any]) -> TagScreen:
    return next(one for one in reversed(pilot.app.screen_stack) if isinstance(one, TagScreen))


def shown(pilot: Pilot[Any]) -> str:
    return " ".join(word for paper in screen_of(pilot).query(Paper) for word in str(paper.content).split())


async def asked(pilot: Pilot[Any]) -> TagDialog:
    await until(pilot, lambda: isinstance(pilot.app.screen, TagDialog))
    await pilot.pause()
    assert isinstance(pilot.app.screen, TagDialog)
    return pilot.app.screen


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_run_and_its_details_lead_to_the_tags(
    database: Path, folder: Path, tagged: list[tuple[Program, dict[str, Any]]]
) -> None:
    (document,) = make_documents(1)
    document.weights = WeightsInfo(kind="pretrained", detail="published")
    program = cached_program(document)
    fill(database, [document])
    async with opened(make_app(database)) as pilot:
        await pilot.press("A")
        dialog = await asked(pilot)
        dialog.path.value = str(folder)
        dialog.confirm()
        await until(pilot, lambda: "beach/a.jpg" in shown(pilot))
        used, options = tagged[0]
        assert (used.path, used.model, used.delegate) == (program, document.model.name, document.delegate)
        assert (options["top"], options["threshold"]) == (None, None)
        for fact in (
            "beach/a.jpg dog 0.93, cat 0.54",
            "beach/b.JPG no category reaches 0.5; the best is boat 0.31",
            "c.png is truncated",
            "20.0 photos/s",
            "inference 0.0800 s (80 %)",
        ):
            assert fact in shown(pilot)
        await pilot.press("y")
        assert "| beach/a.jpg" in pilot.app.clipboard and "dog 0.93, cat 0.54" in pilot.app.clipboard
        await pilot.press("escape", "enter")
        await settled(pilot)
        await pilot.press("A")
        await asked(pilot)


@pytest.mark.asyncio
async def test_a_run_that_has_no_program_or_random_weights_is_not_used(database: Path) -> None:
    (document,) = make_documents(1)
    fill(database, [document])
    async with opened(make_app(database)) as pilot:
        await pilot.press("A")
        await until(pilot, lambda: any("is not in the cache" in one.message for one in notices(pilot.app)))
        cached_program(document)
        assert document.weights is not None and document.weights.kind == "synthetic"
        await pilot.press("A")
        await until(pilot, lambda: any("synthetic weights" in one.message for one in notices(pilot.app)))
        assert not any(isinstance(screen, TagScreen) for screen in pilot.app.screen_stack)


@pytest.mark.asyncio
async def test_options_are_checked_and_used(
    database: Path, folder: Path, tmp_path: Path, tagged: list[tuple[Program, dict[str, Any]]]
) -> None:
    metadata = tmp_path / "net.task.json"
    metadata.write_text("{}")
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(TagScreen(PROGRAM))
        dialog = await asked(pilot)
        for wrong in ("", str(folder / "none.jpg")):
            dialog.path.value = wrong
            dialog.confirm()
            assert dialog.path_row.problem
        dialog.path.value = str(folder)
        top, threshold = (dialog.rows[name].field for name in ("top", "threshold"))
        assert isinstance(top, Input) and isinstance(threshold, Input)
        for name, field, wrong_ones in (("top", top, ("0", "-1", "x")), ("threshold", threshold, ("2", "nan", "x"))):
            for wrong in wrong_ones:
                field.value = wrong
                dialog.confirm()
                assert dialog.rows[name].problem
            field.value = ""
        named = dialog.rows["metadata"].field
        assert isinstance(named, Combo)
        named.value = str(folder)
        dialog.confirm()
        assert dialog.rows["metadata"].problem and not tagged
        top.value, threshold.value, named.value = "3", "0.25", str(metadata)
        dialog.confirm()
        await until(pilot, lambda: tagged)
        used, options = tagged[0]
        assert (used.metadata, options["top"], options["threshold"]) == (metadata, 3, 0.25)


@pytest.mark.asyncio
async def test_a_folder_without_photos_is_named(
    database: Path, tmp_path: Path, tagged: list[tuple[Program, dict[str, Any]]]
) -> None:
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(TagScreen(PROGRAM))
        dialog = await asked(pilot)
        dialog.path.value = str(tmp_path)
        dialog.confirm()
        await until(pilot, lambda: "has no images" in shown(pilot))
        assert not tagged


@pytest.mark.asyncio
async def test_tagging_can_be_cancelled(database: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags: list[Callable[[], bool]] = []
    may_end = threading.Event()

    def endless(
        program: Program, photos: Sequence[Path], *, progress: Callable[[str, int, int], object],
        stopped: Callable[[], bool], **options: Any,
    ) -> Tagging:  # fmt: skip
        flags.append(stopped)
        progress("1 of 3 images", 1, 3)
        may_end.wait(20.0)
        raise EtuiError("stopped")

    monkeypatch.setattr("etui.tui.screens.tag_photos.tag_photos", endless)
    async with opened(make_app(database)) as pilot:
        pilot.app.push_screen(TagScreen(PROGRAM))
        dialog = await asked(pilot)
        dialog.path.value = str(folder)
        dialog.confirm()
        await until(pilot, lambda: "1 of 3 images" in shown(pilot))
        await pilot.press("x")
        await until(pilot, flags[0])
        assert "Cancelled" in shown(pilot)
        may_end.set()
        await pilot.press("r")
        assert (await asked(pilot)).path.value == str(folder)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_snapshots(
    snap_compare: Any, database: Path, folder: Path, tagged: list[tuple[Program, dict[str, Any]]], size: str
) -> None:
    async def before(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        pilot.app.push_screen(TagScreen(PROGRAM))
        dialog = await asked(pilot)
        dialog.path.value = str(folder)
        dialog.confirm()
        await until(pilot, lambda: "beach/a.jpg" in shown(pilot))
        await pilot.pause()

    assert snap_compare(make_app(database), terminal_size=SIZES[size], run_before=before)
