"""What is suggested while one types."""

from __future__ import annotations

from pathlib import Path

from etui.tui import suggestions


def test_models_stand_under_their_families() -> None:
    found = suggestions.models("")
    assert found[0].heading
    names = [one.value for one in found if not one.heading]
    assert "resnet18" in names and "clip" in names


def test_letters_filter_by_name_title_and_family() -> None:
    found = [one.value for one in suggestions.models("res 50") if not one.heading]
    assert found[0] == "resnet50" and all(name.startswith("torchvision:") for name in found[1:])
    assert "torchvision:resnext50_32x4d" in found and "torchvision:resnet50" not in found
    assert "gpt2" in [one.value for one in suggestions.models("text transformer")]
    assert suggestions.models("no such model") == []


def test_a_path_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "net.pte").touch()
    (tmp_path / "net.txt").touch()
    found = suggestions.models(f"{tmp_path}/ne")
    assert [(one.name, one.whole) for one in found] == [("net.pte", True), ("nets/", False)]


def test_a_python_file_is_gone_on_with_by_its_functions_without_running_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("raise SystemExit\ndef make(): ...\ndef _hidden(): ...\ndef other(): ...\n")
    assert [one.value for one in suggestions.models(f"{tmp_path}/mi")] == [f"{file}:"]
    assert [one.value for one in suggestions.models(f"{file}:m")] == [f"{file}:make"]


def test_a_file_that_is_no_python_suggests_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def (:")
    assert suggestions.models(f"{tmp_path}/broken.py:") == []


def test_names_with_escape_codes_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31mred.json").touch()
    (tmp_path / "plain[bold].json").touch()
    assert [one.name for one in suggestions.paths(f"{tmp_path}/", (".json",))] == ["plain[bold].json"]


def test_a_folder_that_is_not_there_suggests_nothing() -> None:
    assert suggestions.paths("/no/such/folder/x") == []
    assert suggestions.models("~nobody-of-this-name/x") == []


def test_hidden_files_are_shown_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / ".hidden").touch()
    assert suggestions.paths(f"{tmp_path}/") == []
    assert [one.name for one in suggestions.paths(f"{tmp_path}/.h")] == [".hidden"]
