"""A comparison in words: the answer first, then what would settle it or why there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from etui import text
from etui.analysis.comparison import RunComparison
from etui.analysis.relative_change import change, change_interval
from etui.results import Interval, RunDocument
from etui.text import signed

NEAR = 1.5
"""Up to this ratio a difference is said in percent, beyond it in times."""


def names(documents: Sequence[RunDocument]) -> dict[str, str]:
    """A short name for each run by its id: precision and delegate, the model where several are compared, and the
    beginning of the id where that is not enough to tell them apart."""
    several = len({document.model.name for document in documents}) > 1
    plain = {
        document.id: text.shortened(
            f"{document.model.name} {document.precision}/{document.delegate}"
            if several
            else f"{document.precision}/{document.delegate}",
            text.LINE_CELLS,
        )
        for document in documents
    }
    taken = Counter(plain.values())
    length = next(
        (length for length in range(6, 12) if len({key[:length] for key in plain}) == len(plain)), None
    )  # ids that differ later still are told apart by the whole of them
    return {key: f"{name} {key[:length]}" if taken[name] > 1 else name for key, name in plain.items()}


def sentences(found: RunComparison, named: dict[str, str]) -> list[str]:
    """One or two sentences on speed, then what must be known with them; ``named`` holds a name for each id."""
    base, other = named[found.base], named[found.other]
    if found.verdict is None:
        said = [_refusal(found, base, other)]
    else:
        said = [_answer(found, base, other)]
        if found.forced:
            said.append(f"It was compared all the same, though {_reasons(found)}.")
        if found.limits:
            said.append(f"The verdict is {found.verdict} because {'; '.join(found.limits)}.")
        if found.kind == "historical":
            said += _across_sessions(found)
        elif found.verdict == "inconclusive":
            said.append(_settling(found))
    return [*said, *found.cautions]


def accuracy(base: RunDocument, other: RunDocument, named: dict[str, str]) -> str:
    """Whether the other's numbers are closer to the reference or further off; nothing where neither was measured."""
    one, two = named[base.id], named[other.id]
    if base.accuracy is None and other.accuracy is None:
        return ""
    if base.accuracy is None or other.accuracy is None:
        known, unknown = (two, one) if base.accuracy is None else (one, two)
        return f"Of their numbers only those of {known} are known; the accuracy of {unknown} was not measured."
    before, now = base.accuracy.end_to_end.overall, other.accuracy.end_to_end.overall
    verdicts = (
        f" ({base.accuracy.verdict} and {other.accuracy.verdict})"
        if base.accuracy.verdict != other.accuracy.verdict
        else f" (both {other.accuracy.verdict})"
    )
    if base.model.identity != other.model.identity:
        return f"Their numbers belong to different models and are not compared{verdicts}."
    for what in ("weights", "inputs"):
        hashes = {getattr(getattr(run, what), "sha256", None) for run in (base, other)}
        if len(hashes - {None}) > 1:
            return f"Their numbers belong to different {what} and are not compared{verdicts}."
    if before.exact and now.exact:
        return f"Both give exactly the reference's numbers{verdicts}."
    if before.mae is None or now.mae is None:
        return f"How far the numbers of either moved is not known{verdicts}."
    if before.mae == now.mae:
        return f"Their numbers are equally far from the reference{verdicts}."
    way = "closer to" if now.mae < before.mae else "further from"
    figures = f"MAE {text.number(now.mae)} against {text.number(before.mae)}"
    return f"The numbers of {two} are {way} the reference: {figures}{verdicts}."


def _answer(found: RunComparison, base: str, other: str) -> str:
    assert found.ratio is not None
    medians = ""
    if found.base_median_ms is not None and found.other_median_ms is not None:
        medians = f": {text.number(found.other_median_ms)} ms against {text.number(found.base_median_ms)} ms"
    size, than, bounds = _size(found.ratio, found.ci95)
    shown = f" (95 % interval {bounds} over {_behind(found)})" if bounds else f" (over {_behind(found)})"
    if found.verdict in ("faster", "slower"):
        return f"{other} {size} {than} {base}{shown}{medians}."
    if found.verdict == "equivalent":
        within = f"within {found.margin * 100:g} %"
        return f"{other} is as fast as {base}, {within}{shown}{medians}."
    if found.verdict == "unreliable":
        return f"Whether {other} is faster than {base} is unreliable: as measured it {size} {than} it{shown}{medians}."
    return f"Whether {other} is faster than {base} is open: as far as was measured it {size}{shown}{medians}."


def _size(ratio: float, bounds: Interval | None) -> tuple[str, str, str]:
    """What a ratio says of the other run, the word before the base's name, and the interval in the same terms."""
    if 1 / NEAR < ratio < NEAR:
        percent = change(ratio)
        size, than = f"takes {abs(percent):.1f} % {'longer' if percent > 0 else 'less time'}", "than"
        if abs(percent) < 0.05:
            size, than = "is level", "with"
        if bounds is None:
            return size, than, ""
        low, high = change_interval(bounds)
        return size, than, f"{signed(low)} to {signed(high)}"
    if ratio >= 1:
        return f"is {text.number(ratio)} times as fast", "as", text.interval(bounds) if bounds else ""
    turned = (1 / bounds[1], 1 / bounds[0]) if bounds else None
    return f"takes {text.number(1 / ratio)} times as long", "as", text.interval(turned) if turned else ""


def _behind(found: RunComparison) -> str:
    if found.kind == "paired":
        return "1 pair of blocks" if found.base_blocks == 1 else f"{found.base_blocks} pairs of blocks"
    return f"{found.other_blocks} blocks against {found.base_blocks}"


def _across_sessions(found: RunComparison) -> list[str]:
    """What two sessions add to the doubt, what their controls say, and how to settle it."""
    said = []
    if found.session_sd is not None:
        known = f"estimated from {found.sessions} sessions" if found.sessions else "assumed, as none was repeated yet"
        said.append(
            "They are runs of different sessions; the interval includes that the level of this machine varies by "
            f"{text.number(100 * found.session_sd, 2)} % from session to session ({known})."
        )
    if found.relative_ratio is not None:
        bounds = f" ({text.interval(found.relative_ci95)})" if found.relative_ci95 else ""
        said.append(f"Relative to eager of its own session the ratio is {text.ratio(found.relative_ratio)}{bounds}.")
    if found.verdict in ("inconclusive", "unreliable"):
        said.append(f"`etui duel {found.base[:6]} {found.other[:6]}` measures both side by side and settles it.")
    return said


def _settling(found: RunComparison) -> str:
    if found.ci95 is None:
        return "One block has no interval; measure with more."
    if found.more_blocks is None:
        return f"It lies so near the margin of {found.margin * 100:g} % that no number of blocks would settle it."
    return f"About {found.more_blocks} more {'block' if found.more_blocks == 1 else 'blocks'} would settle it."


def _refusal(found: RunComparison, base: str, other: str) -> str:
    said = f"Whether {other} is faster than {base} cannot be said, because {_reasons(found)}."
    names_of = {one.name for one in found.reasons}
    if "one run" in names_of:
        return f"{said} What it is against eager can still be read."
    if "samples" in names_of:
        if found.ratio is not None:
            return f"{said} Its medians alone make it {text.ratio(found.ratio)}, of which nothing is known."
        return f"{said} What else is known of them stands side by side."
    still = "Size, memory and delegation" if names_of & {"model", "weights", "inputs"} else "Accuracy, size and memory"
    return f"{said} {still} can still be set side by side; --force compares all the same."


def _reasons(found: RunComparison) -> str:
    return "; ".join(one.detail for one in found.reasons)
