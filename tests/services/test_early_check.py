"""What can be found without measuring is found before anything is queued, and a good model is not loaded twice."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from etui.catalog.find import find_model
from etui.services import early_check
from etui.services.early_check import check_early, needs_process
from etui.services.request import FieldError, check_model
from etui.spec import SessionSpec, Variant

OWN = Path(__file__).with_name("own_models.py")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path / "cache"))


def spec_of(model: str, **options: object) -> SessionSpec:
    return SessionSpec(model=model, variants=(Variant("int8", "xnnpack"),), **options)  # type: ignore[arg-type]


def refused(factory: str, **options: object) -> FieldError:
    reference = f"{OWN}:{factory}"
    with pytest.raises(FieldError) as raised:
        check_early(spec_of(reference, **options), find_model(reference))
    return raised.value


def test_a_misspelt_factory_is_found_without_running_the_file() -> None:
    with pytest.raises(FieldError, match="did you mean good") as raised:
        check_model(f"{OWN}:goood")
    assert raised.value.field == "model"


def test_a_file_that_is_not_python_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("import torch\ndef net(:\n    pass\n")
    with pytest.raises(FieldError, match=r"broken\.py:2 `def net\(:`"):
        check_model(f"{file}:net")


@pytest.mark.parametrize(
    "source",
    ["from os.path import *\n", "globals()['net'] = print\n", "def __getattr__(name): ...\n", "import json as net\n",
     "try:\n    net = 3\nexcept ValueError:\n    pass\n"],
)  # fmt: skip
def test_a_name_that_may_be_defined_is_not_refused(tmp_path: Path, source: str) -> None:
    file = tmp_path / "dynamic.py"
    file.write_text(source)
    assert check_model(f"{file}:net").name == "dynamic-net"


def test_catalog_models_are_not_loaded() -> None:
    assert not needs_process(find_model("resnet18"), spec_of("resnet18"))
    assert needs_process(find_model("resnet18"), spec_of("resnet18", keep_fp32=("conv1",)))


@pytest.mark.slow
def test_an_error_of_the_factory_names_file_line_and_source() -> None:
    error = refused("raises")
    assert error.field == "model"
    for part in ("own_models.py:", '`raise ZeroDivisionError("the user\'s own mistake")`', "ZeroDivisionError"):
        assert part in error.message


@pytest.mark.slow
def test_inputs_that_do_not_fit_name_the_layer_and_the_line() -> None:
    message = refused("misfit").message
    for part in ("body.1 (Linear)", "[2, 8]", "own_models.py:", "self.body(tokens)"):
        assert part in message


@pytest.mark.slow
def test_modules_to_keep_are_checked_with_near_matches() -> None:
    error = refused("good", keep_fp32=("body.7",))
    assert "body.7" in error.message and "body.1" in error.hint


@pytest.mark.slow
def test_weights_that_do_not_fit_belong_to_their_field(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"not weights")
    assert refused("good", weights=str(file)).field == "weights"


@pytest.mark.slow
def test_a_tolerance_that_is_not_valid_is_found() -> None:
    assert "unknown limit 'sqnr'" in refused("misjudged").message


@pytest.mark.slow
def test_a_crash_is_one_line() -> None:
    assert "own_models.py:crashes crashed with a segmentation fault" in refused("crashes").message


@pytest.mark.slow
def test_a_slow_model_is_left_to_the_session_and_leaves_no_process() -> None:
    reference = f"{OWN}:endless"
    assert "longer than 3 s" in check_early(spec_of(reference), find_model(reference), limit_s=3.0)
    ours = psutil.Process(os.getpid()).children(recursive=True)
    assert not [child for child in ours if "etui.engine.process.single_job" in child.cmdline()]


@pytest.mark.slow
def test_a_good_model_is_loaded_once_while_its_file_is_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.py"
    file.write_bytes(OWN.read_bytes())
    # A file that has just been written may change unnoticed, and so is checked again.
    monkeypatch.setattr(early_check, "is_settled", lambda path: True)
    began: list[str] = []

    def check() -> None:
        reference = f"{file}:good"
        assert not check_early(spec_of(reference), find_model(reference), begin=began.append)

    check()
    check()
    assert len(began) == 1
    file.write_text(file.read_text() + "\n")
    check()
    assert len(began) == 2


@pytest.mark.slow
def test_a_factory_may_import_torchvision_next_to_a_cpu_build_of_torch() -> None:
    reference = f"{OWN}:uses_torchvision"
    assert check_early(spec_of(reference), find_model(reference)) == ""
