"""A training check of a model that the catalog does not list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etui.services.check_training import check_training, reference_of
from etui.training_check import StoredCheck, TrainingOptions

CONFIG = {
    "architectures": ["BertModel"], "model_type": "bert", "vocab_size": 50, "max_position_embeddings": 16,
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
}  # fmt: skip


@pytest.mark.slow
def test_a_model_is_found_by_its_whole_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ETUI_STATE", str(tmp_path / "state"))
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    stored: list[StoredCheck] = []
    checked = check_training(f"hf:{folder}", TrainingOptions(steps=4), keep=stored.append)
    assert (checked.model, checked.trainable_elements > 0) == ("net", True)
    assert (stored[0].check, stored[0].reference) == (checked, reference_of(f"hf:{folder}"))
