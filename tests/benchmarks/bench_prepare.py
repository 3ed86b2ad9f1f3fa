"""Preparing the four programs of one sweep in parallel, compared with one after the other."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tests.benchmarks.figures import Figure, ratio
from tests.machines import machine_in

SWEEP = ("resnet18", "--precision", "fp32,int8", "--delegate", "xnnpack,portable")


def figures(folder: Path) -> list[Figure]:
    """Measure seconds from the first stage of a program to the end of the last one, without the imports of the fork
    servers."""
    parallel: list[float] = []
    sequential: list[float] = []
    for number in range(2):
        for jobs, series in (("", parallel), ("1", sequential)):
            with machine_in(folder / f"{number}{jobs}") as machine:
                machine.folder.mkdir()
                machine.environment["ETUI_PREPARE_JOBS"] = jobs
                machine.etui("run", *SWEEP, "--export-only", "-o", machine.folder / "programs")
                series.append(_preparing_s([one["id"] for one in machine.summaries()], machine.database))
    return [ratio("preparing four programs", parallel, sequential, 0.65, "one after the other")]


def _preparing_s(run_ids: list[str], database: Path) -> float:
    from etui.store import Store

    with Store.open(database) as store:
        session = store.summary(run_ids[0]).session
        moments = [
            datetime.fromisoformat(event.at).timestamp()
            for event in store.events_after(session, 0)
            if event.run_id is not None and event.kind in ("stage", "log") and event.level != "debug"
        ]
    return max(moments) - min(moments)
