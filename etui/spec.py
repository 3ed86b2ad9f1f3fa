"""Specifications: of a session and its variants, of the measuring presets, and the common part of an analysis."""

from __future__ import annotations

from typing import Literal

import msgspec

EAGER = "eager"
"""The name of the variant that every session measures in addition to the requested ones: FP32 PyTorch, eager."""

WEIGHTS = ("auto", "pretrained", "synthetic")
"""The keywords for weights; anything else is a path."""

PresetName = Literal["quick", "default", "rigorous"]

Priority = Literal["high", "normal", "low"]


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often a session measures each of its variants.

    ``blocks`` is the number of randomized complete blocks (the maximum if ``stop_at_relative_ci`` is set), ``block_s``
    the seconds of timed inferences in one block, ``budget_s`` the most seconds one variant may take over all its
    blocks: a slow variant gets fewer samples and a flag.
    """

    name: PresetName
    blocks: int
    block_s: float
    budget_s: float
    stop_at_relative_ci: float | None = None
    about: str = ""


PRESETS: dict[str, Preset] = {
    "quick": Preset(name="quick", blocks=3, block_s=0.5, budget_s=60.0, about="3 blocks of 0.5 s: a first look"),
    "default": Preset(name="default", blocks=6, block_s=1.0, budget_s=180.0, about="6 blocks of 1 s"),
    "rigorous": Preset(
        name="rigorous",
        blocks=20,
        block_s=2.0,
        budget_s=900.0,
        stop_at_relative_ci=0.01,
        about="up to 20 blocks of 2 s, until every interval is within 1 %",
    ),
}

DEFAULT_TIMEOUT_S = 3600.0
DEFAULT_WAIT_QUIET_MIN = 0.5
DEFAULT_CALIBRATION_COUNT = 8
SPLIT_CALIBRATION_COUNT = 100
"""The default if the inputs are made from a data set with splits."""

DEFAULT_ACCURACY_INPUTS = 8


InputSize = tuple[int, int]
"""Height and width of an image input in pixels."""


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The shape of the inputs: ``input_size`` of images, number of items in one inference (``batch``), and number of
    tokens of each text (``sequence``); None is what the model has by itself."""

    input_size: InputSize | None = None
    batch: int | None = None
    sequence: int | None = None

    def __bool__(self) -> bool:
        """Whether any part of it is requested."""
        return self != OWN_SHAPE


OWN_SHAPE = Shape()
"""The shape that a model has by itself."""


class Repeated(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """The run whose program a variant measures again, with the specification of that run's model, weights and inputs,
    so that it remains known after that run is deleted. ``shapes`` are those that a dynamic program was made for."""

    run: str
    model: str
    weights: str = "auto"
    seed: int = 0
    calibration_count: int = DEFAULT_CALIBRATION_COUNT
    accuracy_inputs: int = DEFAULT_ACCURACY_INPUTS
    keep_fp32: tuple[str, ...] = ()
    allow_pickle: bool = False
    data: str | None = None
    shapes: tuple[Shape, ...] = ()
    split: str | None = None


class Variant(msgspec.Struct, frozen=True, omit_defaults=True):
    """One member of a session: a precision and a delegate, which are names from the catalog, and what it varies.

    ``repeats`` is the run whose program the variant measures in a duel, in which two variants may have the same
    precision and delegate but different weights or models. ``input_size`` (height and width), ``batch`` and
    ``sequence`` are the shape of its inputs, None for the model's own; ``threads`` is None if the session decides.
    ``dynamic`` means one program for all shapes of the session, measured at this one. ``method`` is the measured method
    of a finished program that has several.
    """

    precision: str
    delegate: str
    repeats: Repeated | None = None
    input_size: InputSize | None = None
    batch: int | None = None
    sequence: int | None = None
    threads: int | None = None
    dynamic: bool = False
    method: str | None = None

    @property
    def shape(self) -> Shape:
        """The shape of its inputs."""
        return Shape(input_size=self.input_size, batch=self.batch, sequence=self.sequence)

    @property
    def name(self) -> str:
        """The name without the repeated run, such as ``int8/xnnpack`` or ``int8/xnnpack 224x224 batch 4``."""
        parts = [f"{self.precision}/{self.delegate}", *self._baseline_parts()]
        parts += ["dynamic"] if self.dynamic else []
        return " ".join([*parts, *([self.method] if self.method else [])])

    @property
    def label(self) -> str:
        """The name in blocks, logs and tables; unique within a session."""
        return label(self.name, self.repeats.run if self.repeats else None)

    @property
    def eager_label(self) -> str:
        """The name of its eager baseline, which has the same shape and threads: ``eager``, if none is requested. The
        variants of a duel share one."""
        return EAGER if self.repeats else " ".join([EAGER, *self._baseline_parts()])

    def _baseline_parts(self) -> list[str]:
        shape = shape_text(self.shape)
        return [*([shape] if shape else []), *([f"threads {self.threads}"] if self.threads is not None else [])]


def label(name: str, repeats: str | None = None) -> str:
    """Return the label of a variant of this name; ``repeats`` is the id of the repeated run, if any."""
    return name + (f"@{repeats}" if repeats else "")


def stored_name(variant: Variant) -> str | None:
    """Return the name of a variant as it is stored: None if it is precision and delegate alone."""
    return None if variant.name == f"{variant.precision}/{variant.delegate}" else variant.name


def is_eager(variant: str) -> bool:
    """Whether a block's variant is an eager baseline."""
    return variant == EAGER or variant.startswith(f"{EAGER} ")


def size_text(size: InputSize) -> str:
    """Return a size of images as text, such as ``160x320``."""
    return f"{size[0]}x{size[1]}"


def shape_text(shape: Shape) -> str:
    """Return the requested parts of a shape, such as ``224x224 batch 4``; empty for the model's own."""
    parts = [size_text(shape.input_size)] if shape.input_size is not None else []
    parts += [f"batch {shape.batch}"] if shape.batch is not None else []
    return " ".join([*parts, *([f"sequence {shape.sequence}"] if shape.sequence is not None else [])])


class SessionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The specification of a session; together with the versions of the code it determines what is measured.

    ``model`` is a catalog name, ``/abs/file.py:factory``, ``/abs/file.pt2`` or ``/abs/file.pte``. ``weights`` is
    ``auto``, ``pretrained``, ``synthetic`` or an absolute path. ``repeat`` is the number of timed inferences of each
    variant over the whole session, ``warmup`` the number of untimed ones before them in each block; None means that the
    preset decides. ``threads`` None means one thread per core this process may use. If ``export_only_dir`` is set, the
    programs are exported to that folder and nothing is measured. ``keep_fp32`` are paths of modules that quantized
    variants keep in FP32. ``wait_quiet_min`` is the longest time in minutes to wait for other programs to become idle
    before the first block; 0 means to measure at once without checking. ``allow_pickle`` allows a ``.pt2`` file to run
    code from its pickled parts. ``priority`` decides the place in the queue: before the sessions of lower priority that
    wait when the session is queued. ``trusted_files`` are absolute paths of models and weights that imported runs name
    and that the user allowed in this duel. ``data`` is the absolute path of the folder that the inputs are made from;
    None means the model's own. If it has labelled images, eager and the programs are evaluated on its ``split``, None
    for the validation split. ``map_drop`` and ``top1_drop`` are the largest losses to eager within tolerance, in
    percentage points.
    """

    model: str
    variants: tuple[Variant, ...]
    preset: PresetName = "default"
    repeat: int | None = None
    warmup: int | None = None
    threads: int | None = None
    weights: str = "auto"
    timeout_s: float = DEFAULT_TIMEOUT_S
    calibration_count: int = DEFAULT_CALIBRATION_COUNT
    accuracy_inputs: int = DEFAULT_ACCURACY_INPUTS
    seed: int = 0
    use_cache: bool = True
    export_only_dir: str | None = None
    keep_fp32: tuple[str, ...] = ()
    wait_quiet_min: float = 0.0
    allow_pickle: bool = False
    priority: Priority = "normal"
    trusted_files: tuple[str, ...] = ()
    data: str | None = None
    split: str | None = None
    map_drop: float | None = None
    top1_drop: float | None = None

    @property
    def must_evaluate(self) -> bool:
        """Whether the session is to fail if there are no labelled images to evaluate its programs on."""
        return self.split is not None or self.map_drop is not None or self.top1_drop is not None


class AnalysisOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options that every analysis of a finished run has. The options of a kind are a subclass; its tag is the name
    of the kind (``etui.analysis_kinds``).

    ``trusted_files`` are absolute paths that an imported run names and that the user allowed.
    """

    timeout_s: float = DEFAULT_TIMEOUT_S
    trusted_files: tuple[str, ...] = ()

    @classmethod
    def kind_name(cls) -> str:
        """Return the name of the kind of analysis that the options belong to."""
        return str(cls.__struct_config__.tag)


def program_name(model: str, variant: Variant, suffix: str = ".pte") -> str:
    """Return the file name of an exported program, such as ``resnet18_int8_xnnpack.pte``."""
    shape = "dynamic" if variant.dynamic else shape_text(variant.shape)
    parts = (model, variant.precision, variant.delegate, *shape.split())
    return f"{'_'.join(parts)}{suffix}"
