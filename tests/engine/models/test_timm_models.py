"""Models of timm are built, given weights by timm's rules, exported for XNNPACK and judged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from etui.catalog.find import find_model, tolerance_for
from etui.catalog.models import ModelEntry
from etui.engine.models import weights
from etui.engine.models.bundle import Bundle
from etui.engine.models.inputs import photos
from etui.errors import WeightsError
from tests.engine.conftest import Runner, Workshop
from tests.engine.lowering.test_lower import sqnr_db

pytest.importorskip("timm", reason="timm is not installed: pip install 'etui[timm]'")

from etui.engine.models import timm_models

NAME = "timm:test_resnet"


def ignore(_event: object) -> None:
    """Ignore an event."""


@pytest.fixture
def entry(workshop: Workshop) -> ModelEntry:
    """Return the entry of a small model."""
    model = find_model(NAME)
    assert isinstance(model, ModelEntry)
    return model


@pytest.mark.slow
def test_a_model_is_built_lowered_and_agrees_with_eager(workshop: Workshop, execute: Runner, entry: ModelEntry) -> None:
    bundle = workshop.bundle(NAME)
    assert bundle.weights.kind == "synthetic"
    assert any("unreachable" in event.message for event in workshop.events if event.message)
    lowered = workshop.lower(NAME, bundle, "fp32")
    tolerance = tolerance_for(entry, "fp32")
    assert tolerance is not None and tolerance.sqnr_db_min is not None
    reference = Bundle.open(Path(bundle.path), NAME).reference()
    assert sqnr_db(reference, execute(lowered, bundle, NAME, "fp32")) > tolerance.sqnr_db_min


@pytest.mark.slow
def test_published_weights_in_the_hub_cache_are_loaded(workshop: Workshop, tmp_path: Path, entry: ModelEntry) -> None:
    repository = timm_models.repository(entry.source_id)
    assert repository is not None
    folder = tmp_path / "HF_HOME" / "hub" / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    snapshot = folder / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    state = {name: tensor.clone() for name, tensor in timm_models.create(entry.source_id).state_dict().items()}
    save_file(state, snapshot / "model.safetensors")
    resolved = weights.resolve(entry, "pretrained", 0, tmp_path, ignore)
    assert (resolved.kind, resolved.revision) == ("pretrained", "abc")
    module = weights.load(entry, resolved, 0).module
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())


@pytest.mark.slow
def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path: Path, entry: ModelEntry) -> None:
    save_file({"other": torch.zeros(2)}, tmp_path / "other.safetensors")
    resolved = weights.resolve(entry, str(tmp_path / "other.safetensors"), 0, tmp_path, ignore)
    with pytest.raises(WeightsError, match="does not fit the model") as refused:
        weights.load(entry, resolved, 0)
    assert "\n" not in refused.value.message


@pytest.mark.slow
def test_a_model_without_published_weights_is_synthetic(tmp_path: Path, workshop: Workshop) -> None:
    model = find_model("timm:starnet_s050")
    assert isinstance(model, ModelEntry)
    assert weights.resolve(model, "auto", 0, tmp_path, ignore).kind == "synthetic"
    with pytest.raises(WeightsError, match=r"no .*weights"):
        weights.resolve(model, "pretrained", 0, tmp_path, ignore)


@pytest.mark.slow
def test_images_are_normalized_by_the_mean_of_the_weights(entry: ModelEntry) -> None:
    assert entry.image is not None
    (image,) = photos(entry.image, 1, 0, "accuracy")
    assert image.shape == (1, 3, entry.image.size, entry.image.size)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (entry.image.mean, entry.image.std))
    pixels = image[0] * std + mean
    assert pixels.min() + 1e-5 >= 0 and pixels.max() <= 1 + 1e-5
