"""Compare a program's outputs with their references: structure, shape, dtype and finite values first, then distance."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch

from etui.analysis.accuracy import NO_MAGNITUDE, judge
from etui.catalog.find import Model, tolerance_for
from etui.catalog.models import ModelEntry
from etui.engine.models.bundle import Bundle, read_reference
from etui.engine.models.user_inputs import Inputs
from etui.engine.runtime.execution import LoadedProgram, set_threads
from etui.jobs import AccuracyJob
from etui.results import Accuracy, Comparison, Metrics, OutputAccuracy

SAME = 1e-5
"""Spread, relative to the magnitude, below which values count as constant."""

Outputs = Sequence[torch.Tensor]
Counted = Sequence[torch.Tensor | None]
"""For each input, which places of its outputs count: a mask over their first dimensions, or None for all of them."""


def run_accuracy(job: AccuracyJob) -> Accuracy:
    """Run a program on the accuracy inputs and judge what came out. The bundle must have an eager side.

    A slow program stops at ``job.limit_s`` with the inputs it has done, at least one, and the reason says so.

    Raises:
        EtuiError: the program cannot be loaded or run.
    """
    start = time.perf_counter()
    set_threads(job.threads, cpus=job.cpus)
    folder = Path(job.program_dir)
    bundle = Bundle.open(Path(job.bundle), job.model)
    program = LoadedProgram(folder / "program.pte", delegate=job.delegate)
    inputs = bundle.inputs()
    outputs: list[Outputs] = []
    with torch.inference_mode():
        for one in inputs:
            outputs.append(program(program.fit(one)))
            spent_s = time.perf_counter() - start
            if spent_s + spent_s / len(outputs) > job.limit_s:
                break
        done, meaning = len(outputs), bundle.result.model.outputs
        real = real_tokens(bundle.model, inputs[:done])
        end_to_end = compare(bundle.reference()[:done], outputs, meaning, "FP32 eager PyTorch", real)
        before_lowering = read_reference(folder / "reference.safetensors")
        lowering = None
        if before_lowering is not None:
            lowering = compare(before_lowering[:done], outputs, meaning, "the same graph before lowering", real)
    asked = tolerance_for(job.model, job.precision, job.arithmetic, job.delegate)
    verdict, reason = judge(end_to_end, asked, bundle.result.weights.kind)
    if any(mask is not None for mask in real):
        reason += "; over real tokens alone, padding does not count"
    if done < len(inputs):
        reason += f"; on {done} of {len(inputs)} inputs, because each takes long"
    return Accuracy(verdict=verdict, reason=reason, tolerance=asked, end_to_end=end_to_end, lowering=lowering)


def real_tokens(model: Model, inputs: Sequence[Inputs]) -> list[torch.Tensor | None]:
    """Which places of each input's outputs are real tokens, for a catalog model that gives a vector for each token.

    What it gives for padding means nothing, and nobody reads it; most of a short sentence's output is that. None for
    every other model: either its outputs are pooled over real tokens, or all of its places are real.
    """
    if not (isinstance(model, ModelEntry) and model.outputs == "hidden state" and model.text and model.text.mask):
        return [None] * len(inputs)
    place = 1  # token ids come first, then the attention mask
    return [one[place].to(torch.bool) for one in inputs]


def compare(
    references: Sequence[Outputs], results: Sequence[Outputs], meaning: str, against: str, counted: Counted = ()
) -> Comparison:
    """Every output of every input against its reference.

    ``counted`` says for each input which places of its outputs are compared; an output whose first dimensions are not
    the mask's is compared whole. Shapes are compared before anything is left out. ``meaning`` is what the outputs
    are: for ``logits`` and ``segmentation map`` the last or the class dimension is compared by top-1 and top-5 too.
    ``worst`` takes the worst value of each figure over the outputs, ``overall`` pools all elements.
    """
    rows: list[OutputAccuracy] = []
    pooled = _Pool()
    masks = [*counted, *[None] * (len(references) - len(counted))]
    dull = _same_for_every_input(_where_all_count(references, masks))
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
                expected, got = _counting(expected, masks[number]), _counting(got, masks[number])
            row = _compare_one(number, position, expected, got, meaning, dull=dull.get(position, False))
            rows.append(msgspec.structs.replace(row, shape=shape))
            if row.metrics is not None:
                pooled.add(expected, got)
    measured = [row.metrics for row in rows if row.metrics is not None]
    return Comparison(against=against, overall=pooled.metrics(measured), worst=_worst(measured), outputs=rows)


def _counting(output: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The places of an output that count."""
    if mask is None or output.shape[: mask.dim()] != mask.shape or not bool(mask.any()):
        return output
    return output[mask]


def _where_all_count(references: Sequence[Outputs], masks: Counted) -> list[list[torch.Tensor]]:
    """The references at the places that count for every input, so that inputs can be compared with each other."""
    known = [mask for mask in masks if mask is not None]
    if not known or len({mask.shape for mask in known}) != 1:
        return [list(outputs) for outputs in references]
    shared = torch.stack(known).all(dim=0)
    return [[_counting(output, shared) for output in outputs] for outputs in references]


def _compare_one(
    number: int, position: int, expected: torch.Tensor, got: torch.Tensor, meaning: str, *, dull: bool
) -> OutputAccuracy:
    name = f"output {position}"
    problem = None
    if tuple(expected.shape) != tuple(got.shape):
        problem = f"{name} has shape {list(got.shape)} instead of {list(expected.shape)} on input {number}"
    elif expected.is_floating_point() != got.is_floating_point():
        problem = f"{name} is {_dtype(got)} instead of {_dtype(expected)} on input {number}"
    elif not bool(torch.isfinite(expected.to(torch.float64)).all()):
        problem = f"the reference of {name} holds NaN or infinity on input {number}"
    elif not bool(torch.isfinite(got.to(torch.float64)).all()):
        problem = f"{name} holds NaN or infinity on input {number}"
    return OutputAccuracy(
        input=number,
        output=position,
        name=name,
        shape=list(got.shape),
        dtype=_dtype(got),
        informative=problem is not None or not (dull or _is_silent(expected)),
        metrics=None if problem else _metrics(expected, got, meaning),
        problem=problem,
    )


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _is_silent(reference: torch.Tensor) -> bool:
    values = reference.to(torch.float64)
    magnitude = float(values.pow(2).mean().sqrt()) if values.numel() else 0.0
    if magnitude < NO_MAGNITUDE:
        return True
    return values.numel() > 1 and float(values.std(correction=0)) < SAME * magnitude


def _same_for_every_input(references: Sequence[Outputs]) -> dict[int, bool]:
    """Which outputs hardly depend on the input at all; a constant function is reproduced by anything."""
    if len(references) < 2:
        return {}
    same: dict[int, bool] = {}
    for position in range(min(len(outputs) for outputs in references)):
        column = [outputs[position] for outputs in references]
        if len({tuple(tensor.shape) for tensor in column}) != 1:
            continue
        stacked = torch.stack([tensor.to(torch.float64) for tensor in column])
        if not bool(torch.isfinite(stacked).all()):
            continue
        magnitude = float(stacked.pow(2).mean().sqrt())
        same[position] = float(stacked.std(dim=0, correction=0).max()) < SAME * magnitude
    return same


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
    """Signal to quantization noise ratio in dB; None where there is no noise (infinite) or no signal."""
    return 10 * math.log10(power / squared_error) if power > 0 and squared_error > 0 else None


def _cosine(reference: torch.Tensor, result: torch.Tensor) -> float:
    """The cosine of two vectors that differ; 0 if one is of zeros, which has no direction to agree in."""
    norms = float(reference.norm() * result.norm())
    return float(reference @ result) / norms if norms > 0 else 0.0


def _agreement(expected: torch.Tensor, got: torch.Tensor, meaning: str) -> tuple[float | None, float | None]:
    """Top-1 and top-5 agreement where classes are what the output means: the share of positions whose best class is
    the reference's, and whose reference class is among the five best."""
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
    """Sums over all elements of all outputs, for the figures taken over everything together."""

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
            top1=_mean([one.top1 for one in outputs]),
            top5=_mean([one.top5 for one in outputs]),
            exact=exact,
        )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _worst(outputs: Sequence[Metrics]) -> Metrics:
    def most(values: Sequence[float | None]) -> float | None:
        return max((value for value in values if value is not None), default=None)

    def least(values: Sequence[float | None]) -> float | None:
        return min((value for value in values if value is not None), default=None)

    return Metrics(
        mae=most([one.mae for one in outputs]),
        max_abs=most([one.max_abs for one in outputs]),
        rmse=most([one.rmse for one in outputs]),
        sqnr_db=least([one.sqnr_db for one in outputs]),
        cosine=least([one.cosine for one in outputs]),
        top1=least([one.top1 for one in outputs]),
        top5=least([one.top5 for one in outputs]),
        exact=bool(outputs) and all(one.exact for one in outputs),
    )
