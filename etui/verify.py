"""Verify a model with pytest: ``pytest --pyargs etui.verify --model resnet18 --precision fp32,int8``.

Each combination of precision and delegate has three tests: the program is exported, its outputs are within tolerance,
its latency is known. All variants are measured interleaved in one session, before the first test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from etui.pytest_plugin import CHOICE

if TYPE_CHECKING:
    from etui.results import RunDocument
    from etui.spec import Variant
    from etui.testing import EtuiRun


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Create one instance of each test per variant. Raises pytest.UsageError if the plugin is switched off."""
    choice = metafunc.config.stash.get(CHOICE, None)
    if choice is None:
        raise pytest.UsageError("etui.verify needs etui's pytest plugin: remove -p no:etui")
    if "variant" in metafunc.fixturenames:
        metafunc.parametrize("variant", choice[1], ids=[variant.label for variant in choice[1]])


@pytest.fixture(scope="module")
def measured(pytestconfig: pytest.Config, etui_run: EtuiRun) -> Mapping[str, RunDocument]:
    """The runs of the session, by the labels of their variants, such as ``int8/xnnpack``."""
    model, variants, _ = pytestconfig.stash[CHOICE]
    precisions = [variant.precision for variant in variants]
    delegates = [variant.delegate for variant in variants]
    runs = etui_run.together(model, precisions, delegates, check=False, weights=pytestconfig.getoption("etui_weights"))
    return {run.configuration: run for run in runs}


def test_exports(variant: Variant, measured: Mapping[str, RunDocument]) -> None:
    """The model was exported: the run has a program. The failure names the stage that failed and its error."""
    run = measured[variant.label]
    if run.artifact is None:
        pytest.fail(f"{variant.label} has no program. {_ending(run)}", pytrace=False)


def test_accuracy(variant: Variant, measured: Mapping[str, RunDocument], pytestconfig: pytest.Config) -> None:
    """The outputs are within the model's tolerance, or that of ``--tolerance``. UNPROVEN, a variant without a program
    and a ``.pte`` (which has no reference) are skipped."""
    from etui.testing import judged

    run = _with_program(measured[variant.label])
    accuracy = judged(run, pytestconfig.stash[CHOICE][2])
    if accuracy is None:
        if run.status != "done":
            pytest.fail(f"the accuracy of {variant.label} is not known. {_ending(run)}", pytrace=False)
        pytest.skip("a .pte program has no reference to compare with")
    if accuracy.verdict == "UNPROVEN":
        pytest.skip(f"UNPROVEN: {accuracy.reason}")
    if accuracy.verdict == "FAIL":
        pytest.fail(f"the outputs of {variant.label} are out of tolerance: {accuracy.reason}", pytrace=False)


def test_latency(variant: Variant, measured: Mapping[str, RunDocument]) -> None:
    """The run ended with a median latency. No limit is applied: the report shows the latency. A variant without a
    program is skipped."""
    run = _with_program(measured[variant.label])
    if run.status != "done" or run.latency_ms is None or run.latency_ms.median is None:
        pytest.fail(f"the latency of {variant.label} is not known. {_ending(run)}", pytrace=False)


def _with_program(run: RunDocument) -> RunDocument:
    if run.artifact is None:
        pytest.skip("it has no program")
    return run


def _ending(run: RunDocument) -> str:
    from etui.wording import run as run_wording

    return run_wording.ending(run)
