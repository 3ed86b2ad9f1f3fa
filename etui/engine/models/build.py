"""Build the module of a catalog entry or of a user's file, with or without initializing its weights."""

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
from torch.utils.data import DataLoader, Dataset

from etui.catalog.find import Model, UserModel
from etui.catalog.models import Builder, ModelEntry
from etui.engine.models import diffusion_models, timm_models
from etui.engine.models.exported_program import load_exported
from etui.engine.models.input_shapes import factory_arguments
from etui.engine.models.torchvision_outputs import torchvision_options, with_output
from etui.engine.models.torchvision_shim import prepare_torchvision
from etui.engine.models.user_code import UserFile
from etui.engine.models.user_inputs import Examples
from etui.errors import PreparationError
from etui.model import Args
from etui.model import Model as DeclaredModel
from etui.spec import OWN_SHAPE, Shape

_INITIALIZERS = (
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
    """A module in eval mode and, for a user's model, its example inputs. ``sources`` has the hash of each source file
    that a factory was run from (see ``etui.engine.models.user_code``), ``declared`` is the ``etui.Model`` that it
    returned, if it did, and ``rest`` the part of the requested shape that its inputs do not have yet."""

    module: nn.Module
    example: Examples | None
    sources: dict[str, str] | None = None
    declared: DeclaredModel | None = None
    rest: Shape = OWN_SHAPE


def build(
    model: Model,
    initialize: bool = True,
    seed: int = 0,
    allow_pickle: bool = False,
    shape: Shape = OWN_SHAPE,
    *,
    freeze: bool = True,
    outputs: int | None = None,
) -> Built:
    """Build the module to measure, in eval mode. ``outputs`` is as for ``build_raw``.

    Without ``initialize`` a catalog model's parameters are uninitialized memory, which saves most of the build time if
    weights are loaded right after. ``allow_pickle`` lets an exported program run its own code. A factory gets the parts
    of ``shape`` that it has parameters for. Without ``freeze``, the parameters that require gradients still do.

    Raises:
        PreparationError: a user's file does not provide a module.
    """
    if isinstance(model, ModelEntry):
        torch.manual_seed(seed)
        raw = build_raw(model, initialize, outputs=outputs)
        return Built(finish(model, raw, keep=initialize, freeze=freeze), None)
    built = _build_user_model(model, seed, allow_pickle, shape)
    return built._replace(module=_evaluating(built.module, freeze))


def build_raw(entry: ModelEntry, initialize: bool, *, outputs: int | None = None) -> nn.Module:
    """Build a catalog model as its source defines it, so that published weights match by name. ``outputs`` builds a
    classifier of torchvision with this number of categories, as a training does."""
    prepare_torchvision()
    with nullcontext() if initialize else _uninitialized(entry.source_kind):
        if entry.source_kind == "torchvision":
            models = importlib.import_module("torchvision.models")
            options = torchvision_options(entry) if outputs is None else {"num_classes": outputs}
            module: nn.Module = models.get_model(entry.source_id, weights=None, **options)
        elif entry.source_kind == "timm":
            module = timm_models.create(entry.source_id)
        elif entry.diffusion is not None:
            module = diffusion_models.create(entry.diffusion)
        else:
            assert entry.builder is not None
            architecture, config = transformers_parts(entry.builder)
            module = architecture(config)
    return module


def finish(entry: ModelEntry, raw: nn.Module, keep: bool = True, *, freeze: bool = True) -> nn.Module:
    """Convert a source's module to the one that is measured: exportable layers and the entry's output.

    Without ``keep`` the weights' values are lost, which is faster if others are loaded right after. ``freeze`` makes
    all parameters require no gradients.
    """
    if entry.source_kind == "torchvision":
        raw = with_output(entry, raw)
    if entry.builder is not None:
        _replace_conv1d(raw, keep)
        raw = _WRAPPERS[entry.builder.wrapper](raw)
    if entry.diffusion is not None:
        raw = diffusion_models.DenoisingStep(raw)
    return _evaluating(raw, freeze)


def transformers_parts(builder: Builder) -> tuple[Any, Any]:
    """Return the class of a transformers model and its configuration, with eager attention and without a cache."""
    prepare_torchvision()
    base = f"transformers.models.{builder.code}"
    architecture = getattr(importlib.import_module(f"{base}.modeling_{builder.code}"), builder.architecture)
    configuration = getattr(importlib.import_module(f"{base}.configuration_{builder.code}"), builder.config)
    config = configuration(**builder.overrides)
    if hasattr(config, "use_cache"):
        config.use_cache = False
    config._attn_implementation = "eager"
    return architecture, config


def _evaluating(module: nn.Module, freeze: bool) -> nn.Module:
    _set_eval(module)
    for parameter in module.parameters() if freeze else ():
        parameter.requires_grad_(False)
    return module


def _set_eval(module: nn.Module) -> None:
    """Put a module and its submodules in eval mode. Exported programs, whose mode is fixed, are skipped."""
    try:
        module.eval()
    except NotImplementedError:
        # A submodule raised it, and the submodules after it were not visited.
        for child in module.children():
            _set_eval(child)


@contextmanager
def _uninitialized(source_kind: str) -> Iterator[None]:
    """Make torch's initializers (and those of transformers) no-ops while a module is built."""
    if source_kind == "transformers":
        from transformers.initialization import no_init_weights

        with no_init_weights():
            yield
        return
    saved = {name: getattr(nn.init, name) for name in _INITIALIZERS}
    try:
        for name in _INITIALIZERS:
            setattr(nn.init, name, _unchanged)
        yield
    finally:
        for name, function in saved.items():
            setattr(nn.init, name, function)


def _unchanged(tensor: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
    return tensor


def _replace_conv1d(module: nn.Module, keep: bool = True) -> None:
    """Replace GPT-2's transposed linear layers, which quantizers do not support, by ``nn.Linear``.

    Without ``keep`` the weights are not copied, since they are replaced right after.
    """
    from transformers.pytorch_utils import Conv1D

    for name, child in list(module.named_children()):
        if isinstance(child, Conv1D):
            with torch.device("meta"):
                linear = nn.Linear(child.nx, child.nf)
            transposed = child.weight.detach().t().contiguous() if keep else torch.empty(child.nf, child.nx)
            linear.weight = nn.Parameter(transposed)
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
    """The sentence embedding of sentence-transformers: the mean over real tokens, normalized to length one."""

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


def _build_user_model(model: UserModel, seed: int, allow_pickle: bool, shape: Shape) -> Built:
    if model.kind == "pt2":
        exported = load_exported(Path(model.path), allow_pickle=allow_pickle)
        example = Args(*exported.positional, **exported.by_name)
        return Built(exported.module, Examples.of(example, model.reference), rest=shape)
    if model.kind == "factory":
        returned, sources, rest = _call_factory(model, seed, shape)
        if isinstance(returned, DeclaredModel) and isinstance(returned.module, nn.Module):
            examples = Examples.of_model(returned.inputs, returned.labels, model.reference)
            return Built(returned.module, examples, sources, returned, rest)
        if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[0], nn.Module):
            if isinstance(returned[1], Dataset | DataLoader):
                raise PreparationError(
                    f"{model.reference} returns a module and a dataset in a tuple, which has the inputs of one example",
                    "return etui.Model(module, inputs=dataset)",
                )
            return Built(returned[0], Examples.of(returned[1], model.reference), sources, rest=rest)
        raise PreparationError(
            f"{model.reference} does not return a module and its example inputs",
            "return (module, (tensor, ..)) or etui.Model(module, inputs=..) from it",
        )
    raise PreparationError(f"{model.path} is a finished program and has no module", "measure it as it is")


def _call_factory(model: UserModel, seed: int, shape: Shape) -> tuple[object, dict[str, str], Shape]:
    """Call the factory in the user's file; return its result, the hashes of the sources that it was run from, and the
    parts of the shape that it has no parameters for.

    The random number generators of torch, Python and NumPy are seeded with ``seed``. Exceptions of the user's code are
    not caught, so that the user sees them.
    """
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    file = UserFile(Path(model.path))
    # Workers that measure are in inference mode, and a factory may train its model.
    with torch.inference_mode(False), torch.enable_grad(), file.running() as module:
        factory = getattr(module, model.factory or "", None)
        if not callable(factory):
            raise PreparationError(f"{model.path} has no function {model.factory}", "check the name after the colon")
        arguments = factory_arguments(factory, shape)
        returned: object = factory(**arguments.keywords)
    return returned, file.sources, arguments.rest
