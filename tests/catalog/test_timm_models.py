"""Models of timm are described by the timm that is installed, which a separate process lists once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from etui.catalog.find import find_model
from etui.catalog.models import ModelEntry
from etui.catalog.timm_models import known_names
from etui.errors import UsageError

needs_timm = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed: pip install 'etui[timm]'")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the cache folder that the tests of this file share, so that timm is imported once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("ETUI_CACHE", str(folder))
        yield folder


def found(reference: str) -> ModelEntry:
    model = find_model(reference)
    assert isinstance(model, ModelEntry) and model.image is not None
    return model


def test_a_missing_timm_is_one_line_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match="timm is not installed") as refused:
        find_model("timm:resnet18")
    assert refused.value.hint == "pip install 'etui[timm]'"


@pytest.mark.slow
def test_a_timm_that_cannot_be_imported_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / "__init__.py").write_text("raise ImportError('no such layer')")
    (tmp_path / "timm-9.dist-info").mkdir()
    (tmp_path / "timm-9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: timm\nVersion: 9\n")
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    with pytest.raises(UsageError, match="no such layer") as refused:
        find_model("timm:resnet18")
    assert "\n" not in refused.value.message and "etui[timm]" in refused.value.hint
    assert not list(tmp_path.glob("cache/*"))


@needs_timm
@pytest.mark.slow
def test_the_input_is_that_of_the_weights(cache: Path) -> None:
    assert known_names() == []  # before the first use there is no list
    small = found("timm:mobilenetv3_small_050").image
    assert small is not None and (small.size, small.interpolation) == (224, "bicubic")
    assert small.mean == pytest.approx((0.485, 0.456, 0.406)) and small.std == pytest.approx((0.229, 0.224, 0.225))
    other = found("timm:dpn68").image
    assert other is not None and other.std[0] == pytest.approx(0.235, abs=0.001)
    assert "mobilenetv3_small_050" in known_names()
    # The shorter side is floor(size / crop_pct), as in timm.data.create_transform; other crop modes are not known.
    names = ("resnet18.a1_in1k", "dpn68", "convnext_base.fb_in22k_ft_in1k_384")
    resized = [found(f"timm:{name}").resize for name in names]
    known = [(one.shorter_side, one.interpolation) if one is not None else None for one in resized]
    assert known == [(235, "bicubic"), (256, "bicubic"), None]
    assert {path.suffix for path in cache.iterdir()} == {".json"}


@needs_timm
@pytest.mark.slow
def test_a_name_stands_for_its_default_weights_in_upper_or_lower_case(cache: Path) -> None:
    model = found("timm:ResNet18")
    assert model.name.startswith("resnet18.") and model.outputs == "logits"
    assert found(model.reference) == model and found(f"TIMM:{model.name.upper()}") == model
    assert model.identity() != found("resnet18").identity()


@needs_timm
@pytest.mark.slow
def test_transformers_and_embeddings_are_labelled(cache: Path) -> None:
    assert found("timm:vit_tiny_patch16_224").family == "vision-transformer"
    assert found("timm:vit_tiny_patch16_224").fixed_size
    assert found("timm:vit_small_patch14_dinov2").outputs == "embedding"
    assert found("timm:convnext_atto").family == "cnn"


@needs_timm
@pytest.mark.slow
def test_an_unknown_name_suggests_near_ones(cache: Path) -> None:
    with pytest.raises(UsageError, match="has no model 'mobilenetv3_smal_050'") as refused:
        find_model("timm:mobilenetv3_smal_050")
    assert "timm:mobilenetv3_small_050" in refused.value.hint


@needs_timm
@pytest.mark.slow
def test_finding_a_model_does_not_import_timm(cache: Path) -> None:
    code = "import sys; from etui.catalog.find import find_model; find_model('timm:resnet18')"
    subprocess.run([sys.executable, "-c", f"{code}; assert not {{'timm', 'torch'}} & set(sys.modules)"], check=True)
