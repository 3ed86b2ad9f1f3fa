"""What is suggested while one types."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.catalog import diffusion_models, timm_models
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


def test_folders_are_suggested_without_files(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "image.npz").touch()
    assert [one.value for one in suggestions.folders(f"{tmp_path}/im")] == [f"{tmp_path}/images/"]


def test_the_model_whose_name_is_typed_is_suggested_first() -> None:
    for typed in ("torchvision:vgg13_bn", "vgg13_bn", "torchvision:resnet101"):
        names = [one.value for one in suggestions.models(typed) if not one.heading]
        assert names[0] == f"torchvision:{typed.removeprefix('torchvision:')}"
    assert next(one.value for one in suggestions.models("vgg11") if not one.heading) == "torchvision:vgg11"


def test_models_of_hugging_face_come_from_its_cache_and_from_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = tmp_path / "hub"
    for name in ("models--org--tiny-bert", "models--other--net", "datasets--org--texts"):
        (hub / name).mkdir(parents=True)
    monkeypatch.setenv("HF_HUB_CACHE", str(hub))
    assert [one.value for one in suggestions.models("hf:")] == ["hf:org/tiny-bert", "hf:other/net"]
    assert [one.value for one in suggestions.models("hf:BERT")] == ["hf:org/tiny-bert"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").touch()
    (tmp_path / "more").mkdir()
    found = suggestions.models(f"hf:{tmp_path}/m")
    assert [(one.value, one.whole) for one in found] == [(f"hf:{tmp_path}/mine", True), (f"hf:{tmp_path}/more/", False)]


@pytest.mark.parametrize("is_installed", [True, False])
def test_a_model_of_timm_without_suggestions_says_why(monkeypatch: pytest.MonkeyPatch, is_installed: bool) -> None:
    monkeypatch.setattr(timm_models, "known_names", list)
    monkeypatch.setattr(timm_models, "is_installed", lambda: is_installed)
    (line,) = suggestions.models("timm:resnet")
    assert line.heading and ("pip install 'etui[timm]'" in line.value) is not is_installed


@pytest.mark.parametrize("is_installed", [True, False])
def test_denoising_networks_are_suggested_with_the_extra_that_they_need(
    monkeypatch: pytest.MonkeyPatch, is_installed: bool
) -> None:
    monkeypatch.setattr(diffusion_models, "is_installed", lambda: is_installed)
    heading, *found = suggestions.models("unet diffusion")
    assert [each.value for each in found] == ["sd15_unet", "sd15_unet_tiny"]
    assert heading.heading and ("pip install 'etui[diffusion]'" in heading.value) is not is_installed
