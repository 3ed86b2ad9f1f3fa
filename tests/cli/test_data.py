"""``etui data``: what its commands print, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from etui.cli.main import cli
from etui.errors import EXIT_FAILED, EXIT_USAGE


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["data", *map(str, arguments)])


def test_digits_are_made_and_checked(tmp_path: Path) -> None:
    made = run("make-digits", tmp_path / "digits", "--images", "70", "--size", "40")
    assert made.exit_code == 0 and made.exception is None
    assert [line.split()[0] for line in made.stdout.splitlines()] == ["train", "val", "test"]
    assert "etui data check" in made.stderr
    checked = run("check", tmp_path / "digits")
    assert checked.exit_code == 0 and "no problems found" in checked.stdout
    rows = {line.split()[0]: line.split()[1] for line in checked.stdout.splitlines() if line}
    assert (rows["train"], rows["val"], rows["test"]) == ("50", "10", "10")
    (tmp_path / "digits" / "val" / "000004.jpg").unlink()
    checked = run("check", tmp_path / "digits", "--split", "val")
    assert checked.exit_code == 1 and "val/000004.jpg" in checked.stdout
    listed = json.loads(run("check", tmp_path / "digits", "--json").stdout)
    assert [problem["problem"] for problem in listed["problems"]] == ["missing"]
    assert len(listed["categories"]) == len(listed["splits"][0]["by_category"]) == 10


@pytest.mark.parametrize("arguments", [["check", "."], ["check", "absent"], ["make-digits", "a", "--images", "1"], []])
def test_what_is_not_a_data_set_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == EXIT_USAGE and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_names_with_control_characters_are_printed_without_them(tmp_path: Path) -> None:
    folder = tmp_path / "cat\x1b[31m"
    folder.mkdir()
    (folder / "a\x1b]0;title\x07.png").write_text("not an image")
    for options in ([], ["--json"]):
        result = run("check", tmp_path, *options)
        assert result.exit_code == 1 and "\x1b" not in result.stdout


@pytest.mark.parametrize("command", ["check", "get", "make-digits"])
def test_each_command_has_help_with_an_example(command: str) -> None:
    assert f"etui data {command}" in run(command, "--help").output.partition("Examples")[2]


def test_without_a_network_get_says_so_and_names_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    result = run("get", "coco2017", tmp_path / "coco", "--val-only")
    assert result.exit_code == EXIT_FAILED
    assert "1.07 GB to download" in result.stderr and "check the network" in result.stderr.splitlines()[-1]
    assert run("get", "imagenet", tmp_path).exit_code == EXIT_USAGE
