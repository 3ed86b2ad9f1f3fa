"""Weights: found in the local caches, fitted by the library's own rules, and refused in one line where they do not."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from etui.catalog.models import MODELS
from etui.engine import hub, weights
from etui.engine.models import build_raw, transformers_parts
from etui.errors import WeightsError
from tests.engine.conftest import Workshop
from tests.engine.test_models import DISTILBERT, GPT2


def unheard(_event: object) -> None:
    """Takes what is said and forgets it."""


def distilbert_state(prefix: str = "distilbert.") -> dict[str, torch.Tensor]:
    """What a checkpoint of a DistilBERT with a head on it holds."""
    assert DISTILBERT.builder is not None
    architecture, config = transformers_parts(DISTILBERT.builder)
    state = {f"{prefix}{name}": tensor.clone() for name, tensor in architecture(config).state_dict().items()}
    return {**state, "classifier.weight": torch.zeros(2, 32)}


def test_a_checkpoint_with_another_head_fits(tmp_path: Path) -> None:
    state = distilbert_state()
    save_file(state, tmp_path / "model.safetensors")
    resolved = weights.resolve(DISTILBERT, str(tmp_path), 0, tmp_path, unheard)
    module = weights.load(DISTILBERT, resolved, 0).module
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(module.get_parameter(f"model.{name}"), state[f"distilbert.{name}"])
    assert (resolved.kind, resolved.folder) == ("checkpoint", tmp_path)


def test_gpt2_weights_turn_with_their_layers_and_stay_tied(tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in build_raw(GPT2, initialise=True).state_dict().items()}
    del state["lm_head.weight"]
    torch.save(state, tmp_path / "gpt2.pt")
    resolved = weights.resolve(GPT2, str(tmp_path / "gpt2.pt"), 0, tmp_path, unheard)
    module = weights.load(GPT2, resolved, 0).module
    turned = module.get_parameter("model.transformer.h.0.attn.c_attn.weight")
    assert torch.equal(turned.t(), state["transformer.h.0.attn.c_attn.weight"])
    assert module.get_parameter("model.lm_head.weight") is module.get_parameter("model.transformer.wte.weight")


def test_another_size_is_refused(tmp_path: Path) -> None:
    state = distilbert_state()
    state["distilbert.embeddings.word_embeddings.weight"] = torch.zeros(30522, 16)
    save_file(state, tmp_path / "other.safetensors")
    resolved = weights.resolve(DISTILBERT, str(tmp_path / "other.safetensors"), 0, tmp_path, unheard)
    with pytest.raises(WeightsError, match=r"word_embeddings.weight is \[30522, 16\]") as refused:
        weights.load(DISTILBERT, resolved, 0)
    assert "\n" not in str(refused.value)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    state = distilbert_state()
    del state["distilbert.embeddings.word_embeddings.weight"]
    save_file(state, tmp_path / "part.safetensors")
    resolved = weights.resolve(DISTILBERT, str(tmp_path / "part.safetensors"), 0, tmp_path, unheard)
    with pytest.raises(WeightsError, match="1 missing such as embeddings"):
        weights.load(DISTILBERT, resolved, 0)


def test_an_index_cannot_point_out_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    save_file(distilbert_state(), tmp_path / "outside.safetensors")
    index = {"weight_map": {"a": "../outside.safetensors"}}
    (tmp_path / "folder" / "model.safetensors.index.json").write_text(json.dumps(index))
    resolved = weights.resolve(DISTILBERT, str(tmp_path / "folder"), 0, tmp_path, unheard)
    with pytest.raises(WeightsError, match="safetensors"):
        weights.load(DISTILBERT, resolved, 0)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no model\.safetensors"):
        weights.resolve(DISTILBERT, str(tmp_path), 0, tmp_path, unheard)


def test_the_torch_hub_cache_is_found(workshop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "TORCH_HOME" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    state = build_raw(MODELS["resnet18"], initialise=True).state_dict()
    torch.save(state, folder / "resnet18-f37072fd.pth")
    resolved = weights.resolve(MODELS["resnet18"], "auto", 0, workshop.cache_dir, unheard)
    assert (resolved.kind, resolved.revision) == ("pretrained", "IMAGENET1K_V1")
    module = weights.load(MODELS["resnet18"], resolved, 0).module
    assert torch.equal(module.get_parameter("fc.weight"), state["fc.weight"])


def test_the_hugging_face_cache_is_found(workshop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "HF_HOME" / "hub" / "models--distilbert--distilbert-base-uncased"
    snapshot = folder / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc123")
    (snapshot / "config.json").write_text("{}")
    save_file(distilbert_state(), snapshot / "model.safetensors")
    resolved = weights.resolve(DISTILBERT, "auto", 0, workshop.cache_dir, unheard)
    assert (resolved.kind, resolved.revision, resolved.folder) == ("pretrained", "abc123", snapshot)


def test_work_that_takes_too_long_is_left_alone() -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        hub.within(0.05, lambda: time.sleep(3))
    assert time.monotonic() - start < 2


def test_a_hub_out_of_reach_is_remembered_for_its_kind(tmp_path: Path) -> None:
    assert not hub.recently_out_of_reach(tmp_path, "torchvision")
    hub.remember_out_of_reach(tmp_path, "torchvision")
    assert hub.recently_out_of_reach(tmp_path, "torchvision")
    assert not hub.recently_out_of_reach(tmp_path, "transformers")
    (tmp_path / "hub-out-of-reach.json").write_text("not json")
    assert not hub.recently_out_of_reach(tmp_path, "torchvision")


def test_a_download_with_another_hash_is_not_kept(tmp_path: Path) -> None:
    source = tmp_path / "source.bin"
    source.write_bytes(b"something else")
    with pytest.raises(OSError, match="does not have the hash"):
        hub._download(source.as_uri(), tmp_path / "cache" / "resnet18-f37072fd.pth", 5.0)
    assert not list((tmp_path / "cache").iterdir())
