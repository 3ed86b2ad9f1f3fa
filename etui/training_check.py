"""The result of a training check: what a short training loop did with a model, for each optimizer."""

from __future__ import annotations

from typing import Literal

import msgspec

LossName = Literal["cross-entropy", "bce", "mse", "language-modelling"]
OptimizerName = Literal["sgd", "adam", "adamw", "rmsprop", "adagrad"]
FailureKind = Literal[
    "loss not finite",
    "gradient not finite",
    "loss does not fall",
    "no gradient",
    "zero gradient",
    "weights do not change",
    "weights are overwritten",
    "outputs are zero",
]

LEARNING_RATES: dict[OptimizerName, tuple[float, ...]] = {
    "sgd": (1e-2, 1e-1, 1e-3),
    "adam": (3e-4, 3e-3, 3e-2, 3e-5),
    "adamw": (3e-4, 3e-3, 3e-2, 3e-5),
    "rmsprop": (1e-4, 1e-3, 1e-2, 1e-5),
    "adagrad": (1e-2, 1e-1, 1e-3),
}
"""The learning rates of each optimizer if none is given: the next is tried if the loss does not fall with one. ``sgd``
has a momentum of 0.9."""

FALL = 0.9
"""The loss falls if its mean over the last quarter of the steps is below this share of the mean over the first."""


class TrainingStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a check in progress: ``step`` (from 1) of ``steps`` of the loop that ``text`` describes. The loss is
    None if it is not finite. ``left_s`` is an estimate of the seconds until all optimizers end, if no other learning
    rate is tried."""

    optimizer: str
    text: str
    step: int
    steps: int
    loss: float | None
    left_s: float


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A check that failed. ``places`` are the modules as ``path (class)``, with their parameters, if it is about
    parameters; ``step`` counts from 1. ``detail`` has what else is known."""

    kind: FailureKind
    places: list[str] = []
    step: int | None = None
    detail: str = ""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A learning rate with which the loss did not fall; the losses are as in ``OptimizerCheck``."""

    learning_rate: float
    begin_loss: float | None
    end_loss: float | None


class OptimizerCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The training loop with one optimizer, from the initial weights.

    ``losses`` has one value for each step, None if it is not finite. ``begin_loss`` and ``end_loss`` are the means over
    the first and the last quarter of the steps; None if the loop ended early. Gradient norms are L2 norms over all
    parameters, one for each step; ``module_gradient_norms`` are those over the parameters of each module without its
    submodules, as medians over the steps. ``negligible`` has the modules of parameters that did not change since their
    gradient was a rounding error, such as of a bias before batch normalization; this is not a failure. ``half`` is the
    name of the 16-bit type of trainable parameters, if there are any. ``step_ms`` is the median time of a step without
    the first, while other programs may run. ``peak_rss_bytes`` is the largest resident memory of the process. ``tried``
    are the other learning rates that were tried: of several without success, the one with the lowest loss at the end is
    described.
    """

    optimizer: OptimizerName
    learning_rate: float
    passed: bool
    failures: list[Failure]
    losses: list[float | None]
    begin_loss: float | None = None
    end_loss: float | None = None
    gradient_norms: list[float | None] = []
    module_gradient_norms: dict[str, float] = {}
    changed_parameters: int = 0
    negligible: list[str] = []
    half: Literal["FP16", "BF16"] | None = None
    step_ms: float | None = None
    peak_rss_bytes: int | None = None
    tried: list[Trial] = []

    @property
    def needs_other_rate(self) -> bool:
        """Whether it failed in a way that another learning rate may fix: the loss did not fall, or did not stay
        finite, or the steps were too small for the values."""
        return any(
            one.kind in {"loss does not fall", "weights do not change"}
            or (one.kind.endswith("not finite") and (one.step or 0) > 1)
            for one in self.failures
        )


class TrainingCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The check of a model. ``losses`` names the loss of each output that was used; the loss that is minimized is their
    sum. ``targets`` describes where the targets come from. ``trainable_parameters`` counts tensors,
    ``trainable_elements`` their elements; ``frozen`` has the parameters that do not require gradients, by module."""

    model: str
    title: str
    losses: list[str]
    targets: str
    inputs: list[str]
    batch: int
    steps: int
    seed: int
    trainable_parameters: int
    trainable_elements: int
    frozen: list[str]
    optimizers: list[OptimizerCheck]
    notes: list[str] = []
    torch_version: str = ""
    at: str = ""

    @property
    def passed(self) -> bool:
        """Whether the model trains with every optimizer."""
        return all(one.passed for one in self.optimizers)


class TrainingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is trained: optimizers, the loss of the first output (None: chosen by the outputs), steps, learning
    rate (None: several are tried), batch (None: that of the example inputs), a folder of inputs, and the seed."""

    optimizers: tuple[OptimizerName, ...] = ("adamw",)
    loss: LossName | None = None
    steps: int = 20
    learning_rate: float | None = None
    batch: int | None = None
    data: str | None = None
    seed: int = 0


class StoredCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A check as it is stored: the model's name and what it is found by, the options, and the machine. ``check`` is
    None if it ended with an ``error``; a check that was cancelled is not stored."""

    id: str
    created_at: str
    model: str
    reference: str
    options: TrainingOptions
    box: str
    cpu: str
    versions: dict[str, str]
    check: TrainingCheck | None = None
    error: str | None = None


class CheckSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A stored check without its losses; ``passed`` is None if it ended with an error."""

    id: str
    created_at: str
    model: str
    reference: str
    passed: bool | None
    error: str | None
    box: str
