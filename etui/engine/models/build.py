"""Build the module a catalog entry or a user's file stands for, with or without initialising its weights."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from etui.catalog.find import Model, UserModel
from etui.catalog.models import Builder, ModelEntry
from etui.engine.models.exported_program import load_exported
from etui.engine.models.torchvision_shim import prepare_torchvision
from etui.engine.models.user_code import UserFile
from etui.engine.models.user_inputs import Examples
from etui.errors import PreparationError

_INITIALISERS = (
    "uniform_",
    "normal_",
    "trunc_normal_",
    "constant_",
    "ones_",
    "zeros_",
    "xavier_uniform_",
    "xavier_normal_",
    "kaiming_uniform_",
    "kaiming_normal_",
    "orthogonal_",
)


class Built(NamedTuple):
    """A module in eval mode and, for a user's own model, the example inputs that came with it. ``sources`` has the hash
    of each source that a factory was run from (see ``etui.engine.models.user_code``)."""

    module: nn.Module
    example: Examples | None
    sources: dict[str, str] | None = None


def build(model: Model, initialise: bool = True, seed: int = 0, allow_pickle: bool = False) -> Built:
    """The module as it is measured: positional tensors in, one tensor or a tuple of them out, in eval mode.

    Without ``initialise`` a catalog model's parameters hold whatever lay in memory, for weights that are loaded right
    after; that saves most of the time building takes. ``allow_pickle`` lets an exported program run code of its own.
    Raises PreparationError where a user's file does not give a module.
    """
    if isinstance(model, ModelEntry):
        torch.manual_seed(seed)
        return Built(finish(model, build_raw(model, initialise), keep=initialise), None)
    built = _build_user_model(model, seed, allow_pickle)
    return built._replace(module=_evaluating(built.module))


def build_raw(entry: ModelEntry, initialise: bool) -> nn.Module:
    """A catalog model as its source defines it, so that weights published for it fit by name."""
    prepare_torchvision()
    with nullcontext() if initialise else _uninitialised(entry.source_kind):
        if entry.source_kind == "torchvision":
            models = importlib.import_module("torchvision.models")
            module: nn.Module = models.get_model(entry.source_id, weights=None)
        else:
            assert entry.builder is not None
            architecture, config = transformers_parts(entry.builder)
            module = architecture(config)
    return module


def finish(entry: ModelEntry, raw: nn.Module, keep: bool = True) -> nn.Module:
    """Turn a source's module into the one that is measured: exportable layers and the output asked for.

    Not to ``keep`` the weights' values is faster, where others are loaded right after.
    """
    if entry.builder is not None:
        _replace_conv1d(raw, keep)
        raw = _WRAPPERS[entry.builder.wrapper](raw)
    return _evaluating(raw)


def transformers_parts(builder: Builder) -> tuple[Any, Any]:
    """The class of a transformers model and its configuration: eager attention, no cache."""
    prepare_torchvision()
    base = f"transformers.models.{builder.code}"
    architecture = getattr(importlib.import_module(f"{base}.modeling_{builder.code}"), builder.architecture)
    configuration = getattr(importlib.import_module(f"{base}.configuration_{builder.code}"), builder.config)
    config = configuration(**builder.overrides)
    if hasattr(config, "use_cache"):
        config.use_cache = False
    config._attn_implementation = "eager"
    return architecture, config


def _evaluating(module: nn.Module) -> nn.Module:
    _set_eval(module)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module


def _set_eval(module: nn.Module) -> None:
    """Put a module in eval mode, whatever it is or holds; exported programs refuse, since export has fixed theirs."""
    try:
        module.eval()
    except NotImplementedError:
        # It came from one of the children, which ended the walk over the others.
        for child in module.children():
            _set_eval(child)


@contextmanager
def _uninitialised(source_kind: str) -> Iterator[None]:
    """Turn torch's initialisers (and transformers' own) into no-ops while a module is built."""
    if source_kind == "transformers":
        from transformers.initialization import no_init_weights

        with no_init_weights():
            yield
        return
    saved = {name: getattr(nn.init, name) for name in _INITIALISERS}
    try:
        for name in _INITIALISERS:
            setattr(nn.init, name, _leave)
        yield
    finally:
        for name, function in saved.items():
            setattr(nn.init, name, function)


def _leave(tensor: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
    return tensor


def _replace_conv1d(module: nn.Module, keep: bool = True) -> None:
    """Put linear layers in the place of GPT-2's transposed ones, which no quantizer knows.

    Without values to keep, only the shape is turned: copying would touch memory that is thrown away right after.
    """
    from transformers.pytorch_utils import Conv1D

    for name, child in list(module.named_children()):
        if isinstance(child, Conv1D):
            with torch.device("meta"):
                linear = nn.Linear(child.nx, child.nf)
            turned = child.weight.detach().t().contiguous() if keep else torch.empty(child.nf, child.nx)
            linear.weight = nn.Parameter(turned)
            linear.bias = child.bias
            setattr(module, name, linear)
        else:
            _replace_conv1d(child, keep)


class _Logits(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, first: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(first).logits
        return logits


class _HiddenState(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return hidden


class _MeanPooling(_HiddenState):
    """The sentence embedding of sentence-transformers: the mean over real tokens, scaled to length one."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = super().forward(input_ids, attention_mask)
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return nn.functional.normalize(mean, dim=-1)


class _TextEmbedding(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        embedding: torch.Tensor = self.model(input_ids=input_ids).text_embeds
        return embedding


class _ImageAndText(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, pixel_values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        output = self.model(input_ids=input_ids, pixel_values=pixel_values)
        return output.logits_per_image, output.image_embeds, output.text_embeds


_WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "logits": _Logits,
    "hidden state": _HiddenState,
    "mean pooling": _MeanPooling,
    "text embedding": _TextEmbedding,
    "image and text": _ImageAndText,
}


def _build_user_model(model: UserModel, seed: int, allow_pickle: bool) -> Built:
    if model.kind == "pt2":
        exported = load_exported(Path(model.path), allow_pickle=allow_pickle)
        if exported.by_name:
            raise PreparationError(f"{model.path} takes inputs by name", "export it with positional inputs only")
        return Built(exported.module, Examples.of(exported.positional, model.reference))
    if model.kind == "factory":
        made, sources = _call_factory(model, seed)
        if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], nn.Module)):
            raise PreparationError(
                f"{model.reference} does not return a module and its example inputs",
                "return (module, (tensor, ..)) from it",
            )
        return Built(made[0], Examples.of(made[1], model.reference), sources)
    raise PreparationError(f"{model.path} is a finished program and has no module", "measure it as it is")


def _call_factory(model: UserModel, seed: int) -> tuple[object, dict[str, str]]:
    """What the factory of the user's file returns, and the hashes of the sources that it was run from.

    Every generator of random numbers that it may draw from starts at ``seed``. Whatever the user's code raises is the
    user's to see, so it passes through as it is.
    """
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    file = UserFile(Path(model.path))
    with file.running() as module:
        factory = getattr(module, model.factory or "", None)
        if not callable(factory):
            raise PreparationError(f"{model.path} has no function {model.factory}", "check the name after the colon")
        made: object = factory()
    return made, file.sources
