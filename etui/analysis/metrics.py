"""The facts in which runs are compared, in display order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from etui.analysis.keep_fp32 import kept_fp32
from etui.facts import FACTS, Comparison, Fact, Group
from etui.facts.kinds import TEXT
from etui.results import RunDocument

_KEPT_FP32: Fact[str | None] = Fact(
    name="kept_fp32",
    read=lambda run: ", ".join(kept_fp32(run)) or None,
    kind=TEXT,
    title="kept in FP32",
    comparison=Comparison(group="environment"),
)
_FIRST = (
    "latency_median_ms", "latency_mean_ms", "latency_min_ms", "latency_max_ms", "latency_std_ms", "latency_mad_ms",
    "latency_p90_ms", "latency_p95_ms", "latency_p99_ms", "samples", "model", "status", "created_at", "session",
    "preset", "threads", "arithmetic", "kept_fp32", "weights", "inputs", "box", "cpu", "governor", "python",
    "etui_version",
)  # fmt: skip
"""The facts that are first in their group; the others follow in the order of their declarations."""


def _in_order() -> tuple[Fact[Any], ...]:
    groups, places = get_args(Group), {name: place for place, name in enumerate(_FIRST)}
    compared = [(fact.comparison.group, fact) for fact in (*FACTS, _KEPT_FP32) if fact.comparison is not None]
    compared.sort(key=lambda pair: (groups.index(pair[0]), places.get(pair[1].name, len(places))))
    return tuple(fact for _, fact in compared)


COMPARED = _in_order()
"""The facts in which runs are compared, apart from versions of packages."""


def compared_facts(documents: Sequence[RunDocument]) -> list[Fact[Any]]:
    """Return all facts to compare in display order, including one for each package whose version any run recorded."""
    packages = {name for run in documents if run.environment for name in run.environment.all_versions} - {"etui"}
    return [*COMPARED, *map(_version, sorted(packages))]


def _version(package: str) -> Fact[str | None]:
    return Fact(
        name=f"version of {package}",
        read=lambda run: run.environment.all_versions.get(package) if run.environment else None,
        kind=TEXT,
        title=package,
        comparison=Comparison(group="environment"),
    )
