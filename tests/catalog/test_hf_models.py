"""Hugging Face models are described from the files of their folder, without importing transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etui.catalog.find import find_model
from etui.catalog.models import ModelEntry
from etui.errors import UsageError
from etui.services.shapes import ShapeError, check_shape
from etui.spec import Shape

BERT = {"architectures": ["BertModel"], "model_type": "bert", "vocab_size": 100, "max_position_embeddings": 64}
VIT = {"architectures": ["ViTForImageClassification"], "model_type": "vit", "image_size": 384, "hidden_size": 8}


def folder(path: Path, config: object, **others: object) -> str:
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    for name, content in others.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return f"hf:{path}"


def found(reference: str) -> ModelEntry:
    model = find_model(reference)
    assert isinstance(model, ModelEntry)
    return model


def test_a_text_encoder(tmp_path: Path) -> None:
    model = found(folder(tmp_path / "encoder", BERT))
    assert model.text is not None and model.builder is not None
    assert (model.text.length, model.text.vocabulary, model.text.mask) == (64, 100, True)
    assert (model.builder.code, model.builder.config, model.builder.wrapper) == ("bert", "BertConfig", "hidden state")
    assert find_model(model.reference) == model


def test_a_text_may_be_as_long_as_the_model_takes(tmp_path: Path) -> None:
    model = found(folder(tmp_path / "long", {**BERT, "max_position_embeddings": 512}))
    assert model.text is not None and model.text.length == 128
    check_shape(model, Shape(sequence=512))
    with pytest.raises(ShapeError, match="for 512"):
        check_shape(model, Shape(sequence=513))


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("BertForSequenceClassification", "BertConfig"),
        ("GPT2LMHeadModel", "GPT2Config"),
        ("BertForMaskedLM", "BertConfig"),
    ],
)
def test_models_with_a_head_have_logits(tmp_path: Path, architecture: str, config: str) -> None:
    kind = "gpt2" if architecture.startswith("GPT2") else "bert"
    model = found(folder(tmp_path / "head", {**BERT, "architectures": [architecture], "model_type": kind}))
    assert model.outputs == "logits" and model.builder is not None
    assert (model.builder.config, model.builder.architecture) == (config, architecture)


def test_the_image_comes_from_the_preprocessor(tmp_path: Path) -> None:
    plain = found(folder(tmp_path / "plain", VIT))
    assert plain.image is not None and (plain.image.size, plain.image.normalization) == (384, "imagenet")
    preprocessor = {"size": {"height": 224, "width": 224}, "image_mean": [0.5, 0.5, 0.5]}
    other = found(folder(tmp_path / "other", VIT, preprocessor_config=preprocessor))
    assert other.image is not None and (other.image.size, other.image.normalization) == (224, "half")


def test_a_repository_is_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    cache = tmp_path / "models--org--net"
    folder(cache / "snapshots" / "abc", BERT)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    model = found("hf:org/net")
    assert (model.name, model.reference, model.source) == ("net", "hf:org/net", "transformers:org/net")
    with pytest.raises(UsageError, match="not in the Hugging Face cache"):
        find_model("hf:org/other")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**BERT, "architectures": ["T5ForConditionalGeneration"]}, "T5ForConditionalGeneration"),
        ({**BERT, "model_type": "brt"}, "'brt'.*similar: bert"),
        ({"architectures": ["BertModel"], "model_type": "bert"}, "no vocab_size"),
        ([], "not a configuration"),
    ],
)
def test_what_has_no_known_inputs_is_refused_in_one_line(tmp_path: Path, config: object, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        find_model(folder(tmp_path / "net", config))
    assert refused.value.hint


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder not found"):
        find_model(f"hf:{tmp_path}/nothing")
    with pytest.raises(UsageError, match="cannot read"):
        find_model(f"hf:{tmp_path}")
