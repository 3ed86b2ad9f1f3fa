"""The config file: valid settings are used, invalid ones give a notice, and nothing in it stops the app."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from etui.config import ABOUT, Config, config_path, load
from etui.config_text import as_toml

IDS = frozenset({"bench.run", "table.down"})


def test_defaults_are_used_without_a_file(tmp_path: Path) -> None:
    loaded = load(tmp_path / "config.toml", IDS)
    assert (loaded.config, loaded.notices) == (Config(), ())


def test_valid_settings_are_used(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('theme = "etui-light"\nascii = true\ncolumns = ["when", "p50"]\n[keys]\n"bench.run" = "f5"\n')
    loaded = load(path, IDS)
    assert loaded.notices == ()
    assert loaded.config == Config(theme="etui-light", ascii=True, columns=("when", "p50"), keys={"bench.run": "f5"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('theme = "pink"', "theme = 'pink' is not valid"),
        ("theme = 3", "theme = 3 is not valid"),
        ('colour = "red"', "unknown setting 'colour'; one of theme, keys"),
        ('[keys]\n"bench.fly" = "f"', "unknown action 'bench.fly'"),
        ("[keys]\nup = 3", "keys = {'up': 3} is not valid"),
        ("theme = ", "is not TOML"),
        ("\xff\xfe", "is not TOML"),
        ("columns = " + "[" * 1_500 + "]" * 1_500, "is not TOML (it is nested too deeply"),
        ("theme = " + "{a=" * 1_500 + "1" + "}" * 1_500, "nested too deeply"),
        ("theme = " + "9" * 5_000, "digits"),
        ("theme = 9999-99-99", "is not TOML"),
        ("#" * 1_000_001, "larger than"),
        ("\0", "is not TOML"),
        ('"' + "x" * 5_000 + '" = 1', "unknown setting"),
        ('theme = "' + "x" * 5_000 + '"', "is not valid"),
    ],
    ids=lambda value: value[:20],
)
def test_invalid_setting_gives_a_notice_and_the_default(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode("latin-1"))
    loaded = load(path, IDS)
    assert message in " ".join(loaded.notices)
    assert all(len(notice) < 500 and "\n" not in notice for notice in loaded.notices)
    assert loaded.config == Config()


def test_valid_settings_are_used_despite_invalid_ones(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('theme = "etui-contrast"\nascii = "yes"\n[keys]\n"bench.run" = "f5"\nx = "y"\n')
    loaded = load(path, IDS)
    assert loaded.config == Config(theme="etui-contrast", keys={"bench.run": "f5"})
    assert len(loaded.notices) == 2


def test_folder_instead_of_a_file_gives_a_notice(tmp_path: Path) -> None:
    assert "cannot be read" in load(tmp_path, IDS).notices[0]


def test_pipe_instead_of_a_file_gives_a_notice(tmp_path: Path) -> None:
    pipe = tmp_path / "config.toml"
    os.mkfifo(pipe)
    assert "cannot be read" in load(pipe, IDS).notices[0]


def test_path_can_be_a_file_or_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_CONFIG", str(tmp_path))
    assert config_path() == tmp_path / "config.toml"
    monkeypatch.setenv("ETUI_CONFIG", str(tmp_path / "my.toml"))
    assert config_path() == tmp_path / "my.toml"


def test_printed_configuration_can_be_saved_and_loaded(tmp_path: Path) -> None:
    config = Config(theme="etui-light", keys={"bench.run": "f5"}, columns=("when",), ascii=False, bell=False)
    text = as_toml(config, [("bench.run", "r", "Start"), ("table.down", "j,down", "Move down")])
    path = tmp_path / "config.toml"
    path.write_text(text)
    assert load(path, IDS).config == config
    for name, sentence in ABOUT.items():
        assert sentence in text
        assert name in text
    assert tomllib.loads(as_toml(Config(), [("table.down", "j,down", "Move down")]))["theme"] == "etui-dark"


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "\x1b[31m", "\x7f", "é", "\U0001f600"])
def test_any_text_survives_writing_and_loading(tmp_path: Path, text: str) -> None:
    config = Config(columns=(text,), keys={"bench.run": text})
    path = tmp_path / "config.toml"
    path.write_text(as_toml(config, [("bench.run", "r", "Start")]))
    loaded = load(path, IDS)
    assert (loaded.config, loaded.notices) == (config, ())
