"""Attribute the error at the output to the layers' quantization, and find the module to keep in FP32."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.fx import Node

from etui.engine.gap.graph_pair import GraphPair
from etui.engine.gap.interpreter import Bypass, GapSums

SUGGESTED_SHARE = 0.5
"""The minimum share of the squared error at the output (3 dB) for which a module is suggested to be kept in FP32."""

MAX_LAYER_SHARE = 1 / 3
"""A module with a larger share of the quantized layers is not suggested: keeping it would undo the quantization."""

Inputs = Sequence[torch.Tensor]
Progress = Callable[[float, float], None]


def work_s() -> float:
    """Return the CPU time of this process per thread, in seconds. Time budgets use it because waiting for a core does
    not count: a busy machine makes the analysis slower, not less complete."""
    return time.process_time() / torch.get_num_threads()


class Candidate(NamedTuple):
    """A module that could be kept in FP32: its path, the number of quantized layers in it, and the share of the squared
    error at the output that keeping it removes."""

    module: str
    layers: int
    share: float


class Attribution(NamedTuple):
    """``shares`` maps a layer's node to the share of the squared error at the output that is removed when this layer is
    not quantized; layers that were not tried within the time budget are missing. ``candidate`` is the module to keep in
    FP32, or the one with the largest share. ``inputs`` is the number of inputs used, ``untried`` that of layers not
    tried."""

    shares: dict[Node, float]
    candidate: Candidate | None
    inputs: int
    untried: int


class OutputError:
    """The squared error at a graph's outputs against FP32. Each output is relative to its own power, so that outputs of
    small and of large magnitude count alike."""

    def __init__(self, references: Sequence[Sequence[torch.Tensor]]) -> None:
        self._references = references

    def of(self, results: Sequence[Sequence[torch.Tensor]]) -> float:
        """Return the error of the results of the first ``len(results)`` inputs."""
        outputs = [GapSums() for _ in self._references[0]]
        for expected, got in zip(self._references, results, strict=False):
            for sums, reference, result in zip(outputs, expected, got, strict=True):
                sums.add(reference, result)
        return sum(sums.squared / sums.power for sums in outputs if sums.power > 0)


def attribute_error(
    pair: GraphPair,
    inputs: Sequence[Inputs],
    error: OutputError,
    program_outputs: Sequence[Inputs],
    budget_s: float,
    progress: Progress,
) -> Attribution:
    """Run the quantized graph repeatedly, each time without the quantization of one layer, then of one module.

    Shares are relative to the larger of the program's and the graph's error. If all inputs would take longer than
    ``budget_s``, fewer are used; when the budget is spent, the remaining layers are not tried.
    """
    start = work_s()
    pair.changed.outputs(inputs[0])
    each_s = work_s() - start
    owners, modules = pair.owners(), pair.modules()
    trials = len(owners) + len(modules) + 1
    used = inputs[: max(1, min(len(inputs), int(budget_s / max(each_s * trials, 1e-9))))]
    base = _error(pair, used, error, {})
    total = max(base, error.of(program_outputs[: len(used)]))
    done = 0

    def removed_share(bypass: Bypass) -> float | None:
        """Return the share of the error that a bypass removes, negative if it adds; None if the budget is spent."""
        nonlocal done
        if work_s() - start > budget_s:
            return None
        done += 1
        progress(done, trials)
        return (base - _error(pair, used, error, bypass)) / total if total > 0 else 0.0

    shares = {owner: share for owner in owners if (share := removed_share(pair.without(owner))) is not None}
    candidates = []
    for module, layers in sorted(modules.items(), key=lambda item: item[1]):
        if layers > max(1, MAX_LAYER_SHARE * len(owners)):
            continue
        share = removed_share(pair.keeping_fp32([module]))
        if share is not None:
            candidates.append(Candidate(module, layers, share))
    sufficient = [candidate for candidate in candidates if candidate.share >= SUGGESTED_SHARE]
    # The smallest sufficient module, since every layer kept in FP32 costs speed and size.
    best = min(sufficient, key=lambda candidate: (candidate.layers, -candidate.share)) if sufficient else None
    if best is None and candidates:
        best = max(candidates, key=lambda candidate: candidate.share)
    return Attribution(shares, best, len(used), len(owners) - len(shares))


def _error(pair: GraphPair, inputs: Sequence[Inputs], error: OutputError, bypass: Bypass) -> float:
    return error.of([pair.changed.outputs(tensors, bypass) for tensors in inputs])
