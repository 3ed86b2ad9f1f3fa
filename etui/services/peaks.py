"""Measure the peaks of this machine under the machine lock, and keep them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, Coroutine
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
from etui.services.one_job import JobStopped, JobTimedOut, run_job
from etui.store.kept_peaks import keep

LIMIT_S = 300.0
_STOP_S = 0.2

_LEAST_ARRAY_BYTES = 256_000_000
_CACHES = 4
"""An array is at least four times as large as the last-level cache, as STREAM requires."""


Progress = Callable[[str, float, float], None]
"""Called with what is done or waited for, and how much of it is done and of how much; of 0 if that is not known."""


class PeaksTimedOut(EtuiError):
    """Measuring the peaks took too long."""

    exit_status = EXIT_TIMED_OUT


def measure_peaks(
    threads: int | None = None,
    *,
    wait_quiet_min: float = 0.0,
    limit_s: float = LIMIT_S,
    progress: Progress = lambda text, done, of: None,
    stopped: Callable[[], bool] = lambda: False,
) -> MachinePeaks:
    """Measure the peaks with ``threads`` threads (None: as many as a run by default) and keep them.

    It waits for the machine lock and, up to ``wait_quiet_min`` minutes, for a quiet machine. The work is done in a
    separate process, which ends with this function, and soon after ``stopped`` returns True.

    Raises:
        JobStopped: ``stopped`` returned True.
        WaitedTooLong: the machine was not free.
        PeaksTimedOut: measuring took longer than ``limit_s`` seconds.
        EtuiError: nothing can be measured; the message says why.
    """
    count = threads or usable_cores()
    return asyncio.run(_until_stopped(_measure(count, 60 * wait_quiet_min, limit_s, progress), stopped))


async def _until_stopped(work: Coroutine[None, None, MachinePeaks], stopped: Callable[[], bool]) -> MachinePeaks:
    task = asyncio.create_task(work)
    while not task.done():
        await asyncio.wait({task}, timeout=_STOP_S)
        if stopped() and task.cancel():
            await asyncio.wait({task})
            raise JobStopped("measuring the peaks was stopped")
    return task.result()


async def _measure(threads: int, quiet_s: float, limit_s: float, progress: Progress) -> MachinePeaks:
    cpus = measuring_cpus(threads)
    stopped = threading.Event()
    job = PeaksJob(threads=threads, cpus=cpus, array_bytes=_array_bytes(cpus))

    def log(event: Event) -> None:
        progress(f"{event.message} ..", event.done or 0.0, event.total or 0.0)

    def say(text: str) -> None:
        progress(text, 0.0, 0.0)

    async with hold("etui peaks", say):
        quiet = await wait_until_quiet(quiet_s, say=lambda text: None, progress=progress, cpus=cpus)
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
