"""A trend in words: where the latency stands, what changed it and since when, the numbers, and what is not in it."""

from __future__ import annotations

from collections.abc import Sequence

from etui import text
from etui.analysis.relative_change import change, change_interval
from etui.analysis.trends import FEWEST, Change, MaeChange, SoftwareChange, Trend
from etui.history import Point
from etui.text import signed

_MOST_MAE_CHANGES = 3
_MOST_NAMED = 4
_NAMED = ("executorch", "torch", "etui")


def name(trend: Trend) -> str:
    """The choice: model, precision and delegate."""
    choice = trend.history.choice
    return text.shortened(f"{choice.model} {choice.precision}/{choice.delegate}", text.LINE_CELLS)


def circumstances(trend: Trend) -> str:
    """What else all the runs have in common."""
    choice = trend.history.choice
    parts = [
        f"weights: {choice.weights}",
        f"inputs: {choice.inputs}",
        f"threads: {choice.threads}",
        f"box: {choice.box}",
    ]
    return text.plain(", ".join(parts))


def sentences(trend: Trend) -> list[str]:
    """What the history says, what matters first."""
    said = [*_latency(trend), *_mae(trend), _failures(trend), *_scope(trend)]
    return [text.plain(one) for one in said if one]


def since(trend: Trend, at: int, software: Sequence[SoftwareChange]) -> str:
    """When a change came, and with what: ``executorch 1.5.1 (2026-11-20 10:00)``."""
    when = text.local_time(trend.history.points[at].at)
    if not software:
        return f"{when}, when none of the versions changed that are kept"
    return f"{versions(software)} ({when})"


def versions(software: Sequence[SoftwareChange]) -> str:
    """Versions as they are now: the engine's own by name, others only where those did not change."""
    own = [one for one in software if one.name in _NAMED]
    named = own or list(software)[:3]
    words = [f"{one.name} {one.now}" if one.now is not None else f"{one.name} was removed" for one in named]
    more = len(software) - len(named)
    if more:
        words.append(f"{more} other {'package' if more == 1 else 'packages'}")
    return text.plain(" and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words))


def changed(one: Change) -> str:
    """By how much: ``slower by 6.1 %``."""
    return changed_by(one.ratio)


def changed_by(ratio: float) -> str:
    """The same of a ratio of the latency before over that after."""
    percent = change(ratio)
    return f"{'slower' if percent > 0 else 'faster'} by {abs(percent):.1f} %"


def _latency(trend: Trend) -> list[str]:
    points = trend.history.points
    if not trend.measured:
        if trend.disturbed:
            return ["Every run of this configuration was measured on a loaded machine, so nothing can be concluded."]
        return ["No run of this choice has a latency yet." if points else "No run of this choice has ended yet."]
    newest = points[trend.measured[-1]]
    interval = f" (95 % interval {text.interval(newest.interval_ms)})" if newest.interval_ms else ""
    said = []
    for one in reversed(trend.changes):
        bounds = change_interval(one.ci95) if one.ci95 else None
        shown = f" (95 % interval {signed(bounds[0])} to {signed(bounds[1])})" if bounds else ""
        medians = f"{text.number(one.after_ms)} ms against {text.number(one.before_ms)} ms before"
        words = changed(one)
        if one.is_of_machine and one.control_ratio is not None:
            said.append(
                f"Inconclusive: {words}{shown} since {since(trend, one.at, one.software)}, but eager of those sessions "
                f"is {changed_by(one.control_ratio)} as well, so the machine changed: {medians}. "
                "etui duel compares two runs side by side."
            )
            continue
        said.append(f"{words[0].upper()}{words[1:]}{shown} since {since(trend, one.at, one.software)}: {medians}.")
    count = len(trend.measured)
    level = f"{name(trend)} takes {text.number(newest.median_ms)} ms in its newest run{interval}."
    if said:
        return [*said, level]
    return [_no_change(trend, count), level]


def _no_change(trend: Trend, count: int) -> str:
    medians = [trend.history.points[place].median_ms or 0.0 for place in trend.measured]
    scatter = f"{text.number(min(medians))} to {text.number(max(medians))} ms"
    if count == 1:
        return f"One run makes no trend: a change can be told from chance from {FEWEST} runs on."
    if count < FEWEST:
        return (
            f"{count} runs ({scatter}) are too few to tell a change from chance: that takes {FEWEST}. "
            "etui compare says whether two of them differ."
        )
    return f"No change of latency stands out from the scatter of the {count} runs ({scatter})."


def _mae(trend: Trend) -> list[str]:
    known = [point.mae for point in trend.history.points if point.mae is not None and point.status == "done"]
    if not known:
        return []
    if not trend.mae_changes:
        return [f"The MAE stays at {text.number(known[-1])}."] if len(known) > 1 else []
    newest = trend.mae_changes[-_MOST_MAE_CHANGES:]
    said = [_moved(trend, one) for one in reversed(newest)]
    more = len(trend.mae_changes) - len(newest)
    return [*said, f"Before that the MAE moved {more} {'time' if more == 1 else 'times'} more."] if more else said


def _moved(trend: Trend, one: MaeChange) -> str:
    way = "rose" if one.after > one.before else "fell"
    figures = f"from {text.number(one.before)} to {text.number(one.after)}"
    return f"The MAE {way} {figures} with {since(trend, one.at, one.software)}."


def _failures(trend: Trend) -> str:
    points = trend.history.points
    failed = [point for point in points if point.status != "done"]
    if not failed:
        return ""
    last = failed[-1]
    reason = f": {last.error}" if last.error else ""
    if len(failed) == 1:
        count = f"One of the {len(points)} runs" if len(points) > 1 else "The only run"
        return f"{count} was {last.status} on {text.local_time(last.at)}{reason}.".replace("was failed", "failed")
    when = f"the latest ({last.status}) on {text.local_time(last.at)}{reason}"
    return f"{len(failed)} of the {len(points)} runs did not end well, {when}."


def _scope(trend: Trend) -> list[str]:
    history = trend.history
    said = []
    if trend.disturbed:
        named = ", ".join(history.points[place].run[:6] for place in trend.disturbed[-_MOST_NAMED:])
        more = f" and {len(trend.disturbed) - _MOST_NAMED} more" if len(trend.disturbed) > _MOST_NAMED else ""
        said.append(f"Not counted, because something disturbed a third or more of their blocks: {named}{more}.")
    if len(history.points) < history.total:
        said.append(f"Shown are the newest {len(history.points):,} of {history.total:,} runs of this choice.")
    if history.left_out:
        total = sum(history.left_out.values())
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in history.left_out.items())
        runs = "1 run" if total == 1 else f"{total:,} runs"
        said.append(f"Left out: {runs} of {name(trend)} measured otherwise, by what differs: {reasons}.")
    return said


def flags(point: Point) -> str:
    """The names of a run's flags in one text."""
    return text.plain(", ".join(point.flags))
