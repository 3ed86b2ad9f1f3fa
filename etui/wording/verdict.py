"""The verdict on a run as sentences, each with the section of the run that holds its facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from etui import text
from etui.analysis.comparability import DEFAULT_METHOD
from etui.analysis.delegation import node_share, time_share
from etui.analysis.profiles import by_kind
from etui.insight import LayerGap, NumericGap
from etui.results import RunDocument
from etui.wording import run as run_wording

if TYPE_CHECKING:
    from etui.analysis.comparison import RunComparison

Source = Literal["log", "latency", "comparison", "delegation", "operators", "accuracy", "gap", "artifact"]

MOST_OF_THE_TIME = 0.5
"""From this share of the time on, only the first kind of operator is named; below it, two are."""

MOST_OF_THE_ERROR = 0.5
MUCH_OF_THE_ERROR = 0.25


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of a verdict. ``source`` is the section with its facts, ``row`` the row in it: an operator kind,
    a layer or another run's id; empty for the whole section."""

    text: str
    source: Source
    row: str = ""


def verdict(document: RunDocument, siblings: Sequence[RunDocument] = ()) -> list[Sentence]:
    """Return the sentences, the most important first: status, speed and its causes, accuracy and its causes, size.

    ``siblings`` are the other runs of its session; a run of another precision is compared, block by block, with the
    FP32 run of the same delegate among them.
    """
    parts: list[tuple[str, Source, str]] = [
        (run_wording.ending(document), "log", ""),
        (run_wording.speed(document), "latency", ""),
        *_against_fp32(document, siblings),
        (delegated(document), "delegation", ""),
        *_time(document),
        (run_wording.accuracy(document), "accuracy", ""),
        *_error(document.gap),
        (run_wording.size(document), "artifact", ""),
    ]
    return [Sentence(text=sentence, source=source, row=row) for sentence, source, row in parts if sentence]


def fp32_sibling(document: RunDocument, siblings: Sequence[RunDocument]) -> RunDocument | None:
    """Return the FP32 run of the same session and delegate, with the same shape, threads and method; None for an FP32
    run, or if there is no such run."""
    if document.precision == "fp32":
        return None
    return next(
        (
            one
            for one in siblings
            if one.session.id == document.session.id
            and one.precision == "fp32"
            and one.delegate == document.delegate
            and one.id != document.id
            and _conditions(one) == _conditions(document)
        ),
        None,
    )


def _conditions(document: RunDocument) -> tuple[object, ...]:
    """Return what two runs have in common that differ in their precision only."""
    shape = document.input_size, document.batch, document.sequence
    return *shape, document.threads, document.dynamic, document.method or DEFAULT_METHOD


def delegated(document: RunDocument) -> str:
    """Return the delegated share of the graph and of the time."""
    delegation = document.delegation
    if delegation is None or (share := node_share(delegation)) is None:
        return ""
    total = delegation.delegated_nodes + delegation.undelegated_nodes
    if document.delegate == "portable":
        nodes = text.counted(total, "node")
        return f"Nothing is delegated: all {nodes} run on ExecuTorch's portable kernels, which are not optimized."
    if not delegation.delegated_nodes:
        name = text.plain(document.delegate)
        return f"{name} accepted none of the {total:,} nodes: all of them run on ExecuTorch's own kernels."
    pieces = "one partition" if delegation.subgraphs == 1 else f"{delegation.subgraphs:,} partitions"
    spent = time_share(document)
    of_time = "" if spent is None or share == 1 else f", with {part(spent)} of the time"
    nodes = f"{delegation.delegated_nodes:,} of {total:,} nodes"
    return f"{part(share)} of the graph is delegated ({nodes}), in {pieces}{of_time}."


def part(share: float) -> str:
    """Format a share from 0 to 1 in percent, never rounded to 0 % or 100 % unless it is exactly that."""
    percent = 100 * share
    if 0 < percent < 1:
        return "under 1 %"
    if 99 < percent < 100:
        return f"{min(percent, 99.9):.1f} %"
    return f"{percent:.0f} %"


def _against_fp32(document: RunDocument, siblings: Sequence[RunDocument]) -> list[tuple[str, Source, str]]:
    base = fp32_sibling(document, siblings)
    if base is None or document.latency_ms is None:
        return []
    # A late import: NumPy and SciPy would delay the display of every run without a sibling.
    from etui.analysis.comparison import compare

    comparison = compare(base, [document])[0]
    sentence = _compared(comparison, _label(document))
    return [(sentence, "comparison", base.id)] if sentence else []


def _compared(comparison: RunComparison, name: str) -> str:
    """Return the sentence about a paired comparison; empty for one that is refused or not paired."""
    if comparison.verdict is None or comparison.ratio is None or comparison.kind != "paired":
        return ""
    behind = f"95 % interval {text.ratio_interval(comparison.ci95)}" if comparison.ci95 else "no interval"
    pairs = f"{behind}, {comparison.base_blocks} paired blocks"
    if comparison.verdict == "unreliable":
        return f"The speed of {name} against FP32 is unreliable: {'; '.join(comparison.limits)}."
    if comparison.verdict == "faster":
        return f"{name} is {text.as_fast(comparison.ratio)} as FP32 ({pairs})."
    if comparison.verdict == "slower":
        slower = (1 / comparison.ci95[1], 1 / comparison.ci95[0]) if comparison.ci95 else None
        behind = f"95 % interval {text.interval(slower)}" if slower else "no interval"
        times = text.number(1 / comparison.ratio)
        return f"{name} takes {times}x as long as FP32 ({behind}, {comparison.base_blocks} paired blocks)."
    if comparison.verdict == "equivalent":
        return f"{name} is as fast as FP32, within {100 * comparison.margin:g} % ({pairs})."
    return f"Whether {name} is faster than FP32 is inconclusive: {text.ratio(comparison.ratio)} ({pairs})."


def _time(document: RunDocument) -> list[tuple[str, Source, str]]:
    """Return which kinds of operators take most of the time."""
    kinds = by_kind(document.profile.program) if document.profile is not None else []
    if not kinds:
        return []
    (first, most), *rest = kinds[:2]
    if most >= MOST_OF_THE_TIME or not rest:
        return [(f"{part(most)} of the time is {text.plain(first)}.", "operators", first)]
    second, next_most = rest[0]
    return [
        (
            f"{part(most)} of the time is {text.plain(first)}, {part(next_most)} {text.plain(second)}.",
            "operators",
            first,
        )
    ]


def _error(gap: NumericGap | None) -> list[tuple[str, Source, str]]:
    """Return the layer that contributes most of the error, or the first below the threshold if that is not known."""
    if gap is None or not gap.layers:
        return []
    known = [layer for layer in gap.layers if layer.contribution is not None]
    worst = max(known, key=lambda layer: layer.contribution or 0.0, default=None)
    if worst is not None and (share := worst.contribution or 0.0) >= MUCH_OF_THE_ERROR:
        amount = "most" if share > MOST_OF_THE_ERROR else "a large part"
        return [(f"{_layer(worst)} contributes {amount} of the error ({part(share)}).", "gap", worst.name)]
    if gap.first_past is not None and 0 <= gap.first_past < len(gap.layers):
        layer = gap.layers[gap.first_past]
        sqnr = f" ({text.number(layer.sqnr_db)} dB)" if layer.sqnr_db is not None else ""
        return [(f"The first layer below {gap.threshold_db:g} dB SQNR is {_layer(layer)}{sqnr}.", "gap", layer.name)]
    return [(f"Every layer is above {gap.threshold_db:g} dB SQNR against {text.plain(gap.against)}.", "gap", "")]


def _layer(layer: LayerGap) -> str:
    return text.plain(layer.origin.module or layer.name)


def _label(document: RunDocument) -> str:
    return text.plain(document.precision.upper())
