"""Bundles: built once, opened whole, and what cannot be had is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from etui.engine.bundle import Bundle, read_reference
from etui.errors import PreparationError, WeightsError
from tests.engine.conftest import TINY, Workshop
from tests.engine.tiny import Convolutional


def test_a_bundle_is_built_once(workshop: Workshop) -> None:
    first = workshop.bundle(f"{TINY}:convolutional")
    second = workshop.bundle(f"{TINY}:convolutional")
    assert (first.cached, second.cached) == (False, True)
    assert (first.path, first.key) == (second.path, second.key)
    assert all(stage.cached for stage in second.stages)
    assert [x.name for x in (workshop.cache_dir / "models").iterdir()] == [first.key]
    assert workshop.bundle(f"{TINY}:convolutional", seed=1).key != first.key
    assert [event.kind for event in workshop.said[:2]] == ["stage", "log"]


def test_an_opened_bundle_computes_its_reference(workshop: Workshop) -> None:
    result = workshop.bundle(f"{TINY}:convolutional")
    bundle = Bundle.open(Path(result.path), f"{TINY}:convolutional")
    module, inputs, reference = bundle.eager(), bundle.inputs(), bundle.reference()
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert len(inputs) == len(reference) == 3
    assert len(bundle.calibration()) == 2
    for one, expected in zip(inputs, reference, strict=True):
        assert torch.equal(module(*one), expected[0])
    assert not torch.equal(inputs[0][0], inputs[1][0])
    assert all(not torch.equal(one[0], other[0]) for one in inputs for other in bundle.calibration())
    assert result.weights.kind == "embedded"
    assert result.model.parameters == sum(p.numel() for p in Convolutional().parameters())


def test_tied_weights_stay_tied_and_buffers_right(workshop: Workshop) -> None:
    result = workshop.bundle(f"{TINY}:indexed")
    bundle = Bundle.open(Path(result.path), f"{TINY}:indexed")
    module = bundle.eager()
    assert module.get_parameter("head.weight") is module.get_parameter("table.weight")
    assert torch.equal(module.get_buffer("scale"), torch.full((1,), 2.0))
    outputs = module(*bundle.inputs()[0])
    assert all(torch.equal(a, b) for a, b in zip(outputs, bundle.reference()[0], strict=True))


def test_a_checkpoint_of_the_users_own(workshop: Workshop, tmp_path: Path) -> None:
    other = Convolutional()
    torch.save({"state_dict": other.state_dict()}, tmp_path / "other.pt")
    result = workshop.bundle(f"{TINY}:convolutional", weights=str(tmp_path / "other.pt"))
    module = Bundle.open(Path(result.path), f"{TINY}:convolutional").eager()
    assert torch.equal(module.get_parameter("head.weight"), other.head.weight)
    assert result.weights.kind == "checkpoint"
    assert result.weights.sha256 is not None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.pt", None, "no weights at"),
        ("noise.pt", b"nothing of the kind", "noise.pt"),
        ("noise.safetensors", b"nothing of the kind", "safetensors"),
        ("empty.pt", b"", "empty.pt"),
    ],
)
def test_unreadable_weights(workshop: Workshop, tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=words) as refused:
        workshop.bundle(f"{TINY}:convolutional", weights=str(tmp_path / name))
    assert "\n" not in str(refused.value)
    assert refused.value.hint
    assert not list((workshop.cache_dir / "models").glob("*"))


def test_weights_that_hold_code_are_not_loaded(workshop: Workshop, tmp_path: Path) -> None:
    torch.save(Convolutional(), tmp_path / "module.pt")
    with pytest.raises(WeightsError, match="more than tensors"):
        workshop.bundle(f"{TINY}:convolutional", weights=str(tmp_path / "module.pt"))


def test_weights_of_another_model(workshop: Workshop, tmp_path: Path) -> None:
    torch.save({"head.weight": torch.zeros(10, 8)}, tmp_path / "part.pt")
    with pytest.raises(WeightsError, match="missing"):
        workshop.bundle(f"{TINY}:convolutional", weights=str(tmp_path / "part.pt"))
    state = Convolutional().state_dict()
    state["head.weight"] = torch.zeros(10, 9)
    torch.save(state, tmp_path / "wide.pt")
    with pytest.raises(WeightsError, match="head"):
        workshop.bundle(f"{TINY}:convolutional", weights=str(tmp_path / "wide.pt"))


def test_there_are_no_published_weights_of_the_users_own(workshop: Workshop) -> None:
    with pytest.raises(WeightsError, match="no published weights"):
        workshop.bundle(f"{TINY}:convolutional", weights="pretrained")


@pytest.mark.parametrize("factory", ["not_a_module", "no_inputs", "absent"])
def test_factories_that_give_no_model(workshop: Workshop, factory: str) -> None:
    with pytest.raises(PreparationError):
        workshop.bundle(f"{TINY}:{factory}")


def test_the_users_own_exception_is_seen(workshop: Workshop) -> None:
    with pytest.raises(ZeroDivisionError, match="own mistake"):
        workshop.bundle(f"{TINY}:raises")


def test_pretrained_says_where_it_looked(workshop: Workshop) -> None:
    with pytest.raises(WeightsError, match="checkpoints") as refused:
        workshop.bundle("resnet18", weights="pretrained")
    assert "synthetic" in refused.value.hint


@pytest.mark.slow
def test_auto_falls_back_on_synthetic_weights_loudly(workshop: Workshop) -> None:
    result = workshop.bundle("resnet18")
    assert result.weights.kind == "synthetic"
    assert [event for event in workshop.said if event.kind == "warning"]
    reference = Bundle.open(Path(result.path), "resnet18").reference()
    assert float(reference[0][0].std()) > 0.01
    assert not torch.equal(reference[0][0], reference[1][0])
    workshop.said.clear()
    assert workshop.bundle("resnet18").cached
    assert any("a few minutes ago" in event.message for event in workshop.said)


def test_a_bundle_that_is_not_whole(tmp_path: Path) -> None:
    with pytest.raises(PreparationError, match="not whole"):
        Bundle.open(tmp_path, f"{TINY}:convolutional")


def test_no_reference_file_is_none(tmp_path: Path) -> None:
    assert read_reference(tmp_path / "absent.safetensors") is None


def test_a_factory_that_changes_in_between_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    copy = tmp_path / "mine.py"
    copy.write_text(TINY.read_text())
    result = workshop.bundle(f"{copy}:convolutional")
    copy.write_text(TINY.read_text() + "\n")
    with pytest.raises(PreparationError, match="changed"):
        Bundle.open(Path(result.path), f"{copy}:convolutional").eager()
    assert workshop.bundle(f"{copy}:convolutional").key != result.key
