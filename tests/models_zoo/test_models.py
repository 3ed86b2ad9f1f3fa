"""Varied models in FP32 and INT8 on XNNPACK and in FP32 on OpenVINO: the verdict, or the cause of the error."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.machines import Machine
from tests.models_zoo import zoo

FEW = ("--repeat", "2", "--warmup", "1", "--inputs", "4", "--calibration", "4", "--json")
XNNPACK = ("fp32/xnnpack", "int8/xnnpack")
OPENVINO = ("fp32/openvino",)

MODELS = (
    "tagger", "unet", "detector", "dict_input", "keywords", "only_keywords", "none_input", "tokens", "graphs",
    "depthwise", "branching", "spectrum", "volume", "timm_block", "bfloat16", "several", "state", "infinities",
    "scripted", "traced", "one_value", "batch_of_eight", "labelled", "judged",
)  # fmt: skip

JUDGED = "PASS|FAIL"
"""The verdict depends on rounding: the error is close to the tolerance."""

EXPECTED: dict[str, dict[str, str]] = {
    "branching": dict.fromkeys((*XNNPACK, *OPENVINO), "data-dependent|hidden.sum"),
    "spectrum": {"fp32/openvino": "complex"},
    "volume": {"fp32/xnnpack": "max_pool3d|kernel", "int8/xnnpack": "."},
    "bfloat16": {"int8/xnnpack": "bf16 weights, and quantization needs FP32", "fp32/openvino": "bfloat16|bf16"},
    "scripted": {"int8/xnnpack": "quantizes nothing"},
    "traced": {"int8/xnnpack": JUDGED},
    "timm_block": {"int8/xnnpack": JUDGED},
    "one_value": {"fp32/openvino": JUDGED},
}
"""What differs from PASS: a pattern of the verdict or of the line of the error."""

pytestmark = pytest.mark.slow


def outcomes(machine: Machine, model: str, precisions: str, delegate: str) -> dict[str, str]:
    """Return the verdict or error of each variant of one session."""
    done = machine.etui(
        "run", f"{zoo.__file__}:{model}", "-p", precisions, "-d", delegate, "--no-check", *FEW, status=None
    )
    assert done.returncode in (0, 1, 3), done.stderr
    runs = [machine.document(summary["id"]) for summary in json.loads(done.stdout)]
    failed = any(run.status == "failed" for run in runs)
    crossed = any(run.accuracy is not None and run.accuracy.verdict == "FAIL" for run in runs)
    assert done.returncode == (3 if failed else 1 if crossed else 0)
    return {
        f"{run.precision}/{run.delegate}": run.accuracy.verdict if run.accuracy is not None else run.error or run.status
        for run in runs
    }


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("delegate", "variants"), [("xnnpack", XNNPACK), ("openvino", OPENVINO)])
def test_model_is_judged_or_its_error_names_the_cause(
    warm_machine: Machine, model: str, delegate: str, variants: tuple[str, ...]
) -> None:
    if delegate == "openvino" and find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    found = outcomes(warm_machine, model, ",".join(variant.partition("/")[0] for variant in variants), delegate)
    expected = {variant: EXPECTED.get(model, {}).get(variant, "PASS") for variant in variants}
    assert found.keys() == expected.keys()
    wrong = {variant: text for variant, text in found.items() if not re.search(expected[variant], text)}
    assert not wrong
    assert all("\n" not in text for text in found.values())


def test_list_has_every_factory() -> None:
    source = Path(zoo.__file__).read_text()
    assert set(re.findall(r"^def (\w+)\(\)", source, re.MULTILINE)) == set(MODELS)
