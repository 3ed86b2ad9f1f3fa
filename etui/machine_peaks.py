"""The measured peaks of a machine: the highest rates of computing and of memory traffic that its libraries reach."""

from __future__ import annotations

from typing import Literal

import msgspec

Arithmetic = Literal["fp32", "fp16", "int8"]
RateKind = Literal["fp32", "fp16", "int8", "memory"]

TITLES: dict[RateKind, str] = {"fp32": "FP32", "fp16": "FP16", "int8": "INT8", "memory": "memory"}


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A rate in units of 10^9 per second: operations (a multiply-add counts as two) of a matrix product, or bytes.

    ``library`` executed it and ``work`` describes it. ``median``, ``low`` and ``high`` (the quartiles) are over
    ``repeats`` repetitions. The peak is the upper quartile: what else the machine does only makes work slower, and
    unlike the fastest repetition it does not depend on a single reading of the clock.
    """

    kind: RateKind
    library: str
    work: str
    median: float
    low: float
    high: float
    repeats: int

    @property
    def peak(self) -> float:
        """The rate to compare with."""
        return self.high


class MachinePeaks(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured on a machine with a number of threads.

    ``rates`` are all that were measured, the peak of a kind is the best of them. ``missing`` has the reason for each
    kind that could not be measured. ``cpus`` are the logical CPUs that were used. ``calm`` is False if other programs
    were busy meanwhile, so that the peaks are too low; ``load`` describes them.
    """

    host: str
    cpu: str
    threads: int
    measured_at: str
    rates: list[Rate]
    missing: dict[str, str] = {}
    cpus: list[int] = []
    versions: dict[str, str] = {}
    calm: bool = True
    load: str = ""

    def best(self, kind: RateKind) -> Rate | None:
        """Return the rate of a kind with the highest peak; None if it was not measured."""
        return max((rate for rate in self.rates if rate.kind == kind), key=lambda rate: rate.peak, default=None)


class MeasuredRates(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the worker that measures peaks; see ``MachinePeaks``."""

    rates: list[Rate]
    missing: dict[str, str] = {}
