"""Build models of the package timm, load their weights by its rules, and list them.

Run as a program (``python -m etui.engine.models.timm_models``) it prints the list as JSON, for
``etui.catalog.timm_models``.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import msgspec
import torch
from torch import nn

from etui.catalog.timm_models import TimmRow, TimmTable
from etui.engine.models.torchvision_shim import prepare_torchvision


def create(name: str, state: dict[str, torch.Tensor] | None = None) -> nn.Module:
    """Build a model with timm's layers for export, and with ``state``, which timm first converts from the names and
    sizes of older checkpoints.

    Raises what timm raises if the weights do not fit, such as RuntimeError.
    """
    options: dict[str, Any] = {"pretrained": False}
    if state is not None:
        options = {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": state, "custom_load": False}}
    module: nn.Module = _timm().create_model(name, exportable=True, **options)
    for configuration in ("pretrained_cfg", "default_cfg"):
        # It would keep the weights a second time.
        if hasattr(module, configuration):
            setattr(module, configuration, {})
    return module


def repository(name: str) -> str | None:
    """Return the Hugging Face repository of a model's published weights; None if it has none with the usual names."""
    configuration = _timm().get_pretrained_cfg(name, allow_unregistered=True)
    if configuration is None or not configuration.hf_hub_id or configuration.hf_hub_filename:
        return None
    return str(configuration.hf_hub_id)


def table() -> TimmTable:
    """Return every model of timm with its input and output."""
    timm = _timm()
    architectures = timm.list_models()
    models: dict[str, TimmRow] = {}
    defaults: dict[str, str] = {}
    for name in (*architectures, *timm.list_pretrained()):
        configuration = timm.get_pretrained_cfg(name, allow_unregistered=True)
        if configuration is None:
            continue
        architecture = name.partition(".")[0]
        full = f"{architecture}.{configuration.tag}" if configuration.tag else architecture
        if name == architecture:
            defaults[architecture] = full
        models[full] = TimmRow(
            size=tuple(configuration.input_size),
            mean=tuple(configuration.mean),
            std=tuple(configuration.std),
            interpolation=configuration.interpolation,
            classes=configuration.num_classes or 0,
            is_fixed=bool(configuration.fixed_input_size),
            crop_share=configuration.crop_pct if configuration.crop_mode == "center" else 0.0,
        )
    return TimmTable(models=models, defaults=defaults)


def _timm() -> Any:
    prepare_torchvision()
    return importlib.import_module("timm")


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(table()))
