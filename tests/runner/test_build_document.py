"""The document of a run, from what its session has measured so far."""

from __future__ import annotations

import pytest

from etui.jobs import BundleResult, LowerResult
from etui.results import Artifact, InputsInfo, ModelInfo, RunDocument, WeightsInfo
from etui.runner.build_document import RunResults, SessionResults, document_so_far
from etui.spec import SessionSpec, Variant
from etui.store import QueuedSession

MODEL = ModelInfo(name="m", family="cnn", source="s", identity="i")
STATIC = Variant("int8", "xnnpack", input_size=(16, 16))
DYNAMIC = Variant("int8", "xnnpack", input_size=(16, 16), dynamic=True)


def bundle(key: str) -> BundleResult:
    """Return a bundle whose calibration inputs have the hash of its name."""
    inputs = InputsInfo(
        kind="example", detail="", shapes=[[1, 3, 16, 16]], dtypes=["float32"], accuracy_count=2, calibration_count=2,
        sha256=key, calibration_sha256=f"calibration {key}",
    )  # fmt: skip
    weights = WeightsInfo(kind="embedded", detail="")
    return BundleResult(path="", key=key, model=MODEL, weights=weights, inputs=inputs, stages=[], cached=True)


def document(
    variant: Variant, prepared_with: BundleResult | None, calibrated: int = 2
) -> tuple[RunResults, RunDocument]:
    run = RunResults(id="aaaaaaaaaaa1", variant=variant, model=MODEL, bundle=bundle("own"), prepared_with=prepared_with)
    artifact = Artifact(kind="pte", size_bytes=1, sha256="", key="")
    run.lowered = LowerResult(path="", artifact=artifact, stages=[], calibration_count=calibrated)
    spec = SessionSpec(model="m", variants=(variant,))
    queued = QueuedSession(id="s", spec=spec, created_at="", box=None, runs=[(run.id, variant)])
    return run, document_so_far(SessionResults(queued=queued), run)


@pytest.mark.parametrize(
    ("variant", "prepared_with", "own", "calibration"),
    [
        (STATIC, bundle("own"), True, "calibration own"),
        (STATIC, None, True, "calibration own"),  # in a duel
        (DYNAMIC, bundle("own"), True, "calibration own"),
        (DYNAMIC, bundle("largest"), False, "calibration largest"),
        (DYNAMIC, None, False, None),  # in a duel
    ],
)
def test_program_for_a_range_names_the_inputs_that_it_was_calibrated_on(
    variant: Variant, prepared_with: BundleResult | None, own: bool, calibration: str | None
) -> None:
    run, made = document(variant, prepared_with)
    assert run.has_own_program is own
    assert made.inputs is not None and made.inputs.calibration_sha256 == calibration
    assert made.inputs.calibration_count == 2 and made.inputs.sha256 == "own"


def test_hash_of_more_calibration_inputs_than_were_used_is_left_out() -> None:
    _, made = document(STATIC, None, calibrated=1)
    assert made.inputs is not None and made.inputs.calibration_sha256 is None
