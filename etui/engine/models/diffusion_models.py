"""Build denoising networks of the package diffusers and generate their inputs."""

from __future__ import annotations

import importlib

import torch
from torch import nn

from etui.catalog.diffusion_models import INSTALL
from etui.catalog.models import DiffusionRecipe
from etui.engine.explain.error_text import first_line
from etui.engine.models.call_structure import Inputs
from etui.engine.models.torchvision_shim import prepare_torchvision
from etui.errors import PreparationError

CODE = "diffusers.models.unets.unet_2d_condition"
"""The module that defines the network."""


def create(recipe: DiffusionRecipe) -> nn.Module:
    """Build the network as diffusers defines it. Raises PreparationError if diffusers cannot be imported."""
    prepare_torchvision()
    try:
        code = importlib.import_module(CODE)
    except ImportError as error:
        raise PreparationError(
            f"diffusers cannot be imported: {first_line(error)}", f"reinstall it: {INSTALL}"
        ) from error
    module: nn.Module = code.UNet2DConditionModel(**recipe.config)
    return module


class DenoisingStep(nn.Module):
    """One denoising step: from latents, time steps and text embeddings to the predicted noise."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: torch.Tensor
    ) -> torch.Tensor:
        """Return the noise [N, C, H, W] in latents [N, C, H, W] at time steps [N] with text embeddings [N, T, W]."""
        noise: torch.Tensor = self.model(sample, timestep, encoder_hidden_states, return_dict=False)[0]
        return noise


def step_inputs(recipe: DiffusionRecipe, count: int, generator: torch.Generator) -> list[Inputs]:
    """Return ``count`` inputs of one step: latents and a text embedding with the distribution N(0, 1), which are those
    of the first step and of a layer-normalized text encoder, and a time step of the training schedule."""
    return [
        (
            torch.randn(1, recipe.latent_channels, recipe.latent_size, recipe.latent_size, generator=generator),
            torch.randint(0, recipe.train_steps, (1,), generator=generator),
            torch.randn(1, recipe.text_length, recipe.text_width, generator=generator),
        )
        for _ in range(count)
    ]
