"""Hugging Face models by folder or repository (``hf:FOLDER``, ``hf:ORG/NAME``): architecture, task and inputs from
their configuration files."""

from __future__ import annotations

import difflib
import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from etui.catalog.models import (
    TRANSFORMER_TOLERANCES,
    Builder,
    ImageRecipe,
    ModelEntry,
    TextRecipe,
    with_top1,
)
from etui.errors import UsageError
from etui.paths import absolute

PREFIX = "hf:"

_MOST_BYTES = 10_000_000
_LENGTH = 128
_IN_CACHE = "models--"
"""The beginning of the names of models' folders in the Hugging Face cache."""
_NOT_OF_THE_MODEL = ("architectures", "transformers_version", "torch_dtype", "dtype", "_name_or_path", "auto_map")
_HEADS = ("ForSequenceClassification", "ForTokenClassification", "ForMaskedLM", "ForCausalLM", "LMHeadModel")
_IMAGE_HEAD = "ForImageClassification"
_ENCODER = "Model"
_OWN = "write a factory that returns the model and its inputs: FILE.py:FACTORY"


def hf_model(text: str) -> ModelEntry:
    """Return the entry of a model: ``text`` is a folder with a ``config.json``, or a repository whose files are in the
    Hugging Face cache.

    Raises:
        UsageError: there is no such folder, its configuration cannot be read, or etui has no inputs for its
            architecture.
    """
    folder, prefix, name, source = _place(text)
    config = _json(folder / "config.json")
    architecture = str((config.get("architectures") or [""])[0])
    suffix = next((each for each in (*_HEADS, _IMAGE_HEAD, _ENCODER) if architecture.endswith(each)), None)
    code = str(config.get("model_type", "")).replace("-", "_")
    if suffix is None:
        supported = f"etui has inputs for {', '.join(f'..{each}' for each in (*_HEADS, _IMAGE_HEAD, _ENCODER))}"
        raise UsageError(f"{text} has the architecture {architecture or 'none'}; {supported}", _OWN)
    _check_code(text, code)
    is_image = suffix == _IMAGE_HEAD
    vocabulary = config.get("vocab_size")
    if not is_image and not isinstance(vocabulary, int):
        raise UsageError(f"{text} has no vocab_size in its config.json, so its inputs are not known", _OWN)
    is_encoder = suffix == _ENCODER
    longest = config.get("max_position_embeddings") or config.get("n_positions")
    longest = None if is_image or longest is None else int(longest)
    return ModelEntry(
        name=name,
        title=f"{architecture} of {name}",
        family="vision-transformer" if is_image else "text-transformer",
        source=f"transformers:{source}",
        parameters=0,
        outputs="hidden state" if is_encoder else "logits",
        image=_image(config, folder) if is_image else None,
        text=None
        if is_image
        else TextRecipe(
            length=min(_LENGTH, longest or _LENGTH),
            vocabulary=int(vocabulary or 0),
            mask=is_encoder,
            fill=not is_encoder,
        ),
        builder=Builder(
            code=code,
            architecture=architecture,
            config=f"{architecture.removesuffix(suffix)}Config",
            overrides={key: value for key, value in config.items() if key not in _NOT_OF_THE_MODEL},
            wrapper="hidden state" if is_encoder else "logits",
        ),
        repeat=30,
        tolerances=with_top1(TRANSFORMER_TOLERANCES) if not is_encoder else TRANSFORMER_TOLERANCES,
        prefix=prefix,
        longest=longest,
    )


def _place(text: str) -> tuple[Path, str, str, str]:
    """Return the folder of a model, the beginning of its reference, its name, and what names its weights."""
    path = absolute(text, "the model")
    if path.is_dir():
        return path, f"{PREFIX}{path.parent}/", path.name, str(path)
    organization, slash, name = text.partition("/")
    if not slash or "/" in name or not organization or text.startswith((".", "~")):
        raise UsageError(f"folder not found: {path}", "give a folder with a config.json, or hf:ORG/NAME")
    cache = hub_cache() / f"{_IN_CACHE}{organization}--{name}"
    try:
        folder = cache / "snapshots" / (cache / "refs" / "main").read_text().strip()
    except OSError:
        raise UsageError(
            f"{text} is not in the Hugging Face cache {hub_cache()}",
            f"download it with `hf download {text}`, or copy its folder to this machine and give hf:FOLDER",
            screen_hint="copy its folder to this machine and give hf:FOLDER",
        ) from None
    return folder, f"{PREFIX}{organization}/", name, text


def cached_models() -> list[str]:
    """Return the models in the Hugging Face cache, as ORG/NAME; none if it cannot be read."""
    try:
        names = [each.name.removeprefix(_IN_CACHE) for each in hub_cache().iterdir() if each.name.startswith(_IN_CACHE)]
    except OSError:
        return []
    return sorted(name.replace("--", "/", 1) for name in names if "--" in name)


def hub_cache() -> Path:
    """Return the folder of the repositories in the Hugging Face cache."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    home = os.environ.get("HF_HOME")
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return (Path(home).expanduser() if home else base / "huggingface") / "hub"


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MOST_BYTES))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "give a Hugging Face folder") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON", "copy the folder again") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is not a configuration", "give a Hugging Face folder")
    return content


def _check_code(text: str, code: str) -> None:
    """Raise UsageError if the installed transformers has no model of this type. Only looks at file names."""
    spec = find_spec("transformers")
    models = Path(spec.origin).parent / "models" if spec is not None and spec.origin else None
    if models is None or not models.is_dir():
        raise UsageError("transformers is not installed", "reinstall etui with pip")
    if not code.isidentifier() or not (models / code / f"modeling_{code}.py").is_file():
        similar = difflib.get_close_matches(code, [each.name for each in models.iterdir()], n=2)
        guess = f" (similar: {', '.join(similar)})" if similar else ""
        raise UsageError(f"{text} has the model type {code!r}, which transformers does not have{guess}", _OWN)


def _image(config: dict[str, Any], folder: Path) -> ImageRecipe:
    """Return the input of an image classifier, from its preprocessor's configuration if there is one."""
    try:
        preprocessor = _json(folder / "preprocessor_config.json")
    except UsageError:
        preprocessor = {}
    candidates = [preprocessor.get("crop_size"), preprocessor.get("size"), config.get("image_size"), 224]
    size = next(found for each in candidates if (found := _pixels(each)))
    mean = [round(float(value), 3) for value in preprocessor.get("image_mean") or []]
    normalization: Literal["imagenet", "clip", "half"] = "imagenet"
    if mean == [0.5, 0.5, 0.5]:
        normalization = "half"
    elif mean == [0.481, 0.458, 0.408]:
        normalization = "clip"
    return ImageRecipe(size=size, normalization=normalization)


def _pixels(value: object) -> int:
    """Return a size that is a number, a pair, or a dict with a height or shortest edge; 0 if it is none of these."""
    if isinstance(value, dict):
        value = value.get("height") or value.get("shortest_edge")
    if isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
