"""Train a model for a few steps with each optimizer, and check losses, gradients, weights and outputs."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence, Set
from functools import partial
from typing import Any, Literal

import msgspec
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from etui.catalog.find import Model, find_model
from etui.engine.explain.error_text import first_line
from etui.engine.explain.layers import describe_failure
from etui.engine.models.build import build
from etui.engine.models.call_structure import CallStructure, Inputs
from etui.engine.models.memory_need import check_memory
from etui.engine.models.outputs import tensors_in
from etui.engine.runtime.resident_memory import reset_peak, status_bytes
from etui.engine.training.batch import Batch, make_batch
from etui.engine.training.loss import OutputLoss, choose_losses
from etui.engine.training.observe import FirstNonFinite, ZeroOutputs, parameter_places
from etui.errors import PreparationError
from etui.events import Event, utc_now
from etui.jobs import TrainingJob
from etui.spec import Shape
from etui.training_check import (
    FALL,
    LEARNING_RATES,
    Failure,
    FailureKind,
    OptimizerCheck,
    OptimizerName,
    TrainingCheck,
    Trial,
)

Log = Callable[[Event], None]

_MOMENTUM = 0.9
_RECENT = 20
"""The number of last steps whose times estimate the time left."""
_HALF: dict[torch.dtype, Literal["FP16", "BF16"]] = {torch.float16: "FP16", torch.bfloat16: "BF16"}
_ROUNDING = 16 * torch.finfo(torch.float32).eps
"""The gradient of a parameter is a rounding error if changing the parameter by its own size would change the loss by
less than this part, to first order. It is one of a bias before batch normalization, which removes the bias."""
_OPTIMIZERS: dict[OptimizerName, Callable[[list[nn.Parameter], float], torch.optim.Optimizer]] = {
    "sgd": lambda parameters, rate: torch.optim.SGD(parameters, lr=rate, momentum=_MOMENTUM),
    "adam": lambda parameters, rate: torch.optim.Adam(parameters, lr=rate),
    "adamw": lambda parameters, rate: torch.optim.AdamW(parameters, lr=rate),
    "rmsprop": lambda parameters, rate: torch.optim.RMSprop(parameters, lr=rate),
    "adagrad": lambda parameters, rate: torch.optim.Adagrad(parameters, lr=rate),
}
_SPARSE: frozenset[OptimizerName] = frozenset({"sgd", "adagrad"})
"""The optimizers that take the sparse gradients of an embedding with ``sparse=True``."""


def run_training(job: TrainingJob, log: Log) -> TrainingCheck:
    """Build a model and check its training. Exceptions of the user's code are not caught, except those of calls of the
    module and of the backward pass.

    Raises:
        UsageError: the requested loss does not fit.
        PreparationError: the model cannot be loaded, called or trained at all.
    """

    def begin(message: str) -> None:
        log(Event(kind="stage", stage="training", message=message, at=utc_now()))

    # A process of low priority whose threads wait for each other is many times slower on a busy machine.
    torch.set_num_threads(max(1, torch.get_num_threads() // 2))
    begin("loading the model")
    model = find_model(job.model)
    check_memory(model, "train")
    built = build(model, seed=job.seed, shape=Shape(batch=job.batch), freeze=False)
    module = built.module

    def accepts(inputs: Inputs, structure: CallStructure) -> bool:
        module.eval()
        try:
            with torch.no_grad():
                structure.bound(module)(*inputs)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - whatever the user's model raises for inputs that it does not take
            return False
        return True

    batch = make_batch(model, built, job, accepts)
    return check_training(model, module, batch, job, begin=begin, log=log)


def check_training(
    model: Model,
    module: nn.Module,
    batch: Batch,
    job: TrainingJob,
    *,
    begin: Callable[[str], None] = lambda text: None,
    log: Log = lambda event: None,
) -> TrainingCheck:
    """Check the training of a module on one batch, for each optimizer of the job from the present weights. ``log`` is
    called with an event of progress after each step, whose stage is the optimizer.

    Raises:
        UsageError: the requested loss does not fit.
        PreparationError: the module has no trainable parameters, its forward or backward pass fails, or its gradients
            are sparse and an optimizer does not take them.
    """
    if any(is_lazy(parameter) for parameter in module.parameters()):
        with torch.no_grad():
            _called(model, module, batch)  # lazy modules make their parameters in the first call
    parameters = dict(module.named_parameters())
    trainable = {name: one for name, one in parameters.items() if one.requires_grad}
    if not trainable:
        cause = f"all {len(parameters):,} are frozen (requires_grad is False)" if parameters else "it has none at all"
        raise PreparationError(
            f"{model.name} has no trainable parameters: {cause}", "check a model with parameters that require gradients"
        )
    try:
        module.train()
    except NotImplementedError as error:
        raise PreparationError(
            f"{model.name} is an exported program, which has no training mode", "check the model that it was made from"
        ) from error
    initial = _Weights(module)
    torch.manual_seed(job.seed)
    outputs = tensors_in(_called(model, module, batch))
    losses = choose_losses(model, outputs, batch.tensors, job.loss, batch.labels, job.seed)
    del outputs
    checks = []
    for place, name in enumerate(job.optimizers):
        rates = LEARNING_RATES[name] if job.learning_rate is None else (job.learning_rate,)
        trials: list[OptimizerCheck] = []
        later = (len(job.optimizers) - place - 1) * job.steps
        for rate in rates:
            text = f"training with {name}, learning rate {rate:g}"
            begin(text)
            initial.restore()
            report = partial(_report_step, log, name, text, job.steps, later)
            trials.append(_Loop(model, module, batch, losses, job, name, rate, trainable).run(report))
            if not trials[-1].needs_other_rate:
                break
        checks.append(_best(trials))
    return TrainingCheck(
        model=model.name,
        title=model.title,
        losses=[one.text for one in losses],
        targets=batch.detail,
        inputs=[f"{'x'.join(map(str, one.shape))} {str(one.dtype).removeprefix('torch.')}" for one in batch.tensors],
        batch=batch.items,
        steps=job.steps,
        seed=job.seed,
        trainable_parameters=len(trainable),
        trainable_elements=sum(one.numel() for one in trainable.values()),
        frozen=parameter_places(module, [name for name in parameters if name not in trainable]),
        optimizers=checks,
        torch_version=torch.__version__.partition("+")[0],
        at=utc_now(),
    )


def _report_step(
    log: Log, optimizer: str, text: str, steps: int, later: int, step: int, loss: float, step_s: float
) -> None:
    log(
        Event(
            kind="progress",
            stage=optimizer,
            message=text,
            at=utc_now(),
            done=step,
            total=steps,
            loss=_finite(loss),
            left_s=(steps - step + later) * step_s,
        )
    )


def _best(trials: Sequence[OptimizerCheck]) -> OptimizerCheck:
    """Return the trial that succeeded or has the lowest loss at the end, with the others."""
    best = min(trials, key=lambda one: (one.needs_other_rate, one.end_loss if one.end_loss is not None else math.inf))
    others = [
        Trial(learning_rate=one.learning_rate, begin_loss=one.begin_loss, end_loss=one.end_loss)
        for one in trials
        if one is not best
    ]
    return msgspec.structs.replace(best, tried=others)


class _Loop:
    """The training loop with one optimizer, and what was observed."""

    def __init__(
        self,
        model: Model,
        module: nn.Module,
        batch: Batch,
        losses: Sequence[OutputLoss],
        job: TrainingJob,
        optimizer: OptimizerName,
        rate: float,
        trainable: dict[str, nn.Parameter],
    ) -> None:
        self._model, self._module, self._batch, self._losses = model, module, batch, losses
        self._name, self._steps, self._seed = optimizer, job.steps, job.seed
        self._rate = rate
        self._trainable = trainable
        self._optimizer = _OPTIMIZERS[optimizer](list(trainable.values()), self._rate)
        self._quarter = max(1, job.steps // 4)
        self._values: list[float] = []
        self._norms: list[float] = []
        self._own_norms: dict[str, list[float]] = {}
        self._with_gradient: set[str] = set()
        self._nonzero: set[str] = set()
        self._effective: set[str] = set()
        """Parameters whose gradient is more than a rounding error."""
        self._before: dict[str, torch.Tensor] = {}
        self._overwritten: set[str] = set()
        """Parameters that the forward pass of the last step set to their initial values again."""
        self._times: list[float] = []
        self._zero = ZeroOutputs()
        self._failures: list[Failure] = []

    def run(self, report: Callable[[int, float, float], None]) -> OptimizerCheck:
        """Do the steps, at most until a value is not finite, and return what was observed. ``report`` is called after
        each with its number, its loss, and the median time of a step in seconds."""
        self._before = {name: one.detach().clone() for name, one in self._trainable.items()}
        reset_peak()
        torch.manual_seed(self._seed)
        completed = True
        for number in range(1, self._steps + 1):
            completed = self._step(number)
            report(number, self._values[-1], statistics.median(self._times[-_RECENT:]) if self._times else 0.0)
            if not completed:
                break
        peak = status_bytes("VmHWM")
        changed = self._changed() - self._overwritten
        self._optimizer.zero_grad(set_to_none=True)
        begin = end = None
        if completed:
            begin, end = (
                statistics.fmean(self._values[: self._quarter]),
                statistics.fmean(self._values[-self._quarter :]),
            )
            self._judge(begin, end, changed)
        half = next((_HALF[one.dtype] for one in self._trainable.values() if one.dtype in _HALF), None)
        return OptimizerCheck(
            optimizer=self._name,
            learning_rate=self._rate,
            passed=not self._failures,
            failures=self._failures,
            losses=[_finite(value) for value in self._values],
            begin_loss=begin,
            end_loss=end,
            gradient_norms=[_finite(value) for value in self._norms],
            module_gradient_norms={name: statistics.median(values) for name, values in self._own_norms.items()},
            changed_parameters=len(changed),
            negligible=self._negligible(changed) if completed else [],
            half=half,
            step_ms=statistics.median(self._times[1:] or self._times) * 1e3 if self._times else None,
            peak_rss_bytes=peak,
        )

    def _step(self, number: int) -> bool:
        """Do one step; return False if a value was not finite, which ends the loop."""
        start = time.perf_counter()
        self._optimizer.zero_grad(set_to_none=True)
        generator = torch.get_rng_state()
        changed = self._changed() if number == self._steps else set()
        if number > self._steps - self._quarter:
            with self._zero.observing(self._module):
                loss = self._loss()
        else:
            loss = self._loss()
        self._overwritten = changed - self._changed() if changed else set()
        self._values.append(float(loss.detach()))
        if not math.isfinite(self._values[-1]):
            self._failures.append(self._not_finite(number, generator))
            return False
        try:
            loss.backward()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise PreparationError(
                f"the backward pass of {self._model.name} failed: {first_line(error)}",
                "replace what cannot be differentiated, such as an in-place change of a saved value",
            ) from error
        spoiled = self._note_gradients()
        if spoiled:
            places = parameter_places(self._module, spoiled)
            self._failures.append(Failure(kind="gradient not finite", places=places, step=number))
            return False
        self._refuse_sparse()
        self._optimizer.step()
        self._times.append(time.perf_counter() - start)
        return True

    def _refuse_sparse(self) -> None:
        if self._name in _SPARSE:
            return
        sparse = [name for name, one in self._trainable.items() if one.grad is not None and one.grad.is_sparse]
        if sparse:
            raise PreparationError(
                f"{self._name} does not take sparse gradients: {parameter_places(self._module, sparse)[0]}",
                "choose --optimizer sgd or adagrad, or create the embedding with sparse=False",
            )

    def _changed(self) -> set[str]:
        """Return the parameters that differ from their initial values."""
        return {name for name, one in self._trainable.items() if not torch.equal(self._before[name], one.detach())}

    def _loss(self) -> torch.Tensor:
        outputs = tensors_in(_called(self._model, self._module, self._batch))
        total = torch.zeros(())
        for each in self._losses:
            total = total + each.function(outputs[each.place])
        return total

    def _note_gradients(self) -> list[str]:
        """Note the gradients of a step; return the parameters whose gradient is not finite."""
        by_owner: dict[str, float] = {}
        spoiled = []
        for name, parameter in self._trainable.items():
            if parameter.grad is None:
                continue
            self._with_gradient.add(name)
            gradient = parameter.grad
            if gradient.is_sparse:
                gradient = gradient.coalesce().values()
            norm = float(torch.linalg.vector_norm(gradient))
            if not math.isfinite(norm) and not bool(torch.isfinite(gradient).all()):
                spoiled.append(name)
            elif norm > 0 or bool(gradient.any()):  # the norm of very small values is zero
                self._nonzero.add(name)
                if name not in self._effective:
                    effect = _largest(gradient) * _largest(parameter)
                    if effect > _ROUNDING * abs(self._values[-1]):
                        self._effective.add(name)
            owner = name.rpartition(".")[0]
            by_owner[owner] = by_owner.get(owner, 0.0) + norm**2
        self._norms.append(math.sqrt(sum(by_owner.values())))
        if not spoiled:
            for owner, squared in by_owner.items():
                self._own_norms.setdefault(owner, []).append(math.sqrt(squared))
        return spoiled

    def _not_finite(self, number: int, generator: torch.Tensor) -> Failure:
        """Say where a loss that is not finite comes from, by repeating the step's forward pass."""
        spoiled = [name for name, one in self._trainable.items() if not bool(torch.isfinite(one).all())]
        if spoiled:
            return Failure(
                kind="loss not finite",
                step=number,
                places=parameter_places(self._module, spoiled),
                detail="weights are not finite",
            )
        first = FirstNonFinite()
        torch.set_rng_state(generator)
        with torch.no_grad(), first.observing(self._module):
            _called(self._model, self._module, self._batch)
        return Failure(
            kind="loss not finite",
            step=number,
            places=[first.place] if first.place else [],
            detail="" if first.place else "all outputs of modules are finite",
        )

    def _negligible(self, changed: Set[str]) -> list[str]:
        names = self._nonzero - self._effective - changed - self._overwritten
        return parameter_places(self._module, [name for name in self._trainable if name in names])

    def _judge(self, begin: float, end: float, changed: Set[str]) -> None:
        none = [name for name in self._trainable if name not in self._with_gradient]
        zero = [name for name in self._trainable if name in self._with_gradient and name not in self._nonzero]
        overwritten = [name for name in self._trainable if name in self._overwritten]
        still = [name for name in self._trainable if name in self._effective - changed - self._overwritten]
        found: tuple[tuple[FailureKind, list[str]], ...] = (
            ("no gradient", none),
            ("zero gradient", zero),
            ("weights do not change", still),
            ("weights are overwritten", overwritten),
        )
        for kind, names in found:
            if names:
                self._failures.append(Failure(kind=kind, places=parameter_places(self._module, names)))
        if self._zero.places:
            self._failures.append(Failure(kind="outputs are zero", places=self._zero.places))
        if not end < FALL * begin:
            rises = next((at for at, value in enumerate(self._values, 1) if value > 2 * self._values[0]), None)
            detail = "" if rises is None else f"it is more than twice the first loss from step {rises} on"
            self._failures.append(Failure(kind="loss does not fall", step=rises, detail=detail))


def _called(model: Model, module: nn.Module, batch: Batch) -> Any:
    # Some models change their inputs.
    tensors = tuple(tensor.clone() for tensor in batch.tensors)
    try:
        return batch.structure.bound(module)(*tensors)
    except MemoryError:
        raise
    except Exception as error:
        hint = "fix the module, or choose another --batch"
        if "more than 1 value per channel" in str(error):
            hint = "batch normalization needs several items: choose --batch 2 or more"
        raise PreparationError(
            f"{model.name} cannot be called in training mode on a batch of {batch.items}: "
            f"{describe_failure(error, module)}",
            hint,
        ) from error


class _Weights:
    """The parameters and buffers of a module, to begin with them again."""

    def __init__(self, module: nn.Module) -> None:
        self._parameters = [(one, one.detach().clone()) for one in module.parameters()]
        self._buffers = [(each, dict(each._buffers)) for each in module.modules()]
        self._values = [(one, one.detach().clone()) for one in module.buffers()]

    def restore(self) -> None:
        """Set all values as they were. Calls may have registered, replaced or resized buffers, such as caches."""
        with torch.no_grad():
            for module, buffers in self._buffers:
                module._buffers.clear()
                module._buffers.update(buffers)
            for tensor, value in (*self._parameters, *self._values):
                if tensor.shape != value.shape:
                    tensor.resize_(value.shape)
                tensor.copy_(value)


def _largest(values: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(values.detach(), ord=math.inf))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
