"""The caveats of a run: what disturbed the measurement of its speed, the most important first, made from blocks and
flags; and what its weights, its arithmetic or a missing sample mean for the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from etui import text
from etui.analysis import disturbance, trust
from etui.magnitudes import is_ratio
from etui.results import Block, Ratio, RunDocument
from etui.spec import EAGER, is_eager

MOST_CLAUSES = 2
"""More reasons are only counted: the headline must stay one that is read."""

_LOADED = "the machine was loaded"
_DISTURBANCES = {
    "foreign load": _LOADED,
    "CPU pressure": _LOADED,
    "throttled": "the CPU quota paused the process",
    "thermal": "cores were throttled because of their temperature",
    "steal": "the hypervisor gave CPU time to other virtual machines",
}
_CONDITIONS = {
    "few samples": "there are few samples",
    "few blocks": "not all blocks were measured",
    "busy start": "the machine was busy at the start",
    "canary": "the speed of the machine changed",
    "frequency": "the CPU frequency changed",
    "drift": "latency drifted",
    "memory pressure": "tasks waited for memory",
    "page faults": "memory was read from disk",
    "unsettled": "warm-up did not settle",
    "wide spread": "single inferences vary by over 10 %",
    "two modes": "latency has two modes",
    "threads": "the number of threads was not as requested",
    "parallelism": "the number of busy cores varied",
    "spread": "single inferences vary by over 5 %",
    "autocorrelation": "consecutive inferences are correlated",
    "governor": "the CPU frequency governor is not performance",
}
"""Flags of other conditions, the most important first."""


SYNTHETIC = (
    "The weights are synthetic: the latencies are valid, but whether the trained model is within tolerance is not"
    " known."
)
SUMMARY_ONLY = "Only a summary was imported: without samples there is no interval, and no comparison."


def arithmetic(document: RunDocument, name: str) -> str:
    """Return the caveat that a run, called ``name``, computes in another arithmetic than its precision states; empty if
    it does not."""
    if not document.arithmetic:
        return ""
    return f"{name} computes in {text.plain(document.arithmetic)}, although its precision is {document.precision}."


def caveat(document: RunDocument) -> str:
    """Return the caveat as a clause, such as ``the machine was loaded in 6 of 6 blocks``; empty if there is none. At
    most ``MOST_CLAUSES`` reasons are named, the others counted."""
    clauses = reasons(document)
    named, more = clauses[:MOST_CLAUSES], len(clauses) - MOST_CLAUSES
    return " and ".join(named) + (f" ({text.counted(more, 'more warning')})" if more > 0 else "")


def reasons(document: RunDocument) -> list[str]:
    """Return the reasons for caution as clauses: disturbances by the share of disturbed blocks, then the width of the
    interval, then the other warning flags."""
    names = [flag.name for flag in document.flags]
    clauses = _disturbed(document, names)
    if _is_very_wide(document.speedup):
        clauses.append("the interval is very wide")
    clauses += [clause for name, clause in _CONDITIONS.items() if name in names and not _implied(name, clauses)]
    known = {*_DISTURBANCES, *_CONDITIONS, *trust.REMARKS, EAGER}
    clauses += [f"it is flagged ({text.plain(name)})" for name in names if name not in known]
    of_eager = [flag.name for flag in document.eager_flags if flag.name not in _DISTURBANCES]
    if of_eager:
        clauses.append(f"eager is flagged ({text.plain(', '.join(of_eager))})")
    return clauses


def _is_very_wide(ratio: Ratio | None) -> bool:
    """Whether the interval of a ratio is very wide although its verdict is not that the ratio is unknown."""
    if ratio is None or ratio.ci95 is None or min(ratio.ci95) <= 0 or not is_ratio(ratio.value):
        return False
    return ratio.verdict not in (None, "inconclusive") and trust.of_interval(ratio.value, ratio.ci95) == "poor"


def _disturbed(document: RunDocument, names: Sequence[str]) -> list[str]:
    """Return a clause for each kind of disturbance, with the blocks of the side that has the larger share of them."""
    sides = [(blocks, _counts(blocks)) for blocks in (document.blocks, document.eager_blocks) if blocks]
    found: list[tuple[float, str]] = []
    for clause in dict.fromkeys(_DISTURBANCES.values()):
        blocks, counts = max(sides, key=lambda side: side[1][clause] / len(side[0]), default=([], Counter[str]()))
        if blocks and counts[clause]:
            of_eager = f" of {EAGER}" if is_eager(blocks[0].variant) else ""
            share = counts[clause] / len(blocks)
            found.append((share, f"{clause} in {counts[clause]} of {text.counted(len(blocks), 'block')}{of_eager}"))
        elif any(_DISTURBANCES.get(name) == clause for name in names):
            found.append((0.0, clause))
    return [clause for _, clause in sorted(found, key=lambda one: -one[0])]


def _counts(blocks: Sequence[Block]) -> Counter[str]:
    """Return the number of blocks with each kind of disturbance, by its clause."""
    return Counter(clause for block in blocks for clause in {_DISTURBANCES[name] for name in disturbance.causes(block)})


def _implied(name: str, clauses: Sequence[str]) -> bool:
    """Whether an earlier clause already gives this reason."""
    return name == "busy start" and any(clause.startswith(_LOADED) for clause in clauses)
