"""Denoising networks of the package diffusers by name (``sd15_unet``); one inference is one denoising step."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from etui.catalog.models import TOLERANCES, DiffusionRecipe, ModelEntry
from etui.errors import UsageError

INSTALL = "pip install 'etui[diffusion]'"

_STABLE_DIFFUSION = DiffusionRecipe(
    latent_channels=4,
    latent_size=64,
    text_length=77,
    text_width=768,
    train_steps=1000,
    config={"sample_size": 64, "cross_attention_dim": 768},
)
"""The configuration of Stable Diffusion 1.5; what is not named has the value that diffusers has by default."""

_TINY = DiffusionRecipe(
    latent_channels=4,
    latent_size=16,
    text_length=8,
    text_width=32,
    train_steps=1000,
    config={
        "sample_size": 16,
        "cross_attention_dim": 32,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    },
)

_ENTRIES = (
    ModelEntry(
        name="sd15_unet",
        title="Stable Diffusion 1.5 UNet, one denoising step",
        family="diffusion",
        source="diffusers:stable-diffusion-v1-5/stable-diffusion-v1-5#unet",
        parameters=859_520_964,
        outputs="predicted noise",
        diffusion=_STABLE_DIFFUSION,
        repeat=10,
        warmup=1,
        tolerances=TOLERANCES,
    ),
    ModelEntry(
        name="sd15_unet_tiny",
        title="small UNet like Stable Diffusion's, for trials",
        family="diffusion",
        source="diffusers:sd15_unet_tiny",
        parameters=792_964,
        outputs="predicted noise",
        diffusion=_TINY,
        repeat=30,
        tolerances=TOLERANCES,
    ),
)

DIFFUSION: Mapping[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}
"""The denoising networks by name, in display order."""


def is_installed() -> bool:
    """Whether diffusers is installed; imports nothing."""
    try:
        return find_spec("diffusers") is not None
    except ValueError:
        return False


def diffusion_model(name: str) -> ModelEntry:
    """Return the entry of a name in ``DIFFUSION``. Raises UsageError if diffusers is not installed."""
    if not is_installed():
        raise UsageError(f"{name} needs the package diffusers, which is not installed", INSTALL)
    return DIFFUSION[name]
