"""Saved configurations on the screen: saved by name, used, replaced and removed after a question; and the last runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from etui.config import config_path
from etui.services.session_config import SessionConfig
from etui.services.session_file import read_saved, save, saved_names
from etui.tui.picker_form import FormValues, remember
from etui.tui.screens.configurations import ConfigurationsDialog, load_choices
from etui.tui.screens.confirm import ConfirmDialog
from etui.tui.widgets.picker import Picker
from tests.tui.benches import app_of, make_app, opened
from tests.tui.hosts import DialogHost, type_text, until, work_done

pytestmark = pytest.mark.asyncio
CURRENT = FormValues(model="resnet18", precisions=("int8",), seed="4", keep_fp32="fc", others={"wait_quiet": 3.0})


def host(current: FormValues = CURRENT) -> DialogHost:
    return DialogHost(lambda: ConfigurationsDialog(load_choices(), current))


def results(pilot: Pilot[None]) -> list[Any]:
    assert isinstance(pilot.app, DialogHost)
    return pilot.app.results


def dialog(pilot: Pilot[None]) -> ConfigurationsDialog:
    assert isinstance(pilot.app.screen, ConfigurationsDialog)
    return pilot.app.screen


def lines(pilot: Pilot[None]) -> list[str]:
    return [str(option.prompt) for option in pilot.app.screen.query_one(OptionList).options]


async def name_it(pilot: Pilot[None], name: str) -> None:
    await pilot.press("ctrl+u")
    await type_text(pilot, name)
    await pilot.press("enter")


@pytest.mark.slow
async def test_what_the_picker_has_is_saved_under_a_name_and_used_again() -> None:
    async with host().run_test() as pilot:
        await pilot.pause()
        await name_it(pilot, "two words")
        await until(pilot, lambda: "two words" in dialog(pilot).status)
        assert saved_names() == []
        await name_it(pilot, "nightly")
        await until(pilot, lambda: any("nightly" in line for line in lines(pilot)))
        await pilot.press("enter")
        await until(pilot, lambda: results(pilot))
    assert results(pilot) == [CURRENT]
    assert read_saved("nightly") == SessionConfig(
        models=("resnet18",), precisions=("int8",), delegates=("xnnpack",), seed=4, keep_fp32=("fc",), wait_quiet_min=3
    )


async def test_relative_paths_are_saved_as_absolute_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with host(FormValues(model="net.py:make", weights="w.pt")).run_test() as pilot:
        await pilot.pause()
        await name_it(pilot, "mine")
        await until(pilot, lambda: saved_names())
    saved = read_saved("mine")
    assert (saved.models, saved.weights) == ((f"{tmp_path}/net.py:make",), f"{tmp_path}/w.pt")


async def test_invalid_values_are_not_saved() -> None:
    async with host(FormValues(repeat="0")).run_test() as pilot:
        await pilot.pause()
        await name_it(pilot, "mine")
        await until(pilot, lambda: "at least 1" in dialog(pilot).status)
    assert saved_names() == []


@pytest.mark.parametrize("answer", [True, False])
async def test_a_name_that_is_taken_is_replaced_only_after_a_question(answer: bool) -> None:
    before = SessionConfig(models=("gpt2",))
    save("mine", before, force=False)
    async with host().run_test() as pilot:
        await pilot.pause()
        await pilot.press("tab")
        await name_it(pilot, "mine")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press(*(["right"] if answer else []), "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfigurationsDialog))
        await work_done(pilot)
    assert (read_saved("mine") != before) == answer


@pytest.mark.parametrize("answer", [True, False])
async def test_a_configuration_is_removed_only_after_a_question(answer: bool) -> None:
    save("mine", SessionConfig(models=("gpt2",)), force=False)
    remember(FormValues(model="minilm"))
    async with host().run_test() as pilot:
        await pilot.pause()
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press(*(["right"] if answer else []), "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfigurationsDialog))
        await work_done(pilot)
        await pilot.pause()
        assert any("gpt2" in line for line in lines(pilot)) != answer
        assert any("minilm" in line for line in lines(pilot))
    assert saved_names() == ([] if answer else ["mine"])


async def test_one_of_the_last_runs_is_used_but_not_removed() -> None:
    for model in ("gpt2", "minilm"):
        remember(FormValues(model=model))
    async with host().run_test() as pilot:
        await pilot.pause()
        await pilot.press("delete", "down", "enter")
        await until(pilot, lambda: results(pilot))
    assert [values.model for values in results(pilot)] == ["gpt2"]


async def test_a_damaged_file_says_why_and_cannot_be_used() -> None:
    folder = config_path().parent / "configurations"
    folder.mkdir(parents=True)
    (folder / "bad.toml").write_text("precison = ['int8']\n")
    (folder / "ignored name.toml").write_text("")
    async with host().run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert len(lines(pilot)) == 1 and "bad" in lines(pilot)[0]
        await pilot.press("enter")
        await until(pilot, lambda: "did you mean precisions" in dialog(pilot).status)
        assert not results(pilot)


@pytest.mark.slow
async def test_on_the_bench_a_key_opens_it_and_the_picker_takes_what_is_picked(database: Path) -> None:
    save("mine", SessionConfig(models=("gpt2",), precisions=("int8",), preset="quick", seed=9), force=False)
    async with opened(make_app(database)) as pilot:
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfigurationsDialog))
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app_of(pilot).screen, ConfigurationsDialog))
        picker = pilot.app.screen.query_one(Picker)
        await until(pilot, lambda: picker.choice.model == "gpt2")
        assert (picker.choice.precisions, picker.choice.preset, picker.choice.seed) == (("int8",), "quick", "9")
        assert pilot.app.focused is not None and picker in pilot.app.focused.ancestors
