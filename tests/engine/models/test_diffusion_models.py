"""Denoising networks of diffusers are built, given inputs and published weights, exported for XNNPACK and judged."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from etui.catalog import diffusion_models as catalog
from etui.catalog.diffusion_models import DIFFUSION
from etui.catalog.find import tolerance_for
from etui.catalog.memory_need import Step
from etui.catalog.models import ModelEntry
from etui.engine.models import weights
from etui.engine.models.build import build_raw
from etui.engine.models.bundle import Bundle
from etui.engine.models.inputs import catalog_inputs
from etui.engine.models.memory_need import check_memory
from etui.engine.summary.run import run_summary
from etui.errors import PreparationError, WeightsError
from etui.jobs import SummaryJob
from etui.spec import Shape
from tests.engine.conftest import Runner, Workshop
from tests.engine.lowering.test_lower import sqnr_db

needs_diffusers = pytest.mark.skipif(not catalog.is_installed(), reason="needs pip install 'etui[diffusion]'")

NAME = "sd15_unet_tiny"


def ignore(_event: object) -> None:
    """Ignore an event."""


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> ModelEntry:
    """Make the small network smaller: one block down, with attention, and one up."""
    recipe = DIFFUSION[NAME].diffusion
    assert recipe is not None
    config = {
        **recipe.config,
        "down_block_types": ("CrossAttnDownBlock2D",),
        "mid_block_type": None,
        "up_block_types": ("UpBlock2D",),
        "block_out_channels": (16,),
    }
    small = msgspec.structs.replace(DIFFUSION[NAME], diffusion=msgspec.structs.replace(recipe, config=config))
    monkeypatch.setattr(catalog, "DIFFUSION", {**DIFFUSION, NAME: small})
    return small


def test_inputs_are_normal_latents_and_text_and_a_time_step_of_the_schedule() -> None:
    made = catalog_inputs(DIFFUSION["sd15_unet"], 3, 2, 7, None, Shape(batch=2))
    assert made.accuracy and made.calibration
    for latents, time_step, text in (*made.accuracy, *made.calibration):
        assert (latents.shape, time_step.shape, text.shape) == ((2, 4, 64, 64), (2,), (2, 77, 768))
        assert time_step.dtype == torch.int64 and time_step.min() >= 0 and time_step.max() < 1000
        for values in (latents, text):
            assert values.mean().abs() < 0.05 and (values.std() - 1).abs() < 0.05
    again = catalog_inputs(DIFFUSION["sd15_unet"], 3, 2, 7, None, Shape(batch=2))
    assert all(torch.equal(*each) for each in zip(made.accuracy[0], again.accuracy[0], strict=True))
    assert not torch.equal(made.accuracy[0][0], made.calibration[0][0])


@needs_diffusers
@pytest.mark.slow
def test_a_step_is_lowered_and_agrees_with_eager(workshop: Workshop, execute: Runner, entry: ModelEntry) -> None:
    bundle = workshop.bundle(NAME)
    assert bundle.weights.kind == "synthetic"
    lowered = workshop.lower(NAME, bundle, "fp32")
    tolerance = tolerance_for(entry, "fp32")
    assert tolerance is not None and tolerance.sqnr_db_min is not None
    reference = Bundle.open(Path(bundle.path), NAME).reference()
    assert sqnr_db(reference, execute(lowered, bundle, NAME, "fp32")) > tolerance.sqnr_db_min


@needs_diffusers
def test_published_weights_in_the_hub_cache_are_loaded(workshop: Workshop, tmp_path: Path, entry: ModelEntry) -> None:
    published = msgspec.structs.replace(entry, source="diffusers:some/repository#unet")
    folder = tmp_path / "HF_HOME" / "hub" / "models--some--repository"
    snapshot = folder / "snapshots" / "abc" / "unet"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    state = {name: tensor.clone() for name, tensor in build_raw(entry, initialize=True).state_dict().items()}
    save_file(state, snapshot / "diffusion_pytorch_model.safetensors")
    resolved = weights.resolve(published, "pretrained", 0, tmp_path, ignore)
    assert (resolved.kind, resolved.revision) == ("pretrained", "abc")
    module = weights.load(published, resolved, 0).module
    assert all(torch.equal(tensor, state[name.removeprefix("model.")]) for name, tensor in module.state_dict().items())


def test_a_model_for_trials_has_no_published_weights(tmp_path: Path, workshop: Workshop) -> None:
    assert weights.resolve(DIFFUSION[NAME], "auto", 0, tmp_path, ignore).kind == "synthetic"
    with pytest.raises(WeightsError, match="no published weights"):
        weights.resolve(DIFFUSION[NAME], "pretrained", 0, tmp_path, ignore)


def machine_with(root: Path, available_kb: int) -> Path:
    """Return the root of a file system whose machine has 32 GB, of which some are available."""
    (root / "proc").mkdir()
    (root / "proc" / "meminfo").write_text(f"MemTotal: 32000000 kB\nMemAvailable: {available_kb} kB\n")
    return root


def test_too_little_memory_is_one_line_before_anything_is_loaded(tmp_path: Path) -> None:
    root = machine_with(tmp_path, 5_000_000)
    for step in get_args(Step):
        with pytest.raises(PreparationError, match=r"sd15_unet needs about .* GB .*estimated.* 5.12 GB") as refused:
            check_memory(DIFFUSION["sd15_unet"], step, root)
        assert "\n" not in refused.value.message and refused.value.hint
    check_memory(DIFFUSION[NAME], "prepare", root)


def test_enough_memory_is_not_refused(tmp_path: Path) -> None:
    root = machine_with(tmp_path, 30_000_000)
    check_memory(DIFFUSION["sd15_unet"], "prepare", root)


@needs_diffusers
@pytest.mark.slow
def test_the_work_of_a_step_is_the_published_one_and_attention() -> None:
    summary = run_summary(SummaryJob(model="sd15_unet"), ignore)
    assert summary.parameters == 859_520_964 == DIFFUSION["sd15_unet"].parameters
    # Published without the products of attention: github.com/Nota-NetsPresso/BK-SDM/issues/53.
    attention = sum(each.own_macs for each in summary.modules if each.type == "Attention")
    assert math.isclose((summary.macs or 0) - attention, 338_749_194_240, rel_tol=0.01)
    # Levels of the UNet: positions, channels and number of transformers; each attends to itself and to 77 tokens.
    levels = ((64 * 64, 320, 5), (32 * 32, 640, 5), (16 * 16, 1280, 5), (8 * 8, 1280, 1))
    assert attention == sum(2 * count * places * (places + 77) * width for places, width, count in levels)
