"""What is asked for: the specification of a session and its variants, the measuring presets, and passes on a run."""

from __future__ import annotations

from typing import Literal

import msgspec

EAGER = "eager"
"""The name of the variant every session measures besides what was asked for: FP32 PyTorch, eager."""

WEIGHTS = ("auto", "pretrained", "synthetic")
"""The words that weights may be; anything else is a path."""

PresetName = Literal["quick", "default", "rigorous"]


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often a session measures each of its variants.

    ``blocks`` is the number of randomized complete blocks (the most there may be where ``stop_at_relative_ci`` is
    set), ``block_s`` the seconds of timed inferences in one block, ``budget_s`` the seconds one variant may cost over
    all its blocks: a slow variant gets fewer samples and says so, it never hangs the session.
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
    """The run whose program a variant measures again, and what that run's weights and inputs were made from: what its
    own session's specification says of them, so that it holds when that run is gone."""

    run: str
    model: str
    weights: str = "auto"
    seed: int = 0
    calibration_count: int = DEFAULT_CALIBRATION_COUNT
    accuracy_inputs: int = DEFAULT_ACCURACY_INPUTS
    keep_fp32: tuple[str, ...] = ()
    allow_pickle: bool = False


class Variant(msgspec.Struct, frozen=True, order=True, omit_defaults=True):
    """One (precision, delegate) pair of a session; both are names from the catalog. ``repeats`` says which run's
    program it is in a duel, where two variants may be of the same pair, and of different weights or models."""

    precision: str
    delegate: str
    repeats: Repeated | None = None

    @property
    def label(self) -> str:
        """Its name in blocks, logs and tables, such as ``int8/xnnpack``; unique within its session."""
        return label(self.precision, self.delegate, self.repeats.run if self.repeats else None)


def label(precision: str, delegate: str, repeats: str | None = None) -> str:
    """The label of the variant of a run with this precision and delegate that ``repeats`` this run, or none."""
    return f"{precision}/{delegate}" + (f"@{repeats}" if repeats else "")


class SessionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a session was asked for; with the code's versions it fixes what is measured.

    ``model`` is a catalog name, ``/abs/file.py:factory``, ``/abs/file.pt2`` or ``/abs/file.pte``. ``weights`` is
    ``auto``, ``pretrained``, ``synthetic`` or an absolute path. ``repeat`` is the number of timed inferences of each
    variant over the whole session, ``warmup`` of untimed ones before them in each block; None leaves both to the
    preset. ``threads`` None means one a core this process may use. ``export_only_dir`` set means: export the
    programs there and measure nothing. ``keep_fp32`` are paths of modules that quantized variants leave in FP32.
    ``wait_quiet_min`` is how many minutes to wait at most for other programs to leave the cores alone before the first
    block; 0 means to measure at once, without a look at the machine. ``allow_pickle`` lets a ``.pt2`` run code that its
    file brings along in pickled parts. ``trusted_files`` are absolute paths of models and weights that imported runs
    name and that the user allowed to be used in this duel.
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


class ProfileOptions(msgspec.Struct, tag="profile", frozen=True, kw_only=True):
    """How to profile a finished run's operators.

    ``inferences`` is how many are traced on each side; None leaves that to the time they take. ``eager`` profiles the
    eager side too. ``keep_dir`` names a folder for the files that other tools read; ``etrecord`` puts one there with
    the ETDump, for which the program is lowered again where none was kept. ``trusted_files`` are absolute paths that an
    imported run names and that the user allowed to be used.
    """

    inferences: int | None = None
    eager: bool = True
    timeout_s: float = DEFAULT_TIMEOUT_S
    keep_dir: str | None = None
    etrecord: bool = False
    force: bool = False
    trusted_files: tuple[str, ...] = ()


DEFAULT_GAP_INPUTS = 4


class GapOptions(msgspec.Struct, tag="gap", frozen=True, kw_only=True):
    """How to find where a finished run's numbers left those of FP32 eager: on how many of its inputs, and below which
    SQNR (in dB) a layer counts as off; None takes what is asked of the run's outputs. ``trusted_files`` as for a
    profile."""

    inputs: int = DEFAULT_GAP_INPUTS
    threshold_db: float | None = None
    timeout_s: float = DEFAULT_TIMEOUT_S
    trusted_files: tuple[str, ...] = ()


AnalysisOptions = ProfileOptions | GapOptions
"""What a pass on a finished run is asked for; its tag is the pass's kind."""


def program_name(model: str, variant: Variant) -> str:
    """The file name of an exported program, such as ``resnet18_int8_xnnpack.pte``."""
    return f"{model}_{variant.precision}_{variant.delegate}.pte"
