"""Measure the peaks of this machine under the machine lock, and keep them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from etui.errors import EXIT_TIMED_OUT, EtuiError
from etui.events import Event, utc_now
from etui.host.caches import last_level_cache_bytes
from etui.host.cpus import measuring_cpus, usable_cores
from etui.host.environment import read_environment
from etui.jobs import PeaksJob
from etui.machine_peaks import MachinePeaks, MeasuredRates
from etui.results import QuietCheck
from etui.runner.machine_lock import hold
from etui.runner.wait_for_idle import wait_until_quiet
from etui.services.one_job import JobTimedOut, run_job
from etui.store.kept_peaks import keep

LIMIT_S = 300.0

_LEAST_ARRAY_BYTES = 256_000_000
_CACHES = 4
"""An array is at least four times as large as the last-level cache, as STREAM requires."""


class PeaksTimedOut(EtuiError):
    """Measuring the peaks took too long."""

    exit_status = EXIT_TIMED_OUT


def measure_peaks(
    threads: int | None = None,
    *,
    wait_quiet_min: float = 0.0,
    limit_s: float = LIMIT_S,
    begin: Callable[[str], None] = lambda text: None,
) -> MachinePeaks:
    """Measure the peaks with ``threads`` threads (None: as many as a run by default) and keep them.

    It waits for the machine lock and, up to ``wait_quiet_min`` minutes, for a quiet machine. ``begin`` is called with
    a line on what is done or waited for. The work is done in a separate process, which ends with this function.

    Raises:
        WaitedTooLong: the machine was not free.
        PeaksTimedOut: measuring took longer than ``limit_s`` seconds.
        EtuiError: nothing can be measured; the message says why.
    """
    count = threads or usable_cores()
    return asyncio.run(_measure(count, 60 * wait_quiet_min, limit_s, begin))


async def _measure(threads: int, quiet_s: float, limit_s: float, begin: Callable[[str], None]) -> MachinePeaks:
    cpus = measuring_cpus(threads)
    stopped = threading.Event()
    job = PeaksJob(threads=threads, cpus=cpus, array_bytes=_array_bytes(cpus))

    def log(event: Event) -> None:
        begin(f"{event.message} ..")

    async with hold("etui peaks", begin):
        quiet = await wait_until_quiet(quiet_s, say=begin, progress=lambda text, done, total: None, cpus=cpus)
        try:
            work = partial(run_job, job, limit_s=limit_s, log=log, stopped=stopped.is_set, nice=0)
            made = await asyncio.to_thread(work)
        except JobTimedOut as error:
            raise PeaksTimedOut(
                f"measuring the peaks took longer than {limit_s:g} s", "set a longer limit with --timeout"
            ) from error
        finally:
            stopped.set()
    peaks = _described(made, threads, cpus, quiet)
    if not peaks.rates:
        raise EtuiError(f"no peak can be measured: {next(iter(made.missing.values()), 'unknown cause')}", "etui doctor")
    keep(peaks)
    return peaks


def _described(made: MeasuredRates, threads: int, cpus: list[int], quiet: QuietCheck) -> MachinePeaks:
    environment = read_environment()
    return MachinePeaks(
        host=environment.box,
        cpu=environment.cpu,
        threads=threads,
        measured_at=utc_now(),
        rates=made.rates,
        missing=made.missing,
        cpus=cpus,
        versions={name: environment.versions[name] for name in ("torch", "executorch") if name in environment.versions},
        calm=quiet.calm,
        load=", ".join(quiet.by) if not quiet.calm else "",
    )


def _array_bytes(cpus: list[int], root: Path = Path("/")) -> int:
    """Return the size of an array larger than the caches; 0 if three of them do not fit into half of the free
    memory."""
    wanted = max(_LEAST_ARRAY_BYTES, _CACHES * (last_level_cache_bytes(cpus, root) or 0))
    with contextlib.suppress(OSError):
        match = re.search(r"^MemAvailable:\s*(\d+) kB", (root / "proc/meminfo").read_text(), re.MULTILINE)
        if match is not None and 6 * wanted > 1024 * int(match[1]):
            return 0
    return wanted
