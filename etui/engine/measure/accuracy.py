"""Compare a program's outputs with references: first structure, shape, dtype and finite values, then error metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import torch

from etui.analysis.accuracy import NO_MAGNITUDE, is_of_classes, judge
from etui.catalog.delegates import program_file
from etui.catalog.find import Model
from etui.catalog.models import ModelEntry
from etui.engine.models.bundle import Bundle, read_reference
from etui.engine.models.call_structure import Inputs
from etui.engine.models.outputs import flat_outputs
from etui.engine.runtime.execution import load_program, set_threads
from etui.events import Event
from etui.jobs import AccuracyJob
from etui.results import Accuracy, Comparison, Metrics, OutputAccuracy

CONSTANT_SPREAD = 1e-5
"""The standard deviation, relative to the RMS, below which values count as constant."""

Log = Callable[[Event], None]
Outputs = Sequence[torch.Tensor]
Masks = Sequence[torch.Tensor | None]
"""For each input, the positions of its outputs to compare: a boolean mask over their first dimensions, or None for
all."""


def run_accuracy(job: AccuracyJob, _log: Log) -> Accuracy:
    """Run a program on the accuracy inputs and judge its outputs. The bundle must have an eager model.

    A slow program stops after ``job.limit_s`` seconds with fewer inputs, at least one; the reason then says so.

    Raises:
        EtuiError: the program cannot be loaded or run.
    """
    start = time.perf_counter()
    set_threads(job.threads, cpus=job.cpus)
    folder = Path(job.program_dir)
    bundle = Bundle.open(Path(job.bundle), job.model)
    program = load_program(folder / program_file(job.delegate), job.delegate, job.threads, bundle)
    inputs = bundle.inputs()
    outputs: list[Outputs] = []
    with torch.inference_mode():
        for tensors in inputs:
            outputs.append(flat_outputs(program.tensors(program(program.fit(tensors)))))
            spent_s = time.perf_counter() - start
            if spent_s + spent_s / len(outputs) > job.limit_s:
                break
        done, meaning = len(outputs), bundle.result.model.outputs
        real = real_tokens(bundle.model, inputs[:done])
        against = f"{bundle.result.model.dtype.upper() or 'FP32'} eager PyTorch"
        end_to_end = compare(bundle.reference()[:done], outputs, meaning, against, real)
        before_lowering = read_reference(folder / "reference.safetensors") if job.same_inputs else None
        lowering = None
        if before_lowering is not None:
            lowering = compare(before_lowering[:done], outputs, meaning, "the same graph before lowering", real)
        task = bundle.task_metric(outputs)
    tolerance = bundle.tolerance(job.precision, job.arithmetic, job.delegate)
    verdict, reason = judge(end_to_end, tolerance, bundle.result.weights.kind)
    if any(mask is not None for mask in real):
        reason += "; only real tokens are compared, padding is ignored"
    if done < len(inputs):
        reason += f"; only {done} of {len(inputs)} inputs, because of the time limit"
    return Accuracy(
        verdict=verdict, reason=reason, tolerance=tolerance, end_to_end=end_to_end, lowering=lowering, task=task
    )


def real_tokens(model: Model, inputs: Sequence[Inputs]) -> list[torch.Tensor | None]:
    """Return a mask of each input's real tokens, for a catalog model that outputs one vector per token.

    Outputs for padding are meaningless, and a short sentence is mostly padding. None for other models: their outputs
    are pooled over real tokens, or have no padding.
    """
    if not (isinstance(model, ModelEntry) and model.outputs == "hidden state" and model.text and model.text.mask):
        return [None] * len(inputs)
    mask_index = 1  # inputs are token ids and attention mask
    return [tensors[mask_index].to(torch.bool) for tensors in inputs]


def compare(
    references: Sequence[Outputs], results: Sequence[Outputs], meaning: str, against: str, compared: Masks = ()
) -> Comparison:
    """Compare every output of every input with its reference.

    ``compared`` has for each input a mask of the positions to compare; an output whose first dimensions differ from the
    mask's shape is compared completely. Shapes are compared before masking. ``meaning`` is the kind of outputs: for
    ``logits`` (classes in the last dimension) and ``segmentation map`` (classes in dimension 1) top-1 and top-5
    agreement are computed too. ``worst`` has the worst value of each metric over the outputs, ``overall`` pools all
    elements.
    """
    rows: list[OutputAccuracy] = []
    pooled = _Pool()
    masks = [*compared, *[None] * (len(references) - len(compared))]
    constant = _constant_over_inputs(_masked_by_all(references, masks))
    for number, (reference, result) in enumerate(zip(references, results, strict=True)):
        if len(reference) != len(result):
            problem = f"{len(result)} outputs instead of {len(reference)} on input {number}"
            rows.append(
                OutputAccuracy(
                    input=number, output=0, name="outputs", shape=[], dtype="", informative=True, problem=problem
                )
            )
            continue
        for position, (expected, got) in enumerate(zip(reference, result, strict=True)):
            shape = list(got.shape)
            if expected.shape == got.shape:
                expected, got = _masked(expected, masks[number]), _masked(got, masks[number])
            row = _compare_output(number, position, expected, got, meaning, constant=constant.get(position, False))
            rows.append(msgspec.structs.replace(row, shape=shape))
            if row.metrics is not None:
                pooled.add(expected, got)
    measured = [row.metrics for row in rows if row.metrics is not None]
    return Comparison(against=against, overall=pooled.metrics(measured), worst=_worst(measured), outputs=rows)


def _masked(output: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return the positions of an output that are compared."""
    if mask is None or output.shape[: mask.dim()] != mask.shape or not bool(mask.any()):
        return output
    return output[mask]


def _masked_by_all(references: Sequence[Outputs], masks: Masks) -> list[list[torch.Tensor]]:
    """Return the references at the positions compared for every input, so that inputs can be compared with each
    other."""
    known = [mask for mask in masks if mask is not None]
    if not known or len({mask.shape for mask in known}) != 1:
        return [list(outputs) for outputs in references]
    shared = torch.stack(known).all(dim=0)
    return [[_masked(output, shared) for output in outputs] for outputs in references]


def _compare_output(
    number: int, position: int, expected: torch.Tensor, got: torch.Tensor, meaning: str, *, constant: bool
) -> OutputAccuracy:
    name = f"output {position}"
    problem = None
    if tuple(expected.shape) != tuple(got.shape):
        problem = f"{name} has shape {list(got.shape)} instead of {list(expected.shape)} on input {number}"
    elif expected.is_floating_point() != got.is_floating_point():
        problem = f"{name} is {_dtype(got)} instead of {_dtype(expected)} on input {number}"
    elif not bool(torch.isfinite(expected.to(torch.float64)).all()):
        problem = f"the reference of {name} contains NaN or infinity on input {number}"
    elif not bool(torch.isfinite(got.to(torch.float64)).all()):
        problem = f"{name} contains NaN or infinity on input {number}"
    return OutputAccuracy(
        input=number,
        output=position,
        name=name,
        shape=list(got.shape),
        dtype=_dtype(got),
        informative=problem is not None or not (constant or _is_constant(expected)),
        metrics=None if problem else _metrics(expected, got, meaning),
        problem=problem,
    )


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _is_constant(reference: torch.Tensor) -> bool:
    """Return whether all elements are zero or (nearly) equal."""
    values = reference.to(torch.float64)
    magnitude = float(values.pow(2).mean().sqrt()) if values.numel() else 0.0
    if magnitude < NO_MAGNITUDE:
        return True
    return values.numel() > 1 and float(values.std(correction=0)) < CONSTANT_SPREAD * magnitude


def _constant_over_inputs(references: Sequence[Outputs]) -> dict[int, bool]:
    """Return which outputs hardly depend on the input; agreement on them proves nothing."""
    if len(references) < 2:
        return {}
    constant: dict[int, bool] = {}
    for position in range(min(len(outputs) for outputs in references)):
        column = [outputs[position] for outputs in references]
        if len({tuple(tensor.shape) for tensor in column}) != 1:
            continue
        stacked = torch.stack([tensor.to(torch.float64) for tensor in column])
        if not bool(torch.isfinite(stacked).all()):
            continue
        magnitude = float(stacked.pow(2).mean().sqrt())
        constant[position] = float(stacked.std(dim=0, correction=0).max()) < CONSTANT_SPREAD * magnitude
    return constant


def _metrics(expected: torch.Tensor, got: torch.Tensor, meaning: str) -> Metrics:
    reference, result = expected.to(torch.float64).flatten(), got.to(torch.float64).flatten()
    error = reference - result
    squared_error, power = float(error.pow(2).sum()), float(reference.pow(2).sum())
    top1, top5 = _agreement(expected, got, meaning)
    exact = squared_error == 0.0
    return Metrics(
        mae=float(error.abs().mean()),
        max_abs=float(error.abs().max()),
        rmse=math.sqrt(squared_error / reference.numel()),
        sqnr_db=_sqnr_db(power, squared_error),
        cosine=1.0 if exact else _cosine(reference, result),
        top1=top1,
        top5=top5,
        exact=exact,
    )


def _sqnr_db(power: float, squared_error: float) -> float | None:
    """Return the signal-to-quantization-noise ratio in dB; None without noise (infinite) or without signal."""
    return 10 * math.log10(power / squared_error) if power > 0 and squared_error > 0 else None


def _cosine(reference: torch.Tensor, result: torch.Tensor) -> float:
    """Return the cosine similarity of two vectors; 0 if one is zero, since it has no direction."""
    norms = float(reference.norm() * result.norm())
    return float(reference @ result) / norms if norms > 0 else 0.0


def _agreement(expected: torch.Tensor, got: torch.Tensor, meaning: str) -> tuple[float | None, float | None]:
    """Return top-1 and top-5 agreement for class scores: the share of positions whose best class is that of the
    reference, and of those whose reference class is among the five best. For outputs that are classes themselves, the
    share of equal elements."""
    if is_of_classes(_dtype(expected)) and is_of_classes(_dtype(got)):
        return float((expected == got).to(torch.float64).mean()), None
    if meaning == "segmentation map" and expected.dim() == 4:
        expected, got = expected.movedim(1, -1), got.movedim(1, -1)
    elif meaning != "logits":
        return None, None
    if expected.dim() == 0 or expected.shape[-1] < 2:
        return None, None
    best = expected.argmax(dim=-1)
    top1 = float((got.argmax(dim=-1) == best).to(torch.float64).mean())
    if expected.shape[-1] <= 5:
        return top1, None
    five = got.topk(5, dim=-1).indices
    return top1, float((five == best.unsqueeze(-1)).any(dim=-1).to(torch.float64).mean())


class _Pool:
    """Sums over all elements of all outputs, for the pooled metrics."""

    def __init__(self) -> None:
        self.count = 0
        self.absolute = self.squared = self.power = self.dot = self.result_power = self.largest = 0.0

    def add(self, expected: torch.Tensor, got: torch.Tensor) -> None:
        reference, result = expected.to(torch.float64).flatten(), got.to(torch.float64).flatten()
        error = reference - result
        self.count += reference.numel()
        self.absolute += float(error.abs().sum())
        self.squared += float(error.pow(2).sum())
        self.largest = max(self.largest, float(error.abs().max()))
        self.power += float(reference.pow(2).sum())
        self.result_power += float(result.pow(2).sum())
        self.dot += float(reference @ result)

    def metrics(self, outputs: Sequence[Metrics]) -> Metrics:
        if not self.count:
            return Metrics()
        norms = math.sqrt(self.power * self.result_power)
        exact = self.squared == 0.0
        return Metrics(
            mae=self.absolute / self.count,
            max_abs=self.largest,
            rmse=math.sqrt(self.squared / self.count),
            sqnr_db=_sqnr_db(self.power, self.squared),
            cosine=1.0 if exact else (self.dot / norms if norms > 0 else 0.0),
            top1=_mean([metrics.top1 for metrics in outputs]),
            top5=_mean([metrics.top5 for metrics in outputs]),
            exact=exact,
        )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _worst(outputs: Sequence[Metrics]) -> Metrics:
    def largest(values: Sequence[float | None]) -> float | None:
        return max((value for value in values if value is not None), default=None)

    def smallest(values: Sequence[float | None]) -> float | None:
        return min((value for value in values if value is not None), default=None)

    return Metrics(
        mae=largest([metrics.mae for metrics in outputs]),
        max_abs=largest([metrics.max_abs for metrics in outputs]),
        rmse=largest([metrics.rmse for metrics in outputs]),
        sqnr_db=smallest([metrics.sqnr_db for metrics in outputs]),
        cosine=smallest([metrics.cosine for metrics in outputs]),
        top1=smallest([metrics.top1 for metrics in outputs]),
        top5=smallest([metrics.top5 for metrics in outputs]),
        exact=bool(outputs) and all(metrics.exact for metrics in outputs),
    )
