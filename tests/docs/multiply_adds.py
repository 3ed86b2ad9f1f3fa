"""The page of published and counted multiply-adds of the catalog's models, with those that torchinfo counts.

Counting all models takes a minute, so the page is only written by ``python -m tests.docs --counts``. It needs
torchinfo, which nothing else does.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from etui.catalog.diffusion_models import DIFFUSION
from etui.catalog.models import MODELS
from tests.docs.markdown import code, make_page, table

_OPEN_CLIP = "[open_clip](https://github.com/mlfoundations/open_clip/blob/main/docs/model_profile.csv)"
_BK_SDM = "[BK-SDM](https://github.com/Nota-NetsPresso/BK-SDM/issues/53)"

COLUMNS = ("model", "published G", "counted G", "torchinfo G", "source of the published figure")


class Published(NamedTuple):
    """Published multiply-adds of a model at its own shape, in billions, and where they were published."""

    macs_g: float
    source: str
    without_attention: bool = False


OTHERS = {
    # The file lists operations, two for each multiply-add: 8.82 G for an image and 5.96 G for a text.
    "clip_text": Published(5.96 / 2, f"{_OPEN_CLIP}: 5.96 G operations for a text"),
    "clip": Published((8.82 + 4 * 5.96) / 2, f"{_OPEN_CLIP}: 8.82 G operations for an image, four texts"),
    "sd15_unet": Published(
        338.749194240, f"{_BK_SDM}, counted with thop: only modules, so without the products of attention", True
    ),
}
"""Figures that are not in torchvision's package."""


class Count(NamedTuple):
    """Multiply-adds of a model; ``layers`` are those of its convolutions and linear layers alone."""

    macs: int
    layers: int
    torchinfo: int


def published(name: str) -> Published | None:
    """Return the published multiply-adds of a model; of torchvision's models, from the description of their weights."""
    entry = {**MODELS, **DIFFUSION}[name]
    if entry.source_kind == "torchvision":
        from etui.engine.models.torchvision_shim import prepare_torchvision  # Imports torch.

        prepare_torchvision()
        weights = importlib.import_module("torchvision.models").get_model_weights(entry.source_id).DEFAULT
        return Published(float(weights.meta["_ops"]), "torchvision's description of the weights")
    return OTHERS.get(name)


def page() -> str:
    """Count every model and return the text of ``docs/reference/multiply-adds.md``."""
    torchinfo = importlib.import_module("torchinfo")
    return make_page(
        "Multiply-adds of the catalog's models",
        "Billions of multiply-adds of one inference at the model's own shape, as published, as"
        " [`etui summary`](../model-summary.md#what-is-counted) counts them, and as"
        f" torchinfo {torchinfo.__version__} counts them. torchinfo counts modules: it does not count the products of"
        " attention, and a linear layer once whatever the number of tokens. A dash: no published figure for this model"
        " and input was found.",
        table(COLUMNS, _rows()),
    )


def _rows() -> Iterator[tuple[str, ...]]:
    for name in (*MODELS, *DIFFUSION):
        count, known = _count(name), published(name)
        counted = _billions(count.macs)
        if known is not None and known.without_attention:
            counted += f" ({_billions(count.layers)} without attention's products)"
        figure = f"{known.macs_g:.4g}" if known is not None else "-"
        yield code(name), figure, counted, _billions(count.torchinfo), known.source if known is not None else ""


def _count(name: str) -> Count:
    import torch

    from etui.catalog.find import find_model
    from etui.engine.summary.example_call import example_call
    from etui.engine.summary.run import summarize
    from etui.spec import OWN_SHAPE

    model = find_model(name)
    module, inputs, structure = example_call(model, OWN_SHAPE, 0, allow_pickle=False)
    counted = summarize(model, module, inputs, structure)
    layers = sum(each.own_macs for each in counted.modules if each.type in {"Conv2d", "Linear"})
    if name in DIFFUSION:  # It needs no values, and most memory of all.
        module, inputs = module.to("meta"), tuple(tensor.to("meta") for tensor in inputs)
    options: dict[str, Any] = {"device": inputs[0].device, "verbose": 0}
    with torch.inference_mode():
        found = importlib.import_module("torchinfo").summary(module, input_data=list(inputs), **options)
    return Count(counted.macs or 0, layers, found.total_mult_adds)


def _billions(macs: int) -> str:
    return f"{macs / 1e9:.4g}"
