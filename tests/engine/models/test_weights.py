"""Weights: read from the local caches, loaded by the library's rules, and refused in one line if they do not fit."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pickle
import random
import stat
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from etui.catalog.models import MODELS
from etui.engine.models import hub, weights
from etui.engine.models.build import build_raw, transformers_parts
from etui.errors import WeightsError
from tests.engine.conftest import Workshop
from tests.engine.models.test_build import DISTILBERT, GPT2


def ignore(_event: object) -> None:
    """Ignore an event."""


def distilbert_state(prefix: str = "distilbert.") -> dict[str, torch.Tensor]:
    """Return the state dict of a DistilBERT checkpoint with a head."""
    assert DISTILBERT.builder is not None
    architecture, config = transformers_parts(DISTILBERT.builder)
    state = {f"{prefix}{name}": tensor.clone() for name, tensor in architecture(config).state_dict().items()}
    return {**state, "classifier.weight": torch.zeros(2, 32)}


@pytest.mark.slow
def test_checkpoint_with_another_head_is_accepted(tmp_path: Path) -> None:
    state = distilbert_state()
    save_file(state, tmp_path / "model.safetensors")
    resolved = weights.resolve(DISTILBERT, str(tmp_path), 0, tmp_path, ignore)
    module = weights.load(DISTILBERT, resolved, 0).module
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(module.get_parameter(f"model.{name}"), state[f"distilbert.{name}"])
    assert (resolved.kind, resolved.folder) == ("checkpoint", tmp_path)


def test_gpt2_weights_are_transposed_with_their_layers_and_stay_tied(tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in build_raw(GPT2, initialize=True).state_dict().items()}
    del state["lm_head.weight"]
    torch.save(state, tmp_path / "gpt2.pt")
    resolved = weights.resolve(GPT2, str(tmp_path / "gpt2.pt"), 0, tmp_path, ignore)
    module = weights.load(GPT2, resolved, 0).module
    turned = module.get_parameter("model.transformer.h.0.attn.c_attn.weight")
    assert torch.equal(turned.t(), state["transformer.h.0.attn.c_attn.weight"])
    assert module.get_parameter("model.lm_head.weight") is module.get_parameter("model.transformer.wte.weight")


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    state = distilbert_state()
    state["distilbert.embeddings.word_embeddings.weight"] = torch.zeros(30522, 16)
    save_file(state, tmp_path / "other.safetensors")
    resolved = weights.resolve(DISTILBERT, str(tmp_path / "other.safetensors"), 0, tmp_path, ignore)
    with pytest.raises(WeightsError, match=r"word_embeddings.weight is \[30522, 16\]") as refused:
        weights.load(DISTILBERT, resolved, 0)
    assert "\n" not in str(refused.value)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    state = distilbert_state()
    del state["distilbert.embeddings.word_embeddings.weight"]
    save_file(state, tmp_path / "part.safetensors")
    resolved = weights.resolve(DISTILBERT, str(tmp_path / "part.safetensors"), 0, tmp_path, ignore)
    with pytest.raises(WeightsError, match="1 missing, such as embeddings"):
        weights.load(DISTILBERT, resolved, 0)


def test_index_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    save_file(distilbert_state(), tmp_path / "outside.safetensors")
    index = {"weight_map": {"a": "../outside.safetensors"}}
    (tmp_path / "folder" / "model.safetensors.index.json").write_text(json.dumps(index))
    resolved = weights.resolve(DISTILBERT, str(tmp_path / "folder"), 0, tmp_path, ignore)
    with pytest.raises(WeightsError, match="safetensors"):
        weights.load(DISTILBERT, resolved, 0)


def test_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no model\.safetensors"):
        weights.resolve(DISTILBERT, str(tmp_path), 0, tmp_path, ignore)


def test_torch_hub_cache_is_used(workshop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "TORCH_HOME" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    state = build_raw(MODELS["resnet18"], initialize=True).state_dict()
    torch.save(state, folder / "resnet18-f37072fd.pth")
    resolved = weights.resolve(MODELS["resnet18"], "auto", 0, workshop.cache_dir, ignore)
    assert (resolved.kind, resolved.revision) == ("pretrained", "IMAGENET1K_V1")
    module = weights.load(MODELS["resnet18"], resolved, 0).module
    assert torch.equal(module.get_parameter("fc.weight"), state["fc.weight"])


def test_hugging_face_cache_is_used(workshop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "HF_HOME" / "hub" / "models--distilbert--distilbert-base-uncased"
    snapshot = folder / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc123")
    (snapshot / "config.json").write_text("{}")
    save_file(distilbert_state(), snapshot / "model.safetensors")
    resolved = weights.resolve(DISTILBERT, "auto", 0, workshop.cache_dir, ignore)
    assert (resolved.kind, resolved.revision, resolved.folder) == ("pretrained", "abc123", snapshot)


def test_slow_work_is_abandoned() -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        hub.within(0.05, lambda: time.sleep(3))
    assert time.monotonic() - start < 2


def test_unreachable_hub_is_remembered_per_kind(tmp_path: Path) -> None:
    assert not hub.recently_unreachable(tmp_path, "torchvision")
    hub.remember_unreachable(tmp_path, "torchvision")
    assert hub.recently_unreachable(tmp_path, "torchvision")
    assert not hub.recently_unreachable(tmp_path, "transformers")
    (tmp_path / "hub-out-of-reach.json").write_text("not json")
    assert not hub.recently_unreachable(tmp_path, "torchvision")


def test_download_with_a_wrong_hash_is_discarded(tmp_path: Path) -> None:
    source, target = tmp_path / "source.bin", tmp_path / "cache" / "resnet18-f37072fd.pth"
    source.write_bytes(b"something else")
    with pytest.raises(OSError, match="does not have the hash"):
        hub._download(source.as_uri(), target, target.with_name(".etui-part"), 5.0)
    assert not list((tmp_path / "cache").iterdir())


def test_hanging_download_leaves_no_partial_file(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    folder = tmp_path / "TORCH_HOME" / "hub" / "checkpoints"
    requested, go_on = threading.Event(), threading.Event()

    class Answer(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            requested.set()
            go_on.wait()
            return b""

    monkeypatch.setattr(hub, "_ask", lambda url: True)
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Answer())
    try:
        with pytest.raises(TimeoutError):
            hub.fetch(MODELS["resnet18"], 0.2)
        assert requested.is_set() and not list(folder.iterdir())
    finally:
        go_on.set()


def test_partial_downloads_of_killed_processes_are_removed(workshop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "TORCH_HOME" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    left, new, under_way = (folder / f".etui-{name}" for name in ("left", "new", "under-way"))
    for part in (left, new, under_way):
        part.write_bytes(b"half")
    for part in (left, under_way):
        os.utime(part, (1e9, 1e9))
    with under_way.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        weights.resolve(MODELS["resnet18"], "auto", 0, workshop.cache_dir, ignore)
    assert sorted(folder.iterdir()) == sorted([new, under_way])
    # The folder belongs to torch, and others may read it.
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


UNREADABLE = {
    "cut.pt": b"",
    "text.pt": b"nothing of the kind",
    "magic.pt": pickle.dumps(0x1950A86A20F9469CFC6C, 2),
    "legacy.pt": b"".join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {})),
    "other.pt": pickle.dumps({"a": [1, 2]}, 2),
    "long.pt": b"\x8a\xff" + b"\0" * 40,
    "frame.pt": b"\x80\x04\x95" + b"\xff" * 8,
    "memo.pt": b"\x80\x02j\xff\xff\xff\x7f.",
    "persistent.pt": b"\x80\x02K\x01Q.",
    "header.safetensors": b"\xff" * 8 + b"{}",
    "text.safetensors": b"\x04" + b"\0" * 7 + b"\xff\xfe\xfd\xfc",
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", UNREADABLE)
def test_any_reader_error_is_reported_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(UNREADABLE[name])
    with pytest.raises(WeightsError) as refused:
        weights.read_state_dict(tmp_path / name)
    assert "\n" not in str(refused.value) and name in refused.value.message and refused.value.hint


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 8), st.booleans())
def test_damaged_state_dict_is_read_or_refused_in_one_line(seed: int, flips: int, legacy: bool) -> None:
    chosen = random.Random(seed)
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(2), "b.c": torch.ones(1)}, buffer, _use_new_zipfile_serialization=not legacy)
    content = bytearray(buffer.getvalue())
    for _ in range(flips):
        content[chosen.randrange(len(content))] = chosen.randrange(256)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.pt"
        path.write_bytes(content)
        try:
            state = weights.read_state_dict(path)
        except WeightsError as error:
            assert "\n" not in str(error)
        else:
            assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())


@pytest.mark.parametrize("named", [{"a": ""}, {"a": ".."}, {"a": "/"}, {}, {"a": ["x"]}, 3, None])
def test_index_without_files_is_refused(tmp_path: Path, named: object) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": named}))
    with pytest.raises(WeightsError):
        weights.read_state_dict(tmp_path)


def test_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(WeightsError, match="neither a file nor a folder"):
        weights.resolve(DISTILBERT, str(tmp_path / "pipe.pt"), 0, tmp_path, ignore)
