"""The measured peaks of a machine as labels and texts, the same for every front end."""

from __future__ import annotations

from collections.abc import Iterator

from etui import text
from etui.machine_peaks import TITLES, MachinePeaks, Rate, RateKind
from etui.wording.run_sections import Entry, RunSection

KINDS: tuple[RateKind, ...] = ("fp32", "fp16", "int8", "memory")


def peak_entries(peaks: MachinePeaks) -> list[Entry]:
    """Return the best rate of each kind with the work that reached it, and what limits the values."""
    return list(_entries(peaks))


def _entries(peaks: MachinePeaks) -> Iterator[Entry]:
    for kind in KINDS:
        best = peaks.best(kind)
        if best is not None:
            others = [f"{rate.library} {amount(rate)}" for rate in _best_of_others(peaks, best)]
            other = f"; {', '.join(others)}" if others else ""
            yield Entry(TITLES[kind], f"{amount(best)} with {best.library} ({best.work}, {spread(best)}){other}")
        elif kind in peaks.missing:
            yield Entry(TITLES[kind], f"not measured: {peaks.missing[kind]}", "warn")
    if not peaks.calm:
        busy = f": {peaks.load}" if peaks.load else ""
        yield Entry("note", f"other programs were busy meanwhile, so the peaks may be higher{busy}", "warn")


def title(peaks: MachinePeaks) -> str:
    """Return machine, threads and date on one line."""
    threads = text.counted(peaks.threads, "thread")
    return f"peaks of {peaks.host} ({peaks.cpu}) with {threads}, measured {text.local_time(peaks.measured_at)}"


def section(peaks: MachinePeaks) -> RunSection:
    """Return the entries below the number of threads and the date."""
    threads = text.counted(peaks.threads, "thread")
    return RunSection(
        title=threads, remark=f"measured {text.local_time(peaks.measured_at)}", entries=peak_entries(peaks)
    )


def short(peaks: MachinePeaks) -> str:
    """Return the best rates of all kinds on one line."""
    best = [(kind, peaks.best(kind)) for kind in KINDS]
    return ", ".join(f"{TITLES[kind]} {amount(rate)}" for kind, rate in best if rate is not None)


def amount(rate: Rate) -> str:
    """Return a peak with its unit. Integer operations are not floating-point operations."""
    unit = {"memory": "GB/s", "int8": "GOP/s"}.get(rate.kind, "GFLOP/s")
    return f"{text.number(rate.peak)} {unit}"


def spread(rate: Rate) -> str:
    """Return what the peak is of the repetitions, with their median."""
    return f"upper quartile of {rate.repeats}, median {text.number(rate.median)}"


def _best_of_others(peaks: MachinePeaks, best: Rate) -> list[Rate]:
    """Return the best rate of the same kind of each other library."""
    found: dict[str, Rate] = {}
    for rate in sorted(peaks.rates, key=lambda rate: -rate.peak):
        if rate.kind == best.kind and rate.library != best.library:
            found.setdefault(rate.library, rate)
    return list(found.values())
