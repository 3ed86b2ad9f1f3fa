"""Baselines besides eager: what is available, in which precisions they are measured, and what their programs depend
on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from etui.catalog import delegates as catalog
from etui.catalog.delegates import BASELINES, RECORDS, RUNNABLE, baselines, delegates, program_file, runtime_of
from etui.catalog.find import find_model, impossible, tolerance_for
from etui.catalog.precisions import needs_calibration, recipe
from etui.paths import installation
from etui.runner.program_cache import (
    COMPILER,
    installed_versions,
    own_versions,
    package_versions_of,
    program_key,
    versions_for,
)
from etui.services.request import FieldError, with_baselines
from etui.services.session_config import from_values, plan
from etui.spec import Variant

RESNET = find_model("resnet18")


@pytest.fixture(autouse=True)
def _fresh_availability() -> None:
    catalog.baseline.cache_clear()


def test_baselines_are_not_delegates_but_have_records() -> None:
    assert not set(BASELINES) & ({*delegates(), *RUNNABLE})
    assert set(baselines()) == set(BASELINES) <= set(RECORDS)
    assert all(each.baseline for each in baselines().values())
    assert not any(each.baseline for each in delegates().values())


def test_compile_without_a_compiler_is_refused_before_anything_is_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not baselines()["compile"].runs_here
    with pytest.raises(FieldError, match=r"compile.*no-such-compiler") as refused:
        with_baselines(RESNET, [Variant("fp32", "xnnpack")], ["compile"])
    assert refused.value.field == "baseline" and "CXX" in refused.value.hint


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "missing_modules", lambda record: list(record.modules)[:1])
    with pytest.raises(FieldError, match="not installed: onnx") as refused:
        with_baselines(RESNET, [Variant("fp32", "xnnpack")], ["onnxruntime"])
    assert "pip install" in refused.value.hint


def test_litert_without_a_converter_is_refused_with_the_way_to_make_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(catalog, "missing_modules", lambda _record: [])
    plain = tmp_path / "python"
    plain.touch()
    for python, problem in ((None, "no environment"), (plain, "not an executable"), (sys.executable, "no package")):
        monkeypatch.delenv("ETUI_LITERT_PYTHON", raising=False)
        if python is not None:
            monkeypatch.setenv("ETUI_LITERT_PYTHON", str(python))
        catalog.baseline.cache_clear()
        with pytest.raises(FieldError, match=f"litert .*{problem}") as refused:
            with_baselines(RESNET, [Variant("fp32", "xnnpack")], ["litert"])
        assert "--litert-python" in refused.value.hint


def test_another_converter_is_another_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    before = installation()
    monkeypatch.setenv("ETUI_LITERT_PYTHON", "/elsewhere/python")
    assert installation() != before


@pytest.mark.parametrize("name", ["onxruntime", "xnnpack"])
def test_unknown_baseline_is_refused(name: str) -> None:
    with pytest.raises(FieldError, match=name) as refused:
        with_baselines(RESNET, [Variant("fp32", "xnnpack")], [name])
    assert refused.value.field == "baseline" and refused.value.hint


@pytest.mark.parametrize(
    ("precisions", "expected"),
    [
        (["fp32"], ["fp32/compile", "fp32/onnxruntime"]),
        (["fp32", "int8"], ["fp32/compile", "fp32/onnxruntime", "int8/onnxruntime"]),
        (["int8"], ["fp32/compile", "int8/onnxruntime"]),
        (["fp16"], ["fp32/compile", "fp32/onnxruntime"]),
    ],
)
def test_baseline_gets_the_requested_precisions_that_it_supports_else_fp32(
    precisions: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "missing_modules", lambda _record: [])
    monkeypatch.setenv("CXX", sys.executable)
    variants = [Variant(precision, delegate) for precision in precisions for delegate in ("xnnpack", "portable")]
    found = [variant.label for variant in with_baselines(RESNET, variants, ["compile", "onnxruntime", "compile"])]
    assert found == [variant.label for variant in variants] + expected


def test_baseline_is_measured_in_every_shape_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "missing_modules", lambda _record: [])
    variants = [
        Variant("fp32", "xnnpack", batch=1),
        Variant("fp32", "xnnpack", batch=4),
        Variant("fp32", "xnnpack", batch=4, dynamic=True),
    ]
    added = with_baselines(RESNET, variants, ["onnxruntime"])[len(variants) :]
    assert added == [Variant("fp32", "onnxruntime", batch=1), Variant("fp32", "onnxruntime", batch=4)]


def test_baseline_has_no_dynamic_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "missing_modules", lambda _record: [])
    values = {"models": ["resnet18"], "input_size": [128, 224], "dynamic": True}
    with pytest.raises(FieldError, match="onnxruntime") as refused:
        plan(from_values({**values, "delegates": ["onnxruntime"]}), skip=False)
    assert refused.value.field == "dynamic"
    (session,) = plan(from_values({**values, "baseline": ["onnxruntime"]}), skip=False).sessions
    added = [variant for variant in session.spec.variants if variant.delegate == "onnxruntime"]
    assert [variant.input_size for variant in added] == [(128, 128), (224, 224)]
    assert not any(variant.dynamic for variant in added)


def test_options_of_a_session_add_the_baselines_to_its_variants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "missing_modules", lambda _record: [])
    config = from_values({"models": ["resnet18"], "precisions": ["int8"], "baseline": ["OnnxRuntime"]})
    (session,) = plan(config, skip=False).sessions
    assert [variant.label for variant in session.spec.variants] == ["int8/xnnpack", "int8/onnxruntime"]


def test_finished_program_cannot_be_measured_with_a_baseline(tmp_path: Path) -> None:
    program = tmp_path / "model.pte"
    program.touch()
    with pytest.raises(FieldError, match="model"):
        with_baselines(find_model(str(program)), [Variant("as-is", "as-is")], ["onnxruntime"])


def test_unsupported_precision_has_a_reason() -> None:
    assert "fp32" in (impossible(RESNET, "int8", "compile") or "")
    assert "FP16" in (impossible(RESNET, "fp16", "onnxruntime") or "")
    assert set(RECORDS["litert"].unsupported) == {"fp16"} and not RECORDS["litert"].precisions


@pytest.mark.parametrize(
    ("family", "precision", "expected"),
    [
        ("cnn", "int8", "ort-int8-static/1"),
        ("cnn", "int8-static-per-tensor", "ort-int8-static-per-tensor/1"),
        ("text-transformer", "int8", "ort-int8-dynamic/1"),
        ("text-transformer", "int8-static", "ort-int8-static-linear/1"),
        ("custom", "int8", "ort-int8-auto/1"),
        ("cnn", "fp32", "fp32/1"),
    ],
)
def test_recipe_ids_are_stable_because_they_are_cache_keys(family: str, precision: str, expected: str) -> None:
    assert recipe(family, precision, "onnxruntime") == expected
    assert recipe(family, precision, "litert") == expected.replace("ort-", "litert-")
    assert needs_calibration(expected) == ("dynamic" not in expected and precision != "fp32")


def test_int8_is_judged_by_the_tolerance_of_the_same_recipe_on_xnnpack() -> None:
    for model in ("resnet18", "minilm"):
        assert tolerance_for(model, "int8", None, "onnxruntime") == tolerance_for(model, "int8", None, "xnnpack")


def test_keys_of_other_programs_do_not_depend_on_the_packages_of_a_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    assert versions_for("xnnpack") == installed_versions() and own_versions("openvino") == {}
    assert set(own_versions("onnxruntime")) == set(package_versions_of(["onnx", "onnxruntime", "onnxscript"]))
    assert set(own_versions("compile")) == {COMPILER}


def test_number_of_threads_is_part_of_the_key_only_of_programs_compiled_for_it() -> None:
    def key(delegate: str, threads: int) -> str:
        return program_key(
            bundle_key="b", recipe="fp32/1", delegate=delegate, calibration_count=8, versions={}, threads=threads
        )

    assert key("compile", 1) != key("compile", 2)
    assert key("xnnpack", 1) == key("xnnpack", 2) and key("onnxruntime", 1) == key("onnxruntime", 2)


def test_every_runtime_has_its_own_kind_of_file() -> None:
    assert [program_file(name) for name in ("xnnpack", "as-is", "compile", "onnxruntime", "litert")] == [
        "program.pte",
        "program.pte",
        "program.so",
        "program.onnx",
        "program.tflite",
    ]
    assert (runtime_of("xnnpack"), runtime_of("onnxruntime")) == ("ExecuTorch", "ONNX Runtime")
