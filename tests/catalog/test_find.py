"""Names, paths and configurations: user input is resolved to a model or refused with a one-line reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from etui.catalog.delegates import RECORDS, delegates
from etui.catalog.find import UserModel, find_delegate, find_model, find_precision, impossible, tolerance_for
from etui.catalog.models import MODELS, Limit, ModelEntry
from etui.catalog.precisions import AS_IS, PRECISIONS, needs_calibration, recipe
from etui.errors import UsageError


def test_catalog_names_are_resolved() -> None:
    assert find_model("resnet18").name == "resnet18"
    assert find_precision("int8").quantized
    assert find_delegate("xnnpack").runs_here


@pytest.mark.parametrize("typed", ["resnet81", "resnt18", "Resnt18"])
def test_unknown_model_suggests_the_nearest_name(typed: str) -> None:
    with pytest.raises(UsageError) as refused:
        find_model(typed)
    assert "resnet18" in refused.value.hint
    assert "etui models" in refused.value.hint


def test_models_of_torchvision_are_named_by_their_source() -> None:
    model = find_model("torchvision:resnet101")
    assert isinstance(model, ModelEntry)
    assert model.reference == "torchvision:resnet101" and find_model(model.reference) == model
    assert model.image is not None and model.image.size == 224
    assert find_model("torchvision:resnet18") is find_model("resnet18")
    assert find_model("Torchvision:ResNet101") == model
    tolerance = tolerance_for("torchvision:efficientnet_b3", "int8")
    assert tolerance is not None and tolerance.sqnr_db_min == 10.0


@pytest.mark.parametrize("typed", ["resnet101", "torchvision:resnet1O1", "torchvision:resnet_101"])
def test_near_matches_include_models_of_torchvision(typed: str) -> None:
    with pytest.raises(UsageError, match=r"did you mean .*torchvision:resnet101"):
        find_model(typed)


def test_detectors_with_two_stages_are_refused_with_the_reason() -> None:
    reason = impossible(find_model("torchvision:maskrcnn_resnet50_fpn"), "fp32", "xnnpack")
    assert reason is not None and "two stages" in reason
    assert impossible(find_model("torchvision:ssd300_vgg16"), "fp32", "xnnpack") is None


def test_unknown_precision_or_delegate_suggests_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="int8") as precision:
        find_precision("int-8")
    assert precision.value.exit_status == 2
    with pytest.raises(UsageError, match="xnnpack"):
        find_delegate("xnpack")


def test_factory_in_a_file_is_resolved_without_running_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("raise SystemExit('must not be executed')\n")
    model = find_model(f"{file}:make")
    assert isinstance(model, UserModel)
    assert (model.kind, model.factory, model.name) == ("factory", "make", "mine-make")
    assert model.reference == f"{file}:make"
    before = model.identity()
    file.write_text("pass\n")
    assert before.startswith("sha256:")
    assert model.identity() != before


@pytest.mark.parametrize("typed", ["no/such.py:make", "no/such.pt2", "no/such.pte"])
def test_missing_file_is_reported(typed: str) -> None:
    with pytest.raises(UsageError, match="file not found"):
        find_model(typed)


@pytest.mark.parametrize("name", ["mine.py", "mine.py:two words"])
def test_file_without_a_factory_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "mine.py").touch()
    with pytest.raises(UsageError):
        find_model(str(tmp_path / name))


@pytest.mark.parametrize(
    ("model", "precision", "delegate", "word"),
    [
        ("resnet18", "8da4w", "xnnpack", "linear"),
        ("minilm", "8da4w", "portable", "XNNPACK"),
        ("resnet18", "int8-dynamic", "xnnpack", "linear"),
        ("minilm", "int8-dynamic", "openvino", "static"),
        ("resnet18", "fp32", "nnapi", "no NNAPI"),
        ("resnet18", "fp32", "qnn", "SDK"),
        ("resnet18", "fp32", "vulkan", "only"),
        ("resnet18", AS_IS, "xnnpack", ".pte"),
    ],
)
def test_impossible_configuration_has_a_reason(model: str, precision: str, delegate: str, word: str) -> None:
    reason = impossible(find_model(model), precision, delegate)
    assert reason is not None
    assert word in reason
    assert "\n" not in reason


def test_exported_program_has_no_linear_modules_to_replace(tmp_path: Path) -> None:
    (tmp_path / "x.pt2").touch()
    model = find_model(str(tmp_path / "x.pt2"))
    assert "int8-dynamic" in (impossible(model, "8da4w", "xnnpack") or "")
    assert impossible(model, "int8-dynamic", "xnnpack") is None


def test_delegate_that_cannot_run_here_can_be_exported() -> None:
    assert impossible(find_model("resnet18"), "fp32", "vulkan", measure=False) is None


def test_pte_is_measured_unchanged(tmp_path: Path) -> None:
    (tmp_path / "x.pte").touch()
    model = find_model(str(tmp_path / "x.pte"))
    assert impossible(model, AS_IS, AS_IS) is None
    assert impossible(model, "fp32", "xnnpack") is not None
    assert tolerance_for(model, AS_IS) is None


def test_limits_of_a_catalog_entry_apply() -> None:
    entry = msgspec.structs.replace(MODELS["resnet18"], limits=(Limit("fp16", "*", "because"),))
    assert impossible(entry, "fp16", "xnnpack") == "because"
    assert impossible(entry, "fp32", "xnnpack") is None


def test_int8_selects_the_best_recipe_of_the_family() -> None:
    assert recipe("cnn", "int8") == recipe("cnn", "int8-static")
    assert recipe("text-transformer", "int8") == recipe("text-transformer", "int8-dynamic")
    assert recipe(MODELS["vit_b_16"], "int8") == recipe("vision-transformer", "int8-dynamic")
    assert recipe("custom", "int8").startswith("int8-auto/")
    assert recipe("cnn", "int8", "openvino") != recipe("cnn", "int8")
    assert needs_calibration(recipe("cnn", "int8"))
    assert not needs_calibration(recipe("text-transformer", "int8"))


def test_every_precision_of_every_model_has_a_tolerance() -> None:
    for name in MODELS:
        for precision in PRECISIONS:
            assert tolerance_for(name, precision) is not None, (name, precision)


def test_outputs_with_classes_have_a_top1_tolerance() -> None:
    for name, entry in MODELS.items():
        tolerances = [tolerance_for(name, precision) for precision in PRECISIONS]
        assert all(one is not None and (one.top1_min is not None) == (
            entry.outputs in ("logits", "segmentation map")) for one in tolerances), name  # fmt: skip
    precise, coarse = tolerance_for("mobilenet_v2", "fp32"), tolerance_for("mobilenet_v2", "int8")
    assert precise is not None and coarse is not None
    assert precise.top1_min is not None and precise.top1_min > 7 / 8
    assert coarse.top1_min is not None and 0.5 < coarse.top1_min <= 0.75


def test_coarser_arithmetic_relaxes_the_tolerance() -> None:
    exact, coarse = tolerance_for("resnet18", "fp32"), tolerance_for("resnet18", "fp32", "bf16")
    assert exact is not None and coarse is not None
    assert (exact.sqnr_db_min or 0) > (coarse.sqnr_db_min or 0)
    assert tolerance_for("resnet18", "fp16", "fp32") == tolerance_for("resnet18", "fp16")


def test_delegate_that_cannot_run_here_has_a_reason() -> None:
    for delegate in delegates().values():
        if not delegate.runs_here:
            assert delegate.reason, delegate.name


def test_catalog_imports_no_heavy_packages() -> None:
    code = (
        "import sys; from etui.catalog.find import *; from etui.catalog.delegates import delegates; delegates();"
        "print([m for m in ('torch', 'torchvision', 'transformers', 'executorch', 'numpy', 'openvino')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_int8_on_openvino_is_static_and_judged_as_such() -> None:
    assert tolerance_for("minilm", "int8", None, "openvino") == tolerance_for("minilm", "int8-static")
    assert tolerance_for("minilm", "int8", None, "xnnpack") == tolerance_for("minilm", "int8-dynamic")


@pytest.mark.parametrize(
    ("family", "precision", "delegate", "expected"),
    [
        ("cnn", "int8", "xnnpack", "int8-static/1"),
        ("text-transformer", "int8", "portable", "int8-dynamic/1"),
        ("text-transformer", "int8-static", "xnnpack", "int8-static-linear/1"),
        ("cnn", "int8", "openvino", "nncf-int8-static-convolutional/1"),
        ("vision-transformer", "int8-static", "openvino", "nncf-int8-static-transformer/1"),
        ("custom", "int8", "openvino", "nncf-int8-static-auto/1"),
        ("cnn", "int8", "ethos-u", "arm-int8-static/1"),
        ("cnn", "fp16", "openvino", "fp16/1"),
        ("cnn", "8da4w", "xnnpack", "8da4w/1"),
    ],
)
def test_recipe_ids_are_stable_because_they_are_cache_keys(
    family: str, precision: str, delegate: str, expected: str
) -> None:
    assert recipe(family, precision, delegate) == expected


def test_delegate_with_packages_explains_how_to_install_them() -> None:
    for record in RECORDS.values():
        assert not record.modules or record.install, record.name
        assert record.backend_hint or not record.backend, record.name
        assert (record.support == "none") == bool(record.reason), record.name
