"""A configuration is checked field by field, for the command line and the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etui.catalog.find import find_model
from etui.errors import UsageError
from etui.services import request
from etui.services.request import (
    FieldError,
    Options,
    check_model,
    check_weights,
    combine,
    from_text,
    specification,
)
from etui.spec import DEFAULT_TIMEOUT_S, DEFAULT_WAIT_QUIET_MIN, Variant


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [("repeat", "0", "at least 1"), ("repeat", "abc", "not a whole number"), ("warmup", "-1", "at least 0"),
     ("threads", "1.5", "not a whole number")],
)  # fmt: skip
def test_invalid_count_names_its_field(field: request.FieldName, text: str, message: str) -> None:
    with pytest.raises(FieldError, match=message) as raised:
        from_text(field, text)
    assert raised.value.field == field


def test_empty_count_uses_the_preset() -> None:
    assert from_text("repeat", "  ") is None
    assert from_text("warmup", "0") == 0


@pytest.mark.parametrize("text", ["0", "-3", "inf", "nan", "soon"])
def test_timeout_must_be_a_positive_number(text: str) -> None:
    with pytest.raises(FieldError) as raised:
        from_text("timeout", text)
    assert raised.value.field == "timeout"


def test_a_list_is_typed_with_commas() -> None:
    assert from_text("keep_fp32", " conv1 , layer4.1,,conv1") == ("conv1", "layer4.1")
    assert from_text("keep_fp32", " , ") is None


def test_unknown_model_suggests_the_nearest_name() -> None:
    with pytest.raises(FieldError, match="did you mean resnet18") as raised:
        check_model("resnt18")
    assert raised.value.field == "model"


@pytest.mark.parametrize(
    ("precision", "delegate", "meant"),
    [
        ("int4", "xnnpack", "8da4w"), ("float16", "xnnpack", "fp16"), ("int8-dinamic", "xnnpack", "int8-dynamic"),
        ("fp32", "tflite", "xnnpack"), ("fp32", "TensorRT", "executorch-cuda"), ("fp32", "hexagon", "qnn"),
    ],
)  # fmt: skip
def test_names_of_other_tools_suggest_the_name_here(precision: str, delegate: str, meant: str) -> None:
    with pytest.raises(FieldError) as raised:
        combine(find_model("minilm"), (precision,), (delegate,))
    assert f"did you mean {meant}" in raised.value.hint


def test_a_name_that_is_not_similar_has_no_suggestion() -> None:
    with pytest.raises(FieldError) as raised:
        combine(find_model("minilm"), ("fp32",), ("abacus",))
    assert "did you mean" not in raised.value.hint


def test_upper_and_lower_case_do_not_matter() -> None:
    assert check_model("ResNet18").name == "resnet18"
    possible, refused = combine(find_model("minilm"), ("FP32", "fp32", "8DA4W"), ("XNNPACK",))
    assert possible == [Variant("fp32", "xnnpack"), Variant("8da4w", "xnnpack")] and not refused


def test_missing_model_is_refused() -> None:
    with pytest.raises(FieldError, match="no model"):
        check_model("  ")


def test_weights_are_a_keyword_or_an_existing_path(tmp_path: Path) -> None:
    assert check_weights("") == "auto"
    assert check_weights("synthetic") == "synthetic"
    assert check_weights(str(tmp_path)) == str(tmp_path)
    with pytest.raises(FieldError, match="weights"):
        check_weights(str(tmp_path / "nothing"))


def test_impossible_configurations_are_returned_with_their_reason() -> None:
    possible, refused = combine(find_model("minilm"), ("fp32", "8da4w"), ("xnnpack", "portable"))
    assert possible == [Variant("fp32", "xnnpack"), Variant("fp32", "portable"), Variant("8da4w", "xnnpack")]
    assert list(refused) == [Variant("8da4w", "portable")]
    assert "XNNPACK" in refused[Variant("8da4w", "portable")]


@pytest.mark.parametrize(
    ("precisions", "delegates", "field"), [((), ("xnnpack",), "precision"), (("fp32",), (), "delegate")]
)
def test_empty_list_is_refused(precisions: tuple[str, ...], delegates: tuple[str, ...], field: str) -> None:
    with pytest.raises(FieldError) as raised:
        combine(find_model("resnet18"), precisions, delegates)
    assert raised.value.field == field


def test_more_threads_than_cores_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "usable_cores", lambda: 2)
    with pytest.raises(FieldError, match="may use 2 cores, not 3"):
        request.check_threads(3)
    assert request.check_threads(2) == 2


def test_specification_contains_the_chosen_options() -> None:
    model = find_model("resnet18")
    spec = request.specification(model, [Variant("int8", "xnnpack")], Options(repeat=5, preset="quick"))
    assert (spec.model, spec.repeat, spec.preset, spec.timeout_s) == ("resnet18", 5, "quick", DEFAULT_TIMEOUT_S)


def test_waiting_time_for_an_idle_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    model, variants = find_model("resnet18"), [Variant("int8", "xnnpack")]
    monkeypatch.delenv("ETUI_WAIT_QUIET", raising=False)
    assert request.specification(model, variants, Options()).wait_quiet_min == DEFAULT_WAIT_QUIET_MIN
    monkeypatch.setenv("ETUI_WAIT_QUIET", "0")
    assert request.specification(model, variants, Options()).wait_quiet_min == 0
    assert request.specification(model, variants, Options(wait_quiet_min=2.5)).wait_quiet_min == 2.5
    for wrong in ("", "soon", "-1", "inf", "nan"):
        monkeypatch.setenv("ETUI_WAIT_QUIET", wrong)
        assert request.wait_quiet_min(None) == DEFAULT_WAIT_QUIET_MIN
    with pytest.raises(UsageError, match="-1 is not a valid"):
        request.wait_quiet_min(-1)


def test_unknown_home_folder_names_its_field() -> None:
    with pytest.raises(FieldError, match="nobody-of-this-name") as refused:
        check_weights("~nobody-of-this-name/weights")
    assert refused.value.field == "weights"
    with pytest.raises(FieldError, match="nobody-of-this-name") as refused:
        check_model("~nobody-of-this-name/net.pte")
    assert refused.value.field == "model"


def test_data_with_splits_has_more_calibration_inputs(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for category in ("ant", "bee"):
            folder = tmp_path / "data" / split / category
            folder.mkdir(parents=True)
            (folder / "1.png").write_bytes(b"")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "1.png").write_bytes(b"")
    model, variants = find_model("resnet18"), (Variant("int8", "xnnpack"),)

    def count(**options: Any) -> int:
        return specification(model, variants, Options(**options)).calibration_count

    assert (count(), count(data=str(tmp_path / "flat")), count(data=str(tmp_path / "data"))) == (8, 8, 100)
    assert count(data=str(tmp_path / "data"), calibration_count=20) == 20
