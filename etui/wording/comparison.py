"""Sentences about a comparison of two runs: the answer, then its limits and how to settle it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from etui import text
from etui.analysis.comparison import RunComparison
from etui.analysis.relative_change import change, change_interval
from etui.results import Interval, RunDocument
from etui.text import signed

NEAR = 1.5
"""Up to this ratio a difference is given in percent, beyond it as a factor."""


_OF_ACCURACY = frozenset({"model", "weights", "inputs", "input shapes", "input size", "batch", "sequence", "method"})
"""Conditions without which two accuracies are not comparable either."""


def names(documents: Sequence[RunDocument]) -> dict[str, str]:
    """Return a short name for each run by its id: precision and delegate, with the model if there are several, and with
    the beginning of the id if names would be equal."""
    several = len({document.model.name for document in documents}) > 1
    plain = {
        document.id: text.shortened(
            f"{document.model.name} {document.configuration}" if several else document.configuration,
            text.LINE_CELLS,
        )
        for document in documents
    }
    taken = Counter(plain.values())
    length = next(
        (length for length in range(6, 12) if len({key[:length] for key in plain}) == len(plain)), None
    )  # None shows whole ids, if even 11 characters do not distinguish them
    return {key: f"{name} {key[:length]}" if taken[name] > 1 else name for key, name in plain.items()}


def sentences(comparison: RunComparison, named: dict[str, str]) -> list[str]:
    """Return one or two sentences on speed, then the cautions; ``named`` maps each run's id to its name."""
    base, other = named[comparison.base], named[comparison.other]
    if comparison.verdict is None:
        lines = [_refusal(comparison, base, other)]
    else:
        lines = [_answer(comparison, base, other)]
        if comparison.forced:
            lines.append(f"The comparison was forced, although {_reasons(comparison)}.")
        if comparison.limits:
            lines.append(f"The verdict is {comparison.verdict} because {'; '.join(comparison.limits)}.")
        if comparison.kind == "historical":
            lines += _across_sessions(comparison)
        elif comparison.verdict == "inconclusive":
            lines.append(_settling(comparison))
    return [*lines, *comparison.cautions]


def needs_duel(comparison: RunComparison) -> bool:
    """Whether runs of different sessions have to be measured side by side for a verdict."""
    return comparison.kind == "historical" and comparison.verdict in ("inconclusive", "unreliable")


def can_be_forced(comparison: RunComparison) -> bool:
    """Whether the speed was not compared for a reason that can be overruled."""
    return comparison.verdict is None and not {one.name for one in comparison.reasons} & {"one run", "samples"}


def accuracy(base: RunDocument, other: RunDocument, named: dict[str, str]) -> str:
    """Return which of two runs is closer to the reference; empty if the accuracy of neither was measured."""
    one, two = named[base.id], named[other.id]
    if base.accuracy is None and other.accuracy is None:
        return ""
    if base.accuracy is None or other.accuracy is None:
        known, unknown = (two, one) if base.accuracy is None else (one, two)
        return f"The accuracy of {unknown} was not measured, only that of {known}."
    before, now = base.accuracy.end_to_end.overall, other.accuracy.end_to_end.overall
    verdicts = (
        f" ({base.accuracy.verdict} and {other.accuracy.verdict})"
        if base.accuracy.verdict != other.accuracy.verdict
        else f" (both {other.accuracy.verdict})"
    )
    if base.model.identity != other.model.identity:
        return f"Their accuracy is not compared, because the models differ{verdicts}."
    for what in ("weights", "inputs"):
        hashes = {getattr(getattr(run, what), "sha256", None) for run in (base, other)}
        if len(hashes - {None}) > 1:
            return f"Their accuracy is not compared, because the {what} differ{verdicts}."
    if before.exact and now.exact:
        return f"The outputs of both are identical to the reference{verdicts}."
    if before.mae is None or now.mae is None:
        return f"The error of at least one of them is not known{verdicts}."
    if before.mae == now.mae:
        return f"Their errors are equal: MAE {text.number(now.mae)}{verdicts}."
    way = "closer to" if now.mae < before.mae else "further from"
    figures = f"MAE {text.number(now.mae)} against {text.number(before.mae)}"
    return f"The outputs of {two} are {way} the reference: {figures}{verdicts}."


def _answer(comparison: RunComparison, base: str, other: str) -> str:
    assert comparison.ratio is not None
    medians = ""
    per_item = " per item" if comparison.items else ""
    if comparison.base_median_ms is not None and comparison.other_median_ms is not None:
        before, now = text.number(comparison.base_median_ms), text.number(comparison.other_median_ms)
        medians = f": {now} ms against {before} ms{per_item}"
    size, than, bounds = _size(comparison.ratio, comparison.ci95, per_item)
    shown = (
        f" (95 % interval {bounds} over {_blocks_text(comparison)})"
        if bounds
        else f" (over {_blocks_text(comparison)})"
    )
    if comparison.verdict in ("faster", "slower"):
        return f"{other} {size} {than} {base}{shown}{medians}."
    if comparison.verdict == "equivalent":
        within = f"within {comparison.margin * 100:g} %"
        return f"{other} is as fast{per_item} as {base}, {within}{shown}{medians}."
    whether = f"Whether {other} is faster{per_item} than {base}"
    if comparison.verdict == "unreliable":
        return f"{whether} is unreliable: measured, it {size} {than} it{shown}{medians}."
    return f"{whether} is inconclusive: measured, it {size}{shown}{medians}."


def _size(ratio: float, bounds: Interval | None, per_item: str) -> tuple[str, str, str]:
    """Return a ratio as a predicate, the word before the base's name, and the interval in the same terms. ``per_item``
    ends the predicate if the ratio is that of the latencies per item."""
    if 1 / NEAR < ratio < NEAR:
        percent = change(ratio)
        size, than = f"takes {abs(percent):.1f} % {'longer' if percent > 0 else 'less time'}{per_item}", "than"
        if abs(percent) < 0.05:
            size, than = f"is as fast{per_item}", "as"
        if bounds is None:
            return size, than, ""
        low, high = change_interval(bounds)
        return size, than, f"{signed(low)} to {signed(high)}"
    if ratio >= 1:
        return f"is {text.number(ratio)} times as fast{per_item}", "as", text.interval(bounds) if bounds else ""
    inverse = (1 / bounds[1], 1 / bounds[0]) if bounds else None
    return f"takes {text.number(1 / ratio)} times as long{per_item}", "as", text.interval(inverse) if inverse else ""


def _blocks_text(comparison: RunComparison) -> str:
    if comparison.kind == "paired":
        return "1 pair of blocks" if comparison.base_blocks == 1 else f"{comparison.base_blocks} pairs of blocks"
    return f"{comparison.other_blocks} blocks against {comparison.base_blocks}"


def _across_sessions(comparison: RunComparison) -> list[str]:
    """Return the between-session variance, the ratio relative to the controls, and how to settle the comparison."""
    lines = []
    if comparison.session_sd is not None:
        known = (
            f"estimated from {comparison.sessions} sessions"
            if comparison.sessions
            else "assumed; no session was repeated yet"
        )
        lines.append(
            "The runs are from different sessions; the interval includes the between-session variation of this "
            f"machine, {text.number(100 * comparison.session_sd, 2)} % ({known})."
        )
    if comparison.relative_ratio is not None:
        bounds = f" ({text.ratio_interval(comparison.relative_ci95)})" if comparison.relative_ci95 else ""
        lines.append(
            f"Relative to eager in its own session, the ratio is {text.ratio(comparison.relative_ratio)}{bounds}."
        )
    if needs_duel(comparison):
        lines.append("A duel of the two runs would measure both side by side.")
    return lines


def _settling(comparison: RunComparison) -> str:
    if comparison.ci95 is None:
        return "One block gives no confidence interval; measure more blocks."
    if comparison.more_blocks is None:
        return f"The ratio is too close to the margin of {comparison.margin * 100:g} % for more blocks to settle it."
    return (
        f"About {comparison.more_blocks} more {'block' if comparison.more_blocks == 1 else 'blocks'} would settle it."
    )


def _refusal(comparison: RunComparison, base: str, other: str) -> str:
    refusal = f"{other} cannot be compared with {base}, because {_reasons(comparison)}."
    names_of = {one.name for one in comparison.reasons}
    if "one run" in names_of:
        return f"{refusal} Its speed against eager is still valid."
    if "samples" in names_of:
        if comparison.ratio is not None:
            ratio = text.ratio(comparison.ratio)
            return f"{refusal} The ratio of the medians alone is {ratio}; its uncertainty is not known."
        return f"{refusal} Their other results are shown side by side."
    still = "Size, memory and delegation" if names_of & _OF_ACCURACY else "Accuracy, size and memory"
    return f"{refusal} {still} can still be compared; so can the speed if the comparison is forced."


def _reasons(comparison: RunComparison) -> str:
    return "; ".join(one.detail for one in comparison.reasons)
