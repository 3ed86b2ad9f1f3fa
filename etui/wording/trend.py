"""Sentences about the trend of a configuration: changes of latency and accuracy, their dates, and omitted runs."""

from __future__ import annotations

from collections.abc import Sequence

from etui import text
from etui.analysis.relative_change import change, change_interval
from etui.analysis.trends import FEWEST, LevelShift, MaeChange, SoftwareChange, Trend
from etui.history import Point
from etui.text import signed

_MOST_MAE_CHANGES = 3
_MOST_NAMED = 4
_NAMED = ("executorch", "torch", "etui")


def name(trend: Trend) -> str:
    """Return the configuration: model, precision and delegate, with the shape, threads and method if requested."""
    configuration = trend.history.configuration
    measured_as = configuration.variant or f"{configuration.precision}/{configuration.delegate}"
    return text.shortened(f"{configuration.model} {measured_as}", text.LINE_CELLS)


def circumstances(trend: Trend) -> str:
    """Return what else all runs of the trend have in common."""
    configuration = trend.history.configuration
    parts = [
        f"weights: {configuration.weights}",
        f"inputs: {configuration.inputs}",
        f"threads: {configuration.threads}",
        f"machine: {configuration.box}",
    ]
    return text.plain(", ".join(parts))


def sentences(trend: Trend) -> list[str]:
    """Return the sentences about a trend, the most important first."""
    lines = [*_latency(trend), *_mae(trend), *_task(trend), _failures(trend), *_scope(trend)]
    return [text.plain(one) for one in lines if one]


def since(trend: Trend, at: int, software: Sequence[SoftwareChange]) -> str:
    """Return when a change happened, and the software that changed: ``executorch 1.5.1 (2026-11-20 10:00)``."""
    when = text.local_time(trend.history.points[at].at)
    if not software:
        return f"{when}, with no change of a recorded version"
    return f"{versions(software)} ({when})"


def versions(software: Sequence[SoftwareChange]) -> str:
    """Return the new versions: etui, torch and executorch first, other packages only if those did not change."""
    own = [one for one in software if one.name in _NAMED]
    named = own or list(software)[:3]
    words = [f"{one.name} {one.now}" if one.now is not None else f"{one.name} was removed" for one in named]
    more = len(software) - len(named)
    if more:
        words.append(f"{more} other {'package' if more == 1 else 'packages'}")
    return text.plain(" and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words))


def changed(one: LevelShift) -> str:
    """Return the size of a change: ``slower by 6.1 %``."""
    return changed_by(one.ratio)


def changed_by(ratio: float) -> str:
    """Return the size of a change from the ratio of the latency before to the latency after."""
    percent = change(ratio)
    return f"{'slower' if percent > 0 else 'faster'} by {text.change_size(percent)}"


def _latency(trend: Trend) -> list[str]:
    points = trend.history.points
    if not trend.measured:
        if trend.disturbed:
            return ["Every run of this configuration was measured on a loaded machine, so nothing can be concluded."]
        return [
            "No run of this configuration has a latency yet."
            if points
            else "No run of this configuration has ended yet."
        ]
    newest = points[trend.measured[-1]]
    interval = f" (95 % interval {text.interval(newest.interval_ms)})" if newest.interval_ms else ""
    lines = []
    for one in reversed(trend.changes):
        bounds = change_interval(one.ci95) if one.ci95 else None
        shown = f" (95 % interval {signed(bounds[0])} to {signed(bounds[1])})" if bounds else ""
        medians = f"{text.number(one.after_ms)} ms against {text.number(one.before_ms)} ms before"
        words = changed(one)
        if one.is_of_machine and one.control_ratio is not None:
            lines.append(
                f"Inconclusive: {words}{shown} since {since(trend, one.at, one.software)}, but eager in those sessions "
                f"is also {changed_by(one.control_ratio)}, so the machine changed: {medians}. "
                "A duel measures two of these runs side by side."
            )
            continue
        lines.append(f"{words[0].upper()}{words[1:]}{shown} since {since(trend, one.at, one.software)}: {medians}.")
    count = len(trend.measured)
    level = f"{name(trend)} takes {text.number(newest.median_ms)} ms in the newest run{interval}."
    if lines:
        return [*lines, level]
    return [_no_change(trend, count), level]


def _no_change(trend: Trend, count: int) -> str:
    medians = [trend.history.points[place].median_ms or 0.0 for place in trend.measured]
    scatter = f"{text.number(min(medians))} to {text.number(max(medians))} ms"
    if count == 1:
        return f"One run is not a trend: at least {FEWEST} runs are needed to detect a change."
    if count < FEWEST:
        return (
            f"{count} runs ({scatter}) are too few to detect a change: at least {FEWEST} are needed. "
            "Compare two of them instead."
        )
    return f"No significant change of latency in {count} runs ({scatter})."


def _mae(trend: Trend) -> list[str]:
    known = [point.mae for point in trend.history.points if point.mae is not None and point.status == "done"]
    if not known:
        return []
    if not trend.mae_changes:
        return [f"The MAE is unchanged at {text.number(known[-1])}."] if len(known) > 1 else []
    newest = trend.mae_changes[-_MOST_MAE_CHANGES:]
    lines = [_mae_change(trend, one) for one in reversed(newest)]
    more = len(trend.mae_changes) - len(newest)
    return [*lines, f"Before that, the MAE changed {more} more {'time' if more == 1 else 'times'}."] if more else lines


def _mae_change(trend: Trend, one: MaeChange) -> str:
    way = "rose" if one.after > one.before else "fell"
    figures = f"from {text.number(one.before)} to {text.number(one.after)}"
    return f"The MAE {way} {figures} with {since(trend, one.at, one.software)}."


def _task(trend: Trend) -> list[str]:
    """Return the metric of the task in the newest run and in those before that were evaluated on the same images."""
    known = [point.task for point in trend.history.points if point.task is not None and point.status == "done"]
    if not known:
        return []
    newest = known[-1]
    same = [100 * one.program for one in known if (one.metric, one.images) == (newest.metric, newest.images)]
    now = f"{same[-1]:.1f}"
    if len(same) == 1:
        return [f"{newest.metric} is {now} % in the only run that was evaluated on these images."]
    if {f"{one:.1f}" for one in same} == {now}:
        return [f"{newest.metric} is {now} % in all {len(same)} runs that were evaluated on the same images."]
    before = same[:-1]
    scatter = f"{min(before):.1f} to {max(before):.1f} %" if len(before) > 1 else f"{before[0]:.1f} %"
    runs = text.counted(len(before), "earlier run")
    return [f"{newest.metric} is {now} % in the newest run, and {scatter} in {runs} on the same images."]


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
    return f"{len(failed)} of the {len(points)} runs were not successful, {when}."


def _scope(trend: Trend) -> list[str]:
    history = trend.history
    lines = []
    if trend.disturbed:
        named = ", ".join(history.points[place].run[:6] for place in trend.disturbed[-_MOST_NAMED:])
        more = f" and {len(trend.disturbed) - _MOST_NAMED} more" if len(trend.disturbed) > _MOST_NAMED else ""
        lines.append(f"Excluded, because a third or more of their blocks were disturbed: {named}{more}.")
    if len(history.points) < history.total:
        lines.append(f"Showing the newest {len(history.points):,} of {history.total:,} runs of this configuration.")
    if history.omitted:
        total = sum(history.omitted.values())
        reasons = ", ".join(f"{reason} ({count:,})" for reason, count in history.omitted.items())
        runs = "1 run" if total == 1 else f"{total:,} runs"
        lines.append(f"Omitted: {runs} of {name(trend)} measured in other circumstances, by difference: {reasons}.")
    return lines


def flags(point: Point) -> str:
    """Return the names of a run's warning flags, separated by commas."""
    return text.plain(", ".join(point.flags))
