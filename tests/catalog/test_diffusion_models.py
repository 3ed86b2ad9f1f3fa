"""Denoising networks of diffusers are found by name, and the memory that the large one needs is estimated."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from etui.catalog import diffusion_models
from etui.catalog.diffusion_models import DIFFUSION
from etui.catalog.find import find_model, tolerance_for
from etui.catalog.memory_need import needed_bytes
from etui.catalog.precisions import recipe
from etui.cli.main import cli
from etui.errors import UsageError


@pytest.mark.parametrize("name", ["sd15_unet", "SD15_UNet_tiny"])
def test_a_missing_diffusers_is_one_line_with_the_extra(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UsageError, match="diffusers, which is not installed") as refused:
        find_model(name)
    assert refused.value.hint == "pip install 'etui[diffusion]'"
    assert "\n" not in refused.value.message


def test_the_list_of_models_has_them_and_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffusion_models, "is_installed", lambda: False)
    text = CliRunner().invoke(cli, ["models"]).stdout
    assert "etui[diffusion]" in text and "not installed" in text
    listed = json.loads(CliRunner().invoke(cli, ["models", "--json"]).stdout)["models"]
    assert DIFFUSION.keys() <= {each["name"] for each in listed}


@pytest.mark.skipif(not diffusion_models.is_installed(), reason="needs pip install 'etui[diffusion]'")
def test_finding_one_does_not_import_diffusers() -> None:
    code = "import sys; from etui.catalog.find import find_model; find_model('sd15_unet')"
    subprocess.run(
        [sys.executable, "-c", f"{code}; assert not {{'diffusers', 'torch'}} & set(sys.modules)"], check=True
    )


def test_int8_is_static_and_has_a_tolerance() -> None:
    entry = DIFFUSION["sd15_unet"]
    assert recipe(entry, "int8").startswith("int8-static/")
    assert tolerance_for(entry, "int8") is not None


def test_only_a_large_model_has_an_estimate_of_memory() -> None:
    weights_bytes = 4 * DIFFUSION["sd15_unet"].parameters
    loading, preparing, quantizing = (
        needed_bytes(DIFFUSION["sd15_unet"], step) or 0 for step in ("load", "prepare", "quantize")
    )
    assert weights_bytes < loading < preparing < quantizing
    assert needed_bytes(DIFFUSION["sd15_unet_tiny"], "quantize") is None
