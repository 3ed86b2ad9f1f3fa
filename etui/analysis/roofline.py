"""The roofline of a run (Williams, Waterman, Patterson 2009): which modules are limited by computing, which by memory
traffic, and how close each is to the limit.

Work is counted (``etui.model_summary``), time is measured (the run and its profile), limits are the measured peaks of
the machine. A multiply-add is two operations; other operations are not counted. The bytes of a module are the least
that it must move: the values it receives and returns, and the weights of its multiply-adds, each once. Its intensity is
therefore an upper limit, and its GB/s a lower one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from etui.analysis.operator_kinds import kind_of_operator
from etui.insight import Operator, OperatorSide
from etui.machine_peaks import Arithmetic, MachinePeaks
from etui.model_summary import ModelSummary, ModuleSummary

Bound = Literal["compute", "memory"]
Attribution = Literal["measured", "no operators", "not attributed"]

_CALLS = {"convolution": 1, "linear layers": 1, "matrix multiplication": 1, "attention": 2}
"""The counted operator calls that an operator of this kind stands for: attention is counted as two products."""

_FOUR_BITS = re.compile(r"Q[BC]4")
_EIGHT_BITS = re.compile(r"Q[CSUD]8")


class ValueBytes(msgspec.Struct, frozen=True):
    """The least bytes of an activation and of a weight in a program."""

    activation: float
    weight: float


class RooflinePoint(msgspec.Struct, frozen=True, kw_only=True):
    """A module, or the whole model if ``path`` is empty, in the roofline.

    ``time_ms`` per inference is the run's median latency for the model, else the sum of the operators that the profile
    attributes to the module. If that does not have all of the module's multiply-adds, the module is ``not attributed``
    and nothing is known; a module with ``no operators`` was folded into others. ``least_bytes`` and with it
    ``gbytes_per_s`` are lower limits, ``intensity`` (operations per byte) an upper one. ``arithmetic`` has those of the
    multiply-adds, empty if one is not known. ``limit_gops_per_s`` is reached if all multiply-adds run at the peak of
    their arithmetic, or if ``least_bytes`` move at the measured bandwidth, whichever takes longer and is therefore the
    ``bound``; ``of_limit`` (0 to 1, above 1 if the limit was exceeded) is the achieved part of it.
    """

    path: str
    attribution: Attribution
    time_ms: float | None = None
    gops_per_s: float | None = None
    least_bytes: int | None = None
    gbytes_per_s: float | None = None
    intensity: float | None = None
    arithmetic: list[Arithmetic] = []
    bound: Bound | None = None
    limit_gops_per_s: float | None = None
    of_limit: float | None = None


class Roofline(msgspec.Struct, frozen=True, kw_only=True):
    """The points of a run in the order of the summary's modules, the whole model first; only that if the run has no
    profile. ``threads`` and ``peaks`` are those of the profile, without one of the run; the whole model is compared
    with the peaks of the run's number of threads. ``operators_ms`` is the sum of the profile's operators,
    ``unattributed_share`` (0 to 1) the part of it whose module is not known. Without ``on_cpu`` there are no peaks to
    compare with: those of CPUs are measured."""

    run: str
    configuration: str
    threads: int | None
    host: str
    latency_ms: float
    has_profile: bool
    points: list[RooflinePoint]
    peaks: MachinePeaks | None = None
    operators_ms: float | None = None
    unattributed_share: float | None = None
    notes: list[str] = []
    on_cpu: bool = True

    @property
    def exceeds(self) -> bool:
        """Whether any point is above its limit."""
        return any(point.of_limit is not None and point.of_limit > 1 for point in self.points)


def points_of(
    summary: ModelSummary,
    latency_ms: float,
    side: OperatorSide | None,
    precision: str,
    sizes: ValueBytes | None,
    peaks: MachinePeaks | None,
    peaks_of_run: MachinePeaks | None,
) -> list[RooflinePoint]:
    """Return the points of a run of a model. ``side`` are the operators of its program, None if it has no profile;
    ``sizes`` is None if they are not known. ``peaks`` are those of the number of threads of the profile,
    ``peaks_of_run`` of the run, with which the whole model is compared."""
    operators = _Operators(side.operators if side is not None else [], precision)
    work = _Work(summary, operators, precision)
    points = []
    for module in summary.modules:
        time_ms = operators.times.get(module.path) if module.path else latency_ms
        if module.path and side is None:
            break
        if module.path and (module.path in work.missing or module.same_as is not None):
            points.append(RooflinePoint(path=module.path, attribution="not attributed"))
        elif time_ms is None:
            points.append(RooflinePoint(path=module.path, attribution="no operators"))
        else:
            limits = peaks if module.path else peaks_of_run
            points.append(_point(module, time_ms, work.operations.get(module.path), sizes, limits))
    return points


class _Work:
    """The operations of modules by arithmetic, and the modules with multiply-adds that the profile does not have."""

    def __init__(self, summary: ModelSummary, operators: _Operators, precision: str) -> None:
        self.missing: set[str] = set()
        self.operations: dict[str, Counter[Arithmetic] | None] = {}
        """Of each module and its submodules; None if the arithmetic of some is not known."""
        for module in summary.modules:
            if not module.own_mac_calls:
                continue
            if module.own_mac_calls > operators.calls[module.path]:
                self.missing.update(_ancestors(module.path))
            arithmetic: Arithmetic | None = "fp32" if precision == "fp32" else operators.arithmetic(module.path)
            for path in _ancestors(module.path):
                known = self.operations.setdefault(path, Counter())
                if known is not None and arithmetic is not None:
                    known[arithmetic] += 2 * module.own_macs
                else:
                    self.operations[path] = None


class _Operators:
    """The operators of a program by module."""

    def __init__(self, operators: Sequence[Operator], precision: str) -> None:
        self.calls: Counter[str] = Counter()
        """The calls with multiply-adds of each module itself."""
        self.times: dict[str, float] = {}
        """Milliseconds of each module and its submodules."""
        self._arithmetics: dict[str, set[Arithmetic | None]] = {}
        for operator in operators:
            path = operator.origin.module
            count = _CALLS.get(kind_of_operator(operator), 0) * operator.calls
            self.calls[path] += count
            for part in _ancestors(path):
                self.times[part] = self.times.get(part, 0.0) + operator.median_ms
            if count:
                self._arithmetics.setdefault(path, set()).add(arithmetic_of(operator, precision))

    def arithmetic(self, path: str) -> Arithmetic | None:
        """Return the arithmetic of all multiply-adds of a module itself; None if it differs or is not known."""
        found = self._arithmetics.get(path, set())
        return next(iter(found)) if len(found) == 1 else None


def arithmetic_of(operator: Operator, precision: str) -> Arithmetic | None:
    """Return the arithmetic of an operator with multiply-adds, from its name in XNNPACK's profile, such as
    ``Convolution (NHWC, QC8) IGEMM``; None if it is not known."""
    if _FOUR_BITS.search(operator.name):
        return None
    if _EIGHT_BITS.search(operator.name):
        return "int8"
    if "F16" in operator.name:
        return "fp16"
    if "F32" in operator.name or precision == "fp32":
        return "fp32"
    return None


def _point(
    module: ModuleSummary,
    time_ms: float,
    operations: Counter[Arithmetic] | None,
    sizes: ValueBytes | None,
    peaks: MachinePeaks | None,
) -> RooflinePoint:
    total = 2.0 * module.macs if module.macs and not module.unknown_calls else None
    least_bytes = _least_bytes(module, sizes)
    seconds = time_ms / 1e3
    bound, limit_s = _limit(operations, least_bytes, peaks) if total is not None else (None, None)
    return RooflinePoint(
        path=module.path,
        attribution="measured",
        time_ms=time_ms,
        gops_per_s=total / seconds / 1e9 if total is not None and seconds else None,
        least_bytes=least_bytes,
        gbytes_per_s=least_bytes / seconds / 1e9 if least_bytes and seconds else None,
        intensity=total / least_bytes if total is not None and least_bytes else None,
        arithmetic=sorted(operations) if operations is not None else [],
        bound=bound,
        limit_gops_per_s=total / limit_s / 1e9 if total is not None and limit_s else None,
        of_limit=limit_s / seconds if limit_s is not None and seconds else None,
    )


def _limit(
    operations: Counter[Arithmetic] | None, least_bytes: int | None, peaks: MachinePeaks | None
) -> tuple[Bound | None, float | None]:
    """Return what limits some work, and the least seconds it takes; None if that is not known."""
    memory = peaks.best("memory") if peaks is not None else None
    if peaks is None or memory is None or operations is None or least_bytes is None:
        return None, None
    compute_s = 0.0
    for arithmetic, count in operations.items():
        if (peak := peaks.best(arithmetic)) is None:
            return None, None
        compute_s += count / peak.peak / 1e9
    memory_s = least_bytes / memory.peak / 1e9
    return ("compute", compute_s) if compute_s >= memory_s else ("memory", memory_s)


def _least_bytes(module: ModuleSummary, sizes: ValueBytes | None) -> int | None:
    """Return the least traffic of a module; None if it is not known: its inputs and outputs were not seen, or, without
    multiply-adds, some of its calls may have been folded into other operators."""
    if sizes is None or not module.calls or not (module.io_values or module.io_other_bytes):
        return None
    if not module.own_mac_calls and not module.macs and module.calls != 1:
        return None
    return round(sizes.activation * module.io_values + sizes.weight * module.weight_values) + module.io_other_bytes


def _ancestors(path: str) -> list[str]:
    """Return the paths of a module and of those that contain it, the model's first."""
    if not path:
        return [""]
    parts = path.split(".")
    return ["", *(".".join(parts[: end + 1]) for end in range(len(parts)))]
