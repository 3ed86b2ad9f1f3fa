"""Models that cannot be exported, lowered or executed fail with the line of their source, the cause and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from etui.engine.explain.known_causes import explain, explain_log, runtime_code
from etui.engine.explain.source_lines import short_traceback
from etui.errors import PreparationError
from tests.engine.conftest import Workshop
from tests.facts import lacking
from tests.models_zoo import zoo

FAILING = Path(__file__).with_name("failing.py")


def error_of(workshop: Workshop, factory: str, precision: str, delegate: str) -> PreparationError:
    model = f"{FAILING}:{factory}"
    bundle = workshop.bundle(model, accuracy_inputs=1, calibration_count=1)
    with pytest.raises(PreparationError) as raised:
        workshop.lower(model, bundle, precision, delegate)
    return raised.value


def line_of(code: str) -> int:
    return next(number for number, text in enumerate(FAILING.read_text().splitlines(), 1) if code in text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factory", "precision", "delegate", "code", "cause", "hint"),
    [
        ("branching", "fp32", "xnnpack", "if hidden.sum() > 0:", "data-dependent control flow", "torch.cond"),
        ("branching", "int8", "xnnpack", "if hidden.sum() > 0:", "data-dependent control flow", "torch.where"),
        ("looping", "fp32", "portable", "for index in range(", "number of iterations", "torch.while_loop"),
        ("counting", "fp32", "portable", "count = int(", "depends on the value of a tensor", "torch._check"),
        ("numpy_", "fp32", "portable", "tokens.numpy()", "NumPy", "torch operations"),
        ("bincount", "fp32", "portable", "torch.bincount(", "no upper bound", "fixed size"),
        ("custom", "fp32", "portable", "mine.twice(", "mine::twice", "out variant"),
        ("sparse", "fp32", "portable", "to_sparse()", "sparse", "to_dense"),
        ("avgpool3d", "fp32", "xnnpack", "self.pool(volume)", "aten::avg_pool3d.out", "3D pooling"),
        ("complex_", "fp32", "xnnpack", "torch.polar(", "aten::polar.out", "openvino"),
        ("volume", "fp32", "xnnpack", "self.convolution(volume)", "3D convolutions: convolution", "openvino"),
        ("scaled", "int8", "xnnpack", "features * scale", "without dimensions", "(1,)"),
        ("volume", "int8", "xnnpack", "self.convolution(volume)", "3D convolutions: convolution", "openvino"),
    ],
)
def test_the_error_names_line_source_cause_and_next_step(
    workshop: Workshop, factory: str, precision: str, delegate: str, code: str, cause: str, hint: str
) -> None:
    error = error_of(workshop, factory, precision, delegate)
    assert f"failing.py:{line_of(code)} `" in error.message
    assert code in error.message and cause in error.message
    assert hint in error.hint
    assert "\n" not in error.message + error.hint


@pytest.mark.parametrize(
    ("detail", "facts"),
    [
        (
            "Not all values of size0 = L['x'].size()[0] in the specified range size0 <= 4 satisfy the generated guard"
            " L['x'].size()[0] != 2.\nSuggested fixes:\n  _size0 = Dim('_size0', min=1, max=2)\n  size0 = 2*_size0\n",
            ("dimension 0 of its input x", "multiple of 2"),
        ),
        (
            "You marked size0 as dynamic but your code specialized it to be a constant (3). L['args'][1].size()[2]",
            ("dimension 2 of its input args[1]", "size 3"),
        ),
    ],
)
def test_a_size_in_the_range_that_the_model_does_not_take(detail: str, facts: tuple[str, ...]) -> None:
    error = ValueError(
        f"Constraints violated (size0)! For more information, run with TORCH_LOGS=+dynamic.\n - {detail}"
    )
    found = explain(error, "exporting")
    assert found is not None and not lacking(found.cause, *facts) and "--dynamic" in found.hint
    assert "\n" not in found.cause + found.hint


@pytest.mark.slow
def test_complex_tensors_on_openvino_name_the_operator_that_makes_them(workshop: Workshop) -> None:
    pytest.importorskip("openvino")
    error = error_of(workshop, "spectral", "fp32", "openvino")
    assert f"failing.py:{line_of('torch.stft(')} `" in error.message and "complex" in error.message


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factory", "precision", "facts"),
    [
        ("depthwise", "int8", ("group_norm", "of 3", "--keep-fp32 3")),
        ("tagger", "int8", ("lstm", "zoo.py:", "int8 with xnnpack")),
        ("bfloat16", "fp32", ("bf16", ".float()")),
    ],
)
def test_what_openvino_cannot_quantize_or_lower_is_named_with_the_next_step(
    workshop: Workshop, factory: str, precision: str, facts: tuple[str, ...]
) -> None:
    pytest.importorskip("openvino")
    model = f"{zoo.__file__}:{factory}"
    bundle = workshop.bundle(model, accuracy_inputs=1, calibration_count=1)
    with pytest.raises(PreparationError) as raised:
        workshop.lower(model, bundle, precision, "openvino")
    assert not lacking(f"{raised.value.message}; {raised.value.hint}", *facts)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factory", "cause"),
    [("weighted", "register_buffer"), ("complexin", "input z is complex")],
)
def test_causes_without_a_line(workshop: Workshop, factory: str, cause: str) -> None:
    assert cause in str(error_of(workshop, factory, "fp32", "portable"))


@pytest.mark.slow
def test_a_long_recurrence_is_announced_with_its_length(workshop: Workshop) -> None:
    model = f"{FAILING}:tagger"
    workshop.lower(model, workshop.bundle(model, accuracy_inputs=1, calibration_count=1), "fp32", "xnnpack")
    (notice,) = [event.message for event in workshop.events if "unrolled" in event.message]
    assert re.search(r"LSTM lstm .* 16 steps \(8 time steps, 1 layer, 2 directions\)", notice)


@pytest.mark.slow
def test_the_short_traceback_has_the_lines_of_the_model_and_folds_the_rest(workshop: Workshop) -> None:
    text = short_traceback(error_of(workshop, "branching", "fp32", "xnnpack"))
    assert f'failing.py", line {line_of("if hidden.sum() > 0:")}, in forward' in text
    assert "GuardOnDataDependentSymNode" in text
    assert len(text.splitlines()) < 12 and "of etui, torch and other libraries" in text


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (
            ["[XNNCompiler.cpp:2305] XNN Runtime creation failed with code: xnn_status_unsupported_parameter",
             "[method.cpp:128] Init failed for backend XnnpackBackend: 0x1"],
            ["does not support a parameter", "xnn_status_unsupported_parameter", "--keep-fp32"],
        ),
        (["[method.cpp:822] Missing operator: [1] aten::max_pool3d_with_indices.out"],
         ["no kernel for aten::max_pool3d_with_indices.out", "3D pooling"]),
        (["[kernel_ops_util.cpp:394] Check failed (in.dim() == 3 || in.dim() == 4): Expect input tensor to be 3-D or"
          " 4-D, but got, 5."],
         ["Expect input tensor to be 3-D or 4-D, but got, 5"]),
    ],
)  # fmt: skip
def test_what_the_runtime_prints_is_explained(lines: list[str], parts: list[str]) -> None:
    found = explain_log(["noise", *lines, "more noise"])
    assert found is not None
    assert all(part in f"{found.cause}; {found.hint}" for part in parts)


def test_other_output_of_the_runtime_is_not_explained() -> None:
    assert explain_log(["[cpuinfo_utils.cpp:71] Reading file /sys/devices/soc0/image_version"]) is None


def test_error_codes_have_words() -> None:
    assert runtime_code("Failed to load method forward, error: 0x:14") == "an operator has no kernel"
    assert runtime_code("method->execute() failed with error 0x12") == "invalid argument"
    assert runtime_code("no code") == ""
