"""Whether the machine is busy before a measurement starts, so that a front end can ask what to do."""

from __future__ import annotations

import os

from etui.host.cpus import measuring_cpus, usable_cores
from etui.runner.wait_for_idle import FIRST_READING_S, READING_S, LoadReading, ReadLoad, read_machine_load
from etui.services.request import WAIT_QUIET_VARIABLE
from etui.store import Store

WAIT_UNTIL_CALM_MIN = 60.0
"""The longest wait in minutes if the user asks to wait until the machine is calm: longer than most builds and tests."""

MEASURE_ANYWAY_MIN = 0.0


def is_undecided(store: Store, wait_quiet_min: float | None) -> bool:
    """Whether to ask: neither the option ``wait_quiet_min`` nor the environment decides how long to wait, and etui
    itself does not measure or prepare, which would be what keeps the machine busy."""
    return wait_quiet_min is None and WAIT_QUIET_VARIABLE not in os.environ and not store.live_run_ids()


async def busy_with(threads: int | None = None, read_load: ReadLoad | None = None) -> LoadReading | None:
    """Return the load of the CPUs that a measurement with ``threads`` threads (None: one per core) would use, and the
    processes that cause it; None if the machine is calm. Takes 0.3 s, and another second if it seems busy."""
    cpus = measuring_cpus(threads or usable_cores())

    async def read_these(span_s: float) -> LoadReading:
        return await read_machine_load(span_s, cpus=cpus)

    read = read_load or read_these
    if (await read(FIRST_READING_S)).calm:
        return None
    # A burst that ends within a second would not disturb a measurement; preparing takes longer.
    reading = await read(READING_S)
    return None if reading.calm else reading
