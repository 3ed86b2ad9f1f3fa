"""Models of torchvision by name (``torchvision:NAME``): classification, segmentation and detection."""

from __future__ import annotations

from etui.catalog.models import (
    ANY,
    DEPTHWISE_TOLERANCES,
    MODELS,
    TOLERANCES,
    TRANSFORMER_TOLERANCES,
    Family,
    ImageRecipe,
    Limit,
    ModelEntry,
    PublishedResize,
    with_top1,
)
from etui.catalog.torchvision_names import NAMES, Row

PREFIX = "torchvision:"

_TRANSFORMERS = ("vit_", "swin_", "maxvit")
_FIXED_SIZE = ("vit_", "maxvit")
_DEPTHWISE = ("mobilenet", "efficientnet", "mnasnet", "shufflenet", "convnext", "lraspp", "ssdlite")
_TWO_STAGES = ("fasterrcnn", "maskrcnn", "keypointrcnn")
_TITLES = {
    "classification": "image classifier",
    "segmentation": "semantic segmentation",
    "detection": "object detector",
}
_TWO_STAGES_REASON = (
    "it has two stages: the second computes on as many boxes as the first found, which torch.export does not follow;"
    " use a detector with one stage, such as torchvision:ssdlite320_mobilenet_v3_large"
)


def torchvision_model(name: str) -> ModelEntry | None:
    """Return the entry of a model of torchvision; the catalog's own if it has the model under this name, None if there
    is no model of this name."""
    if name in MODELS and MODELS[name].source == f"{PREFIX}{name}":
        return MODELS[name]
    row = NAMES.get(name)
    return _entry(name, row) if row is not None else None


def _entry(name: str, row: Row) -> ModelEntry:
    family: Family = "vision-transformer" if name.startswith(_TRANSFORMERS) else "cnn"
    tolerances = TOLERANCES
    if family == "vision-transformer":
        tolerances = TRANSFORMER_TOLERANCES
    elif any(part in name for part in _DEPTHWISE):
        tolerances = DEPTHWISE_TOLERANCES
    heads = ", outputs of its heads before non-maximum suppression" if row.task == "detection" else ""
    return ModelEntry(
        name=name,
        title=f"{name} of torchvision, {_TITLES[row.task]}{heads}",
        family=family,
        source=f"{PREFIX}{name}",
        parameters=row.parameters,
        outputs={"segmentation": "segmentation map", "detection": "boxes and scores"}.get(row.task, "logits"),  # type: ignore[arg-type]
        image=ImageRecipe(size=row.size, normalization=row.normalization),  # type: ignore[arg-type]
        resize=PublishedResize(shorter_side=row.resize, interpolation=row.interpolation)  # type: ignore[arg-type]
        if row.resize
        else None,
        repeat=30,
        tolerances=with_top1(tolerances) if row.task == "classification" else tolerances,
        limits=(Limit(ANY, ANY, _TWO_STAGES_REASON),) if name.startswith(_TWO_STAGES) else (),
        prefix=PREFIX,
        task=row.task,  # type: ignore[arg-type]
        fixed_size=name.startswith(_FIXED_SIZE),
    )
