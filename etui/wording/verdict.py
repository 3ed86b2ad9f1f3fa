"""The verdict on a run in a few sentences, each with the place it comes from, so that it can be looked up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from etui import text
from etui.analysis.delegation import node_share, time_share
from etui.analysis.profiles import by_kind
from etui.insight import LayerGap, NumericGap
from etui.results import RunDocument
from etui.wording import run as words

if TYPE_CHECKING:
    from etui.analysis.comparison import RunComparison

Source = Literal["log", "latency", "comparison", "delegation", "operators", "accuracy", "numbers", "artifact"]

MOST_OF_THE_TIME = 0.5
"""From this share on, one kind of work is said to be where the time goes; below it, the first two are."""

MOST_OF_THE_ERROR = 0.5
MUCH_OF_THE_ERROR = 0.25


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of a verdict. ``source`` is the section that has the facts, ``row`` what to look for there: an
    operator's kind, a layer, another run's id; empty for the whole section."""

    text: str
    source: Source
    row: str = ""


def verdict(document: RunDocument, siblings: Sequence[RunDocument] = ()) -> list[Sentence]:
    """What matters first: how it ended, how fast, where that comes from, how far its numbers moved and what of them.

    ``siblings`` are other runs of its session; of them the FP32 run of the same delegate is what a quantized or halved
    run is compared with, block by block.
    """
    said: list[tuple[str, Source, str]] = [
        (words.ending(document), "log", ""),
        (words.speed(document), "latency", ""),
        *_against_fp32(document, siblings),
        (delegated(document), "delegation", ""),
        *_time(document),
        (words.accuracy(document), "accuracy", ""),
        *_error(document.gap),
        (words.size(document), "artifact", ""),
    ]
    return [Sentence(text=words_, source=source, row=row) for words_, source, row in said if words_]


def fp32_sibling(document: RunDocument, siblings: Sequence[RunDocument]) -> RunDocument | None:
    """The FP32 run of the same session and delegate; None for an FP32 run, or where there is none."""
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
        ),
        None,
    )


def delegated(document: RunDocument) -> str:
    """How much of the graph and of the time the delegate has."""
    delegation = document.delegation
    if delegation is None or (share := node_share(delegation)) is None:
        return ""
    if document.delegate == "portable":
        return "Nothing is delegated: all of it runs on ExecuTorch's portable kernels, which are not made for speed."
    if not delegation.delegated_nodes:
        return f"{text.plain(document.delegate)} took nothing of the graph: all of it runs on ExecuTorch's own kernels."
    pieces = "one subgraph" if delegation.subgraphs == 1 else f"{delegation.subgraphs:,} subgraphs"
    spent = time_share(document)
    of_time = "" if spent is None or share == 1 else f", with {part(spent)} of the time"
    return f"{part(share)} of the graph is delegated, in {pieces}{of_time}."


def part(share: float) -> str:
    """A share in percent that is never rounded to all or to nothing."""
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
    # NumPy and SciPy take longer to import than a run without a sibling takes to show.
    from etui.analysis.comparison import compare

    found = compare(base, [document])[0]
    sentence = _compared(found, _label(document))
    return [(sentence, "comparison", base.id)] if sentence else []


def _compared(found: RunComparison, name: str) -> str:
    """Nothing where the comparison is refused, or was not made of pairs."""
    if found.verdict is None or found.ratio is None or found.kind != "paired":
        return ""
    behind = f"95 % interval {text.interval(found.ci95)}" if found.ci95 else "no interval"
    pairs = f"{behind}, {found.base_blocks} paired blocks"
    if found.verdict == "unreliable":
        return f"How fast {name} is against FP32 is unreliable: {'; '.join(found.limits)}."
    if found.verdict == "faster":
        return f"{name} is {text.number(found.ratio)}x as fast as FP32 ({pairs})."
    if found.verdict == "slower":
        slower = (1 / found.ci95[1], 1 / found.ci95[0]) if found.ci95 else None
        behind = f"95 % interval {text.interval(slower)}" if slower else "no interval"
        times = text.number(1 / found.ratio)
        return f"{name} takes {times}x as long as FP32 ({behind}, {found.base_blocks} paired blocks)."
    if found.verdict == "equivalent":
        return f"{name} is as fast as FP32, within {100 * found.margin:g} % ({pairs})."
    return f"Whether {name} is faster than FP32 is inconclusive: {text.number(found.ratio)}x ({pairs})."


def _time(document: RunDocument) -> list[tuple[str, Source, str]]:
    """Where the time goes, by kinds of work."""
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
    """Which layer adds the error, or the first that is past the threshold where contributions are not known."""
    if gap is None or not gap.layers:
        return []
    known = [layer for layer in gap.layers if layer.contribution is not None]
    worst = max(known, key=lambda layer: layer.contribution or 0.0, default=None)
    if worst is not None and (share := worst.contribution or 0.0) >= MUCH_OF_THE_ERROR:
        amount = "most" if share > MOST_OF_THE_ERROR else "much"
        return [(f"{_layer(worst)} adds {amount} of the error ({part(share)}).", "numbers", worst.name)]
    if gap.first_past is not None and 0 <= gap.first_past < len(gap.layers):
        layer = gap.layers[gap.first_past]
        found = f" ({text.number(layer.sqnr_db)} dB)" if layer.sqnr_db is not None else ""
        return [(f"The first layer below {gap.threshold_db:g} dB is {_layer(layer)}{found}.", "numbers", layer.name)]
    return [(f"Every layer stays above {gap.threshold_db:g} dB against {text.plain(gap.against)}.", "numbers", "")]


def _layer(layer: LayerGap) -> str:
    return text.plain(layer.origin.module or layer.name)


def _label(document: RunDocument) -> str:
    return text.plain(document.precision.upper())
