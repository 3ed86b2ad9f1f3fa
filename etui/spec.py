"""Specifications: of a session and its variants, of the measuring presets, and the common part of an analysis."""

from __future__ import annotations

from typing import Literal

import msgspec

EAGER = "eager"
"""The name of the variant that every session measures in addition to the requested ones: FP32 PyTorch, eager."""

WEIGHTS = ("auto", "pretrained", "synthetic")
"""The keywords for weights; anything else is a path."""

PresetName = Literal["quick", "default", "rigorous"]


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
DEFAULT_ACCURACY_INPUTS = 8


class Repeated(msgspec.Struct, frozen=True, order=True, kw_only=True):
    """The run whose program a variant measures again, with the specification of that run's model, weights and inputs,
    so that it remains known after that run is deleted."""

    run: str
    model: str
    weights: str = "auto"
    seed: int = 0
    calibration_count: int = DEFAULT_CALIBRATION_COUNT
    accuracy_inputs: int = DEFAULT_ACCURACY_INPUTS
    keep_fp32: tuple[str, ...] = ()
    allow_pickle: bool = False


class Variant(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One (precision, delegate) pair of a session; both are names from the catalog. ``repeats`` is the run whose
    program the variant measures in a duel, in which two variants may have the same pair but different weights or
    models."""

    precision: str
    delegate: str
    repeats: Repeated | None = None

    @property
    def label(self) -> str:
        """The name in blocks, logs and tables, such as ``int8/xnnpack``; unique within a session."""
        return label(self.precision, self.delegate, self.repeats.run if self.repeats else None)


def label(precision: str, delegate: str, repeats: str | None = None) -> str:
    """Return the label of a variant with this precision and delegate; ``repeats`` is the id of the repeated run, if
    any."""
    return f"{precision}/{delegate}" + (f"@{repeats}" if repeats else "")


class SessionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The specification of a session; together with the versions of the code it determines what is measured.

    ``model`` is a catalog name, ``/abs/file.py:factory``, ``/abs/file.pt2`` or ``/abs/file.pte``. ``weights`` is
    ``auto``, ``pretrained``, ``synthetic`` or an absolute path. ``repeat`` is the number of timed inferences of each
    variant over the whole session, ``warmup`` the number of untimed ones before them in each block; None means that the
    preset decides. ``threads`` None means one thread per core this process may use. If ``export_only_dir`` is set, the
    programs are exported to that folder and nothing is measured. ``keep_fp32`` are paths of modules that quantized
    variants keep in FP32. ``wait_quiet_min`` is the longest time in minutes to wait for other programs to become idle
    before the first block; 0 means to measure at once without checking. ``allow_pickle`` allows a ``.pt2`` file to run
    code from its pickled parts. ``trusted_files`` are absolute paths of models and weights that imported runs name and
    that the user allowed in this duel.
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
    trusted_files: tuple[str, ...] = ()


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
    return f"{model}_{variant.precision}_{variant.delegate}{suffix}"
