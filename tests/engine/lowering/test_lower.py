"""Programs of each recipe and delegate compute what their graph did before lowering."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from etui.catalog.precisions import AS_IS
from etui.engine.lowering.noop_program import export_noop, write_noop
from etui.engine.models.bundle import Bundle, read_reference
from etui.errors import PreparationError
from etui.jobs import BundleResult, LowerResult
from tests.engine.conftest import TINY, Runner, Workshop

CONVOLUTIONAL = f"{TINY}:convolutional"
INDEXED = f"{TINY}:indexed"


def sqnr_db(reference: list[list[torch.Tensor]], outputs: list[list[torch.Tensor]]) -> float:
    expected = torch.cat([x.float().flatten() for row in reference for x in row])
    given = torch.cat([x.float().flatten() for row in outputs for x in row])
    noise = (expected - given).square().sum().clamp(min=1e-20)
    return float(10 * torch.log10(expected.square().sum() / noise))


def prepare(workshop: Workshop, model: str, precision: str, delegate: str) -> tuple[BundleResult, LowerResult]:
    bundle = workshop.bundle(model)
    return bundle, workshop.lower(model, bundle, precision, delegate)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "precision", "delegate", "least_db"),
    [
        (CONVOLUTIONAL, "fp32", "xnnpack", 80),
        (CONVOLUTIONAL, "fp32", "portable", 80),
        (CONVOLUTIONAL, "fp16", "xnnpack", 30),
        (CONVOLUTIONAL, "int8", "xnnpack", 20),
        (CONVOLUTIONAL, "int8", "portable", 20),
        (CONVOLUTIONAL, "int8-static-per-tensor", "xnnpack", 15),
        (INDEXED, "fp32", "xnnpack", 80),
        (INDEXED, "int8", "xnnpack", 20),
        (INDEXED, "int8-dynamic", "portable", 20),
        (INDEXED, "8da4w", "xnnpack", 10),
    ],
)
def test_program_agrees_with_its_model(
    workshop: Workshop, execute: Runner, model: str, precision: str, delegate: str, least_db: float
) -> None:
    bundle, lowered = prepare(workshop, model, precision, delegate)
    outputs = execute(lowered, bundle, model, precision)
    assert sqnr_db(Bundle.open(Path(bundle.path), model).reference(), outputs) > least_db
    before = read_reference(Path(lowered.path).with_name("reference.safetensors"))
    assert (before is None) == (precision == "fp32")
    if before is not None:
        assert sqnr_db(before, outputs) > least_db
    assert lowered.delegation is not None
    assert (lowered.delegation.delegated_nodes == 0) == (delegate == "portable")
    assert lowered.planned_bytes
    assert lowered.artifact.size_bytes == Path(lowered.path).stat().st_size
    static = model == CONVOLUTIONAL and "int8" in precision
    assert lowered.calibration_count == (2 if static else None)


@pytest.mark.slow
def test_openvino_program_agrees_with_its_model(
    workshop: Workshop, execute: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    libraries = sorted((Path(openvino.__file__).parent / "libs").glob("libopenvino_c.so*"))
    monkeypatch.setenv("OPENVINO_LIB_PATH", str(libraries[0]))
    bundle = workshop.bundle(CONVOLUTIONAL)
    reference = Bundle.open(Path(bundle.path), CONVOLUTIONAL).reference()
    for precision, least_db in (("fp32", 25), ("int8", 15)):
        lowered = workshop.lower(CONVOLUTIONAL, bundle, precision, "openvino")
        assert sqnr_db(reference, execute(lowered, bundle, CONVOLUTIONAL, precision)) > least_db
        assert lowered.delegation is not None
        assert lowered.delegation.delegated_nodes > 0


@pytest.mark.slow
def test_start_and_end_of_stages_are_reported(workshop: Workshop) -> None:
    _, lowered = prepare(workshop, CONVOLUTIONAL, "int8", "xnnpack")
    begun = [event.stage for event in workshop.events if event.kind == "stage" and event.run_id == "run"]
    ended = [event.stage for event in workshop.events if event.kind == "log" and event.run_id == "run"]
    assert begun == ended == [stage.name for stage in lowered.stages]
    assert begun == ["load", "export", "quantize", "reference", "lower", "write"]


@pytest.mark.slow
def test_exported_and_finished_programs_are_prepared(workshop: Workshop, execute: Runner, tmp_path: Path) -> None:
    bundle, lowered = prepare(workshop, CONVOLUTIONAL, "fp32", "xnnpack")
    opened = Bundle.open(Path(bundle.path), CONVOLUTIONAL)
    program = torch.export.export(opened.eager(), opened.inputs()[0], strict=False)
    exported = str(tmp_path / "mine.pt2")
    torch.export.save(program, exported)
    second = workshop.bundle(exported)
    assert torch.allclose(
        Bundle.open(Path(second.path), exported).reference()[0][0], opened.reference()[0][0], atol=1e-5
    )
    quantized = workshop.lower(exported, second, "int8", "xnnpack")
    assert quantized.calibration_count == 2
    assert (
        sqnr_db(Bundle.open(Path(second.path), exported).reference(), execute(quantized, second, exported, "int8")) > 20
    )

    finished = str(tmp_path / "mine.pte")
    Path(finished).write_bytes(Path(lowered.path).read_bytes())
    third = workshop.bundle(finished)
    assert not third.has_eager
    assert third.inputs.shapes == [[1, 3, 16, 16]]
    copied = workshop.lower(finished, third, AS_IS, AS_IS)
    assert copied.artifact.sha256 == lowered.artifact.sha256
    assert copied.planned_bytes == lowered.planned_bytes
    assert any("XnnpackBackend" in event.message for event in workshop.events)


@pytest.mark.slow
def test_noop_program_is_what_this_executorch_exports(tmp_path: Path) -> None:
    """If another ExecuTorch exports it differently, write the bytes of ``export_noop`` to its file."""
    write_noop(tmp_path / "noop.pte")
    assert (tmp_path / "noop.pte").read_bytes() == export_noop()


@pytest.mark.slow
def test_program_that_changes_before_it_is_copied_is_not_cached_as_the_one_before(
    workshop: Workshop, tmp_path: Path
) -> None:
    finished = tmp_path / "mine.pte"
    write_noop(finished)
    bundle = workshop.bundle(str(finished))
    finished.write_bytes(finished.read_bytes() + b"changed")
    with pytest.raises(PreparationError, match="changed while it was measured"):
        workshop.lower(str(finished), bundle, AS_IS, AS_IS)
    assert not list((workshop.cache_dir / "programs").iterdir())
    lowered = workshop.lower(str(finished), workshop.bundle(str(finished)), AS_IS, AS_IS)
    assert Path(lowered.path).read_bytes() == finished.read_bytes()


@pytest.mark.slow
def test_calibration_without_inputs_fails_and_leaves_no_files(workshop: Workshop) -> None:
    bundle = workshop.bundle(CONVOLUTIONAL, calibration_count=0)
    with pytest.raises(PreparationError, match="calibration input"):
        workshop.lower(CONVOLUTIONAL, bundle, "int8-static")
    assert not list((workshop.cache_dir / "programs").iterdir())


def test_other_files_are_refused(workshop: Workshop, tmp_path: Path) -> None:
    for name in ("mine.pt2", "mine.pte"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(PreparationError, match="program"):
            workshop.bundle(str(tmp_path / name))
