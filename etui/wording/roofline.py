"""The roofline of a run as labels and texts, and as cells of a table of modules; the same for every front end."""

from __future__ import annotations

from collections.abc import Iterator

from etui import text
from etui.analysis.roofline import Roofline, RooflinePoint
from etui.machine_peaks import TITLES
from etui.wording import peaks as peak_wording
from etui.wording.run_sections import Entry

_NOT_ATTRIBUTED = "not attributed"


def unit(roofline: Roofline) -> str:
    """Return the unit of rates: of operations if some are on integers, else of floating-point operations."""
    return "GOP/s" if any("int8" in point.arithmetic for point in roofline.points) else "GFLOP/s"


def intensity_unit(roofline: Roofline) -> str:
    """Return the unit of the arithmetic intensity."""
    return "OP/byte" if unit(roofline) == "GOP/s" else "FLOP/byte"


def headings(roofline: Roofline) -> list[str]:
    """Return the headings of ``cells``."""
    return ["time ms", "share", unit(roofline), "GB/s", intensity_unit(roofline), "limited by", "limit", "of limit"]


def cells(roofline: Roofline, point: RooflinePoint) -> list[str]:
    """Return the texts of a module below ``headings``."""
    return [
        time(point),
        share(roofline, point),
        rate(point),
        bandwidth(point),
        intensity(point),
        bound(point),
        limit(point),
        of_limit(point),
    ]


def time(point: RooflinePoint) -> str:
    """Return the milliseconds per inference."""
    return text.number(point.time_ms) if point.time_ms is not None else text.MISSING


def share(roofline: Roofline, point: RooflinePoint) -> str:
    """Return the share of the time of all operators of the profile."""
    return text.percent(part, 1) if (part := share_of(roofline, point)) is not None else text.MISSING


def share_of(roofline: Roofline, point: RooflinePoint) -> float | None:
    """Return a module's part of the time of all operators of the profile; None if it has no operators."""
    if not point.path:
        return 1.0
    return point.time_ms / roofline.operators_ms if point.time_ms is not None and roofline.operators_ms else None


def rate(point: RooflinePoint) -> str:
    """Return the achieved operations per second in billions."""
    return text.number(point.gops_per_s) if point.gops_per_s is not None else text.MISSING


def bandwidth(point: RooflinePoint) -> str:
    """Return the least achieved GB/s."""
    return text.number(point.gbytes_per_s) if point.gbytes_per_s is not None else text.MISSING


def intensity(point: RooflinePoint) -> str:
    """Return the operations per byte."""
    return text.number(point.intensity) if point.intensity is not None else text.MISSING


def bound(point: RooflinePoint) -> str:
    """Return what limits a module, or why that is not known."""
    if point.attribution == "not attributed":
        return _NOT_ATTRIBUTED
    return point.bound or text.MISSING


def limit(point: RooflinePoint) -> str:
    """Return the operations per second that the measured peaks allow."""
    return text.number(point.limit_gops_per_s) if point.limit_gops_per_s is not None else text.MISSING


def of_limit(point: RooflinePoint) -> str:
    """Return the achieved part of the limit, marked if that was exceeded."""
    if point.of_limit is None:
        return text.MISSING
    return text.percent(point.of_limit) + (" !" if point.of_limit > 1 else "")


def entries(roofline: Roofline) -> list[Entry]:
    """Return what the model as a whole achieved, with which limits it is compared, and what is not known."""
    return list(_entries(roofline))


def _entries(roofline: Roofline) -> Iterator[Entry]:
    threads = f", {text.counted(roofline.threads, 'thread')}" if roofline.threads is not None else ""
    yield Entry(
        "roofline",
        f"{roofline.configuration}{threads}: {text.number(roofline.latency_ms)} ms ({roofline.run[:6]})",
    )
    if achieved := _achieved(roofline):
        yield Entry("achieved", achieved)
    if roofline.peaks is not None:
        yield Entry(
            "measured peaks",
            f"{peak_wording.short(roofline.peaks)}, on {text.local_time(roofline.peaks.measured_at)}",
        )
        if not roofline.peaks.calm:
            yield Entry("note", "other programs were busy while the peaks were measured: they may be higher", "warn")
    elif not roofline.on_cpu:
        yield Entry("measured peaks", "those of the CPU do not apply to this run, which was not executed by it")
    else:
        threads = f" with {text.counted(roofline.threads, 'thread')}" if roofline.threads is not None else ""
        command = f"etui peaks --threads {roofline.threads}" if roofline.threads is not None else "etui peaks"
        yield Entry("measured peaks", f"none of {roofline.host or 'its machine'}{threads}: `{command}` there", "warn")
    if not roofline.has_profile:
        yield Entry("modules", f"not timed: `etui profile {roofline.run[:6]}` measures the operators", "warn")
    elif (missing := sum(point.attribution == "not attributed" for point in roofline.points)) > 0:
        yield Entry("modules", f"{missing:,} not attributed: the profile does not time all their multiply-adds", "warn")
    if roofline.unattributed_share:
        part = text.percent(roofline.unattributed_share, 1)
        yield Entry("operators", f"{part} of their time is of no known module, and in no row but the first")
    for note in roofline.notes:
        yield Entry("note", note, "warn")
    if roofline.exceeds:
        yield Entry(
            "above the limit",
            "rows marked !: the data was in a cache, or the measured peak is too low",
            "warn",
        )


def _achieved(roofline: Roofline) -> str:
    whole = roofline.points[0]
    parts = [f"{rate(whole)} {unit(roofline)}"] if whole.gops_per_s is not None else []
    if whole.gbytes_per_s is not None:
        parts.append(f"at least {bandwidth(whole)} GB/s")
    if whole.of_limit is not None:
        parts.append(f"{of_limit(whole)} of the limit by {whole.bound}, {limit(whole)} {unit(roofline)}")
    return ", ".join(parts)


def explanation(roofline: Roofline) -> str:
    """Return what the columns mean."""
    kinds = ", ".join(TITLES[kind] for kind in sorted({kind for point in roofline.points for kind in point.arithmetic}))
    arithmetic = f" (here in {kinds})" if kinds else ""
    return (
        f"A multiply-add is two operations{arithmetic}; others are not counted. Bytes are the least traffic: inputs,"
        " outputs and the weights of multiply-adds, each once; GB/s is therefore a lower limit,"
        f" {intensity_unit(roofline)} an upper one. The limit is the measured peak, or what the measured bandwidth"
        " allows."
    )


def point_lines(roofline: Roofline, point: RooflinePoint) -> list[str]:
    """Return the figures of a module as lines below a table."""
    if point.attribution != "measured":
        reason = "its multiply-adds are not timed separately" if point.attribution == _NOT_ATTRIBUTED else ""
        return [f"{point.attribution}{f': {reason}' if reason else ': folded into others, or not executed'}"]
    parts = [f"{time(point)} ms"]
    parts += [f"{rate(point)} {unit(roofline)}"] if point.gops_per_s is not None else []
    parts += [f"{text.size(point.least_bytes)} at least"] if point.least_bytes is not None else []
    parts += [f"{intensity(point)} {intensity_unit(roofline)}"] if point.intensity is not None else []
    if point.bound is not None:
        parts.append(f"limited by {point.bound} to {limit(point)} {unit(roofline)}, {of_limit(point)} reached")
    return [", ".join(parts)]
