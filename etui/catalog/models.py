"""The table of models that can be chosen by name: adding a model is one entry here.

An entry is only data and imports nothing heavy; ``etui.engine.models.build`` builds the module.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from etui.results import Tolerance

Family = Literal["cnn", "vision-transformer", "text-transformer", "multimodal-transformer", "diffusion", "custom"]
Outputs = Literal[
    "logits",
    "embedding",
    "hidden state",
    "segmentation map",
    "image-text logits",
    "boxes and scores",
    "predicted noise",
    "unknown",
]
Task = Literal["classification", "segmentation", "detection"]
Wrapper = Literal["logits", "hidden state", "mean pooling", "text embedding", "image and text"]

ANY = "*"
"""In a ``Limit``: any precision or delegate."""


class Limit(msgspec.Struct, frozen=True):
    """A precision and delegate known not to work with a model, and the reason; either may be ``ANY``."""

    precision: str
    delegate: str
    reason: str


class ImageRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """A square RGB image: its side in pixels and the normalization its weights were trained with: that of ImageNet or
    CLIP, ``half`` (from -1 to 1), ``none`` (from 0 to 1), or ``own`` (``mean`` and ``std`` of each channel)."""

    size: int
    normalization: Literal["imagenet", "clip", "half", "none", "own"] = "imagenet"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"


class PublishedResize(msgspec.Struct, frozen=True, kw_only=True):
    """How the images are resized that the accuracy of published weights was measured on: the shorter side in pixels,
    of which the centre of the model's own size is used, and the filter."""

    shorter_side: int
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"


class TextRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """Token ids of a fixed length.

    ``mask`` adds the attention mask as a second input; ``fill`` joins sentences until the length is reached instead of
    padding; ``count`` is the batch size. ``start``, ``end`` and ``padding`` are the ids that seeded tokens use.
    """

    length: int
    vocabulary: int
    mask: bool
    fill: bool = False
    count: int = 1
    start: int | None = None
    end: int | None = None
    padding: int = 0


class DiffusionRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """One denoising step: latents of ``latent_channels`` x ``latent_size`` x ``latent_size``, a time step below
    ``train_steps`` and a text embedding of ``text_length`` tokens of ``text_width`` values. ``config`` has the
    arguments of diffusers' UNet that differ from its defaults."""

    latent_channels: int
    latent_size: int
    text_length: int
    text_width: int
    train_steps: int
    config: dict[str, object]


class Builder(msgspec.Struct, frozen=True, kw_only=True):
    """How a transformers model is built: its class, the changes to the default configuration, and the wrapper that
    selects its output. ``code`` is the module under ``transformers.models`` that defines the class."""

    code: str
    architecture: str
    config: str
    overrides: dict[str, object] = {}
    wrapper: Wrapper


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the catalog.

    ``source`` is ``kind:id`` and is the model's identity. ``parameters`` is an approximate count. ``repeat`` is the
    minimum number of timed inferences in a session, ``warmup`` the minimum number of warm-up inferences in a block.
    ``fixed_size``: it takes images of its own size only; ``longest`` is the longest text it takes, in tokens.
    ``tolerances`` maps a precision (or an arithmetic a delegate uses instead, such as bf16) to its accuracy limits.
    ``prefix`` is what precedes the name in a reference, for models that are not listed in the catalog; ``task`` selects
    the output of a model of torchvision.
    """

    name: str
    title: str
    family: Family
    source: str
    parameters: int
    outputs: Outputs
    image: ImageRecipe | None = None
    resize: PublishedResize | None = None
    text: TextRecipe | None = None
    builder: Builder | None = None
    diffusion: DiffusionRecipe | None = None
    repeat: int = 100
    warmup: int = 5
    tolerances: dict[str, Tolerance] = {}
    limits: tuple[Limit, ...] = ()
    prefix: str = ""
    task: Task = "classification"
    fixed_size: bool = False
    longest: int | None = None

    @property
    def source_kind(self) -> str:
        """``torchvision``, ``timm``, ``transformers`` or ``diffusers``."""
        return self.source.partition(":")[0]

    @property
    def source_id(self) -> str:
        """The model's name at its source, such as ``openai-community/gpt2``."""
        return self.source.partition(":")[2]

    @property
    def reference(self) -> str:
        """The text that identifies this model in a session's specification."""
        return f"{self.prefix}{self.name}"

    def identity(self) -> str:
        """Return what identifies the model apart from its weights: its source."""
        return self.source


def _tolerance(sqnr_db: float, cosine: float, source: str) -> Tolerance:
    return Tolerance(sqnr_db_min=sqnr_db, cosine_min=cosine, source=source)


_SAME = _tolerance(60.0, 0.9999, "same arithmetic: only the order of summation may differ")
_HALF = _tolerance(30.0, 0.999, "half precision has 11 significant bits, also when accumulating")
_BFLOAT = _tolerance(25.0, 0.995, "bfloat16 has 8 significant bits")
_INT8 = _tolerance(15.0, 0.98, "usual target for 8-bit post-training quantization of a whole network")
_INT8_DYNAMIC = _tolerance(20.0, 0.99, "usual target for 8-bit dynamic quantization of linear layers")
_DEPTHWISE = _tolerance(10.0, 0.95, "8 bits: depthwise convolutions lose more, since each sum has few terms")
_COARSE = _tolerance(10.0, 0.95, "usual target for 4-bit weights or one scale per tensor")

TOLERANCES: dict[str, Tolerance] = {
    "fp32": _SAME,
    "fp16": _HALF,
    "bf16": _BFLOAT,
    "tf32": _tolerance(30.0, 0.999, "TF32 has 11 significant bits"),
    "int8": _INT8,
    "int8-static": _INT8,
    "int8-static-per-tensor": _COARSE,
    "int8-dynamic": _INT8_DYNAMIC,
    "8da4w": _COARSE,
}
"""The default tolerances, also of ``custom`` models."""

_TOP1 = {
    "fp32": 0.99,
    "fp16": 0.95,
    "bf16": 0.85,
    "tf32": 0.95,
    "int8": 0.75,
    "int8-static": 0.75,
    "int8-static-per-tensor": 0.6,
    "int8-dynamic": 0.75,
    "8da4w": 0.6,
}
"""The minimum top-1 agreement with eager for models whose outputs are class scores.

Lower than the agreement of trained networks on a test set (within 1 % at 8 bits), because few inputs are evaluated:
0.75 is six of eight. A program with a true agreement of 0.9 then fails in 4 % of sessions; one with 0.4 passes in 5 %.
"""


def with_top1(tolerances: dict[str, Tolerance]) -> dict[str, Tolerance]:
    """Add the minimum top-1 agreement, for a model whose outputs are class scores."""
    return {name: msgspec.structs.replace(limits, top1_min=_TOP1[name]) for name, limits in tolerances.items()}


TRANSFORMER_TOLERANCES = {**TOLERANCES, "int8": _INT8_DYNAMIC}
DEPTHWISE_TOLERANCES = {**TOLERANCES, "int8": _DEPTHWISE, "int8-static": _DEPTHWISE}


_RESIZE_232 = PublishedResize(shorter_side=232)
_RESIZE_256 = PublishedResize(shorter_side=256)
_BICUBIC_256 = PublishedResize(shorter_side=256, interpolation="bicubic")


def _torchvision(
    name: str,
    title: str,
    parameters: int,
    repeat: int = 100,
    family: Family = "cnn",
    tolerances: dict[str, Tolerance] = TOLERANCES,
    fixed_size: bool = False,
    resize: PublishedResize = _RESIZE_256,
) -> ModelEntry:
    return ModelEntry(
        name=name,
        title=title,
        family=family,
        source=f"torchvision:{name}",
        parameters=parameters,
        outputs="logits",
        image=ImageRecipe(size=224),
        resize=resize,
        repeat=repeat,
        tolerances=with_top1(tolerances),
        fixed_size=fixed_size,
    )


_CLIP_TEXT = TextRecipe(length=77, vocabulary=49408, mask=False, start=49406, end=49407, padding=49407)

_ENTRIES: tuple[ModelEntry, ...] = (
    _torchvision("resnet18", "ResNet-18, image classifier", 11_690_000),
    _torchvision("resnet34", "ResNet-34, image classifier", 21_800_000),
    _torchvision("resnet50", "ResNet-50, image classifier", 25_560_000, resize=_RESIZE_232),
    _torchvision(
        "mobilenet_v2", "MobileNetV2, image classifier", 3_500_000, 200, "cnn", DEPTHWISE_TOLERANCES, resize=_RESIZE_232
    ),
    _torchvision(
        "efficientnet_b0",
        "EfficientNet-B0, image classifier",
        5_290_000,
        100,
        "cnn",
        DEPTHWISE_TOLERANCES,
        resize=_BICUBIC_256,
    ),
    _torchvision(
        "vit_b_16",
        "Vision Transformer B/16, image classifier",
        86_570_000,
        30,
        "vision-transformer",
        TRANSFORMER_TOLERANCES,
        fixed_size=True,
    ),
    ModelEntry(
        name="distilbert",
        title="DistilBERT base uncased, text encoder",
        family="text-transformer",
        source="transformers:distilbert/distilbert-base-uncased",
        parameters=66_360_000,
        outputs="hidden state",
        text=TextRecipe(length=128, vocabulary=30522, mask=True, start=101, end=102),
        builder=Builder(
            code="distilbert", architecture="DistilBertModel", config="DistilBertConfig", wrapper="hidden state"
        ),
        repeat=30,
        longest=512,
        tolerances=TRANSFORMER_TOLERANCES,
    ),
    ModelEntry(
        name="gpt2",
        title="GPT-2 small, next-token logits",
        family="text-transformer",
        source="transformers:openai-community/gpt2",
        parameters=124_440_000,
        outputs="logits",
        text=TextRecipe(length=32, vocabulary=50257, mask=False, fill=True),
        builder=Builder(
            code="gpt2",
            architecture="GPT2LMHeadModel",
            config="GPT2Config",
            overrides={"activation_function": "gelu_pytorch_tanh"},
            wrapper="logits",
        ),
        repeat=30,
        longest=1024,
        tolerances=with_top1(TRANSFORMER_TOLERANCES),
    ),
    ModelEntry(
        name="minilm",
        title="all-MiniLM-L6-v2, sentence embedding",
        family="text-transformer",
        source="transformers:sentence-transformers/all-MiniLM-L6-v2",
        parameters=22_710_000,
        outputs="embedding",
        text=TextRecipe(length=64, vocabulary=30522, mask=True, start=101, end=102),
        builder=Builder(
            code="bert",
            architecture="BertModel",
            config="BertConfig",
            overrides={
                "num_hidden_layers": 6,
                "hidden_size": 384,
                "num_attention_heads": 12,
                "intermediate_size": 1536,
            },
            wrapper="mean pooling",
        ),
        longest=512,
        tolerances=TRANSFORMER_TOLERANCES,
    ),
    ModelEntry(
        name="clip_text",
        title="CLIP ViT-B/32 text tower, text embedding",
        family="text-transformer",
        source="transformers:openai/clip-vit-base-patch32#text",
        parameters=63_430_000,
        outputs="embedding",
        text=_CLIP_TEXT,
        builder=Builder(
            code="clip",
            architecture="CLIPTextModelWithProjection",
            config="CLIPTextConfig",
            wrapper="text embedding",
        ),
        repeat=30,
        longest=77,
        tolerances=TRANSFORMER_TOLERANCES,
    ),
    ModelEntry(
        name="clip",
        title="CLIP ViT-B/32, one image against four texts",
        family="multimodal-transformer",
        source="transformers:openai/clip-vit-base-patch32",
        parameters=151_280_000,
        outputs="image-text logits",
        image=ImageRecipe(size=224, normalization="clip"),
        text=msgspec.structs.replace(_CLIP_TEXT, count=4),
        builder=Builder(code="clip", architecture="CLIPModel", config="CLIPConfig", wrapper="image and text"),
        repeat=20,
        fixed_size=True,
        longest=77,
        warmup=3,
        tolerances=TRANSFORMER_TOLERANCES,
    ),
    ModelEntry(
        name="segformer_b0",
        title="SegFormer-B0 at 512x512, semantic segmentation",
        family="vision-transformer",
        source="transformers:nvidia/segformer-b0-finetuned-ade-512-512",
        parameters=3_750_000,
        outputs="segmentation map",
        image=ImageRecipe(size=512),
        builder=Builder(
            code="segformer",
            architecture="SegformerForSemanticSegmentation",
            config="SegformerConfig",
            overrides={"num_labels": 150},
            wrapper="logits",
        ),
        repeat=20,
        warmup=3,
        tolerances=with_top1(TRANSFORMER_TOLERANCES),
    ),
)

MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}
"""Every model of the catalog by its name, in display order."""
