"""How much of the error at the output each layer's quantization makes, and which module in FP32 would mend most."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.fx import Node

from etui.engine.gap.graph_pair import Pair
from etui.engine.gap.interpreter import Bypass, GapSums

MOST = 0.5
"""The part of the squared error at the output (3 dB) that a module must make to be worth a suggestion."""

AT_MOST_OF_LAYERS = 1 / 3
"""A module with more of the quantized layers than this is no layer to blame: keeping it undoes the quantization."""

Inputs = Sequence[torch.Tensor]
Progress = Callable[[float, float], None]


def work_s() -> float:
    """Seconds of work this process has done, on each of its threads: what waiting for a core takes is no work, so that
    a busy box makes the comparison slower and not poorer."""
    return time.process_time() / torch.get_num_threads()


class Suspect(NamedTuple):
    """A module, the quantized layers in it, and the part of the error that goes with it in FP32."""

    module: str
    layers: int
    part: float


class Blame(NamedTuple):
    """The part of the squared error at the output that goes with each layer's quantization; what was not tried for
    want of time is missing. ``inputs`` is how many inputs it rests on, ``suspect`` the module to keep in FP32, or the
    largest found."""

    parts: dict[Node, float]
    suspect: Suspect | None
    inputs: int
    untried: int


class OutputError:
    """The squared error at a graph's outputs against FP32, each output relative to its own power, so that one of small
    numbers counts as much as one of large ones."""

    def __init__(self, references: Sequence[Sequence[torch.Tensor]]) -> None:
        self._references = references

    def of(self, results: Sequence[Sequence[torch.Tensor]]) -> float:
        """The error of results for the first so many inputs."""
        outputs = [GapSums() for _ in self._references[0]]
        for expected, got in zip(self._references, results, strict=False):
            for sums, one, other in zip(outputs, expected, got, strict=True):
                sums.add(one, other)
        return sum(sums.squared / sums.power for sums in outputs if sums.power > 0)


def blame(
    pair: Pair,
    inputs: Sequence[Inputs],
    error: OutputError,
    program_outputs: Sequence[Inputs],
    budget_s: float,
    progress: Progress,
) -> Blame:
    """Run the quantized graph again and again, each time without the quantization of one layer, then of one module.

    The parts are parts of the program's own error, which lowering adds to (or, with luck, takes from: then of the
    graph's). Fewer inputs are used where all would take longer than ``budget_s``; when it is spent, the layers that are
    left go untried.
    """
    start = work_s()
    pair.changed.outputs(inputs[0])
    each_s = work_s() - start
    owners, modules = pair.owners(), pair.modules()
    trials = len(owners) + len(modules) + 1
    some = inputs[: max(1, min(len(inputs), int(budget_s / max(each_s * trials, 1e-9))))]
    base = _error(pair, some, error, {})
    whole = max(base, error.of(program_outputs[: len(some)]))
    done = 0

    def part(bypass: Bypass) -> float | None:
        """The part that goes; below zero where the error grows. None where the time is up."""
        nonlocal done
        if work_s() - start > budget_s:
            return None
        done += 1
        progress(done, trials)
        return (base - _error(pair, some, error, bypass)) / whole if whole > 0 else 0.0

    parts = {owner: found for owner in owners if (found := part(pair.without(owner))) is not None}
    suspects = []
    for module, layers in sorted(modules.items(), key=lambda one: one[1]):
        if layers <= max(1, AT_MOST_OF_LAYERS * len(owners)) and (found := part(pair.kept([module]))) is not None:
            suspects.append(Suspect(module, layers, found))
    guilty = [one for one in suspects if one.part >= MOST]
    # The smallest that is enough: what else is kept costs speed and size for nothing.
    suspect = min(guilty, key=lambda one: (one.layers, -one.part)) if guilty else None
    if suspect is None and suspects:
        suspect = max(suspects, key=lambda one: one.part)
    return Blame(parts, suspect, len(some), len(owners) - len(parts))


def _error(pair: Pair, inputs: Sequence[Inputs], error: OutputError, bypass: Bypass) -> float:
    return error.of([pair.changed.outputs(one, bypass) for one in inputs])
