"""The CPU share of the terminal UI during a measurement, and while its log fills fast."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from etui.store import Store
from tests.benchmarks.bench_tui import Screen, terminal
from tests.benchmarks.figures import Figure
from tests.machines import ETUI, machine_in

WRITER = Path(__file__).with_name("log_writer.py")
MEASURED_S = 20.0
LINES_PER_SECOND = 200


def figures(folder: Path) -> list[Figure]:
    """Measure the whole process in a terminal of 120 by 40: during a real run, then with a writer of log lines."""
    return [_during_a_run(folder / "run"), *(_under_lines(folder / stage, stage) for stage in ("lower", "measure"))]


def _during_a_run(folder: Path) -> Figure:
    folder.mkdir()
    with machine_in(folder) as machine:
        run_id = machine.detach("resnet18", "--precision", "fp32", "--delegate", "xnnpack")[0]
        with terminal([str(ETUI)], folder) as screen, Store.open(machine.database) as store:
            screen.wait(rb"Runs 1")
            session = store.summary(run_id).session

            def measures() -> bool:
                events = store.events_after(session, 0)
                stages = [event.stage for event in events if event.kind == "stage"]
                return bool(stages) and stages[-1] == "measure"

            while not measures():
                screen.rest(0.2)
            share, seconds = _share(screen, measures)
    return Figure(
        "tui: of a core while a run is measured",
        share,
        1.0,
        "%",
        f"resnet18 fp32 xnnpack, preset default, {seconds:.0f} s",
    )


def _under_lines(folder: Path, stage: str) -> Figure:
    folder.mkdir()
    command = [sys.executable, str(WRITER), str(folder / "etui.db"), stage, str(LINES_PER_SECOND)]
    # The app recognizes a runner by this name in its command line.
    with subprocess.Popen([*command, "etui.runner"]) as writer:
        try:
            while not (folder / "ready").exists():
                time.sleep(0.05)
            with terminal([str(ETUI)], folder) as screen:
                screen.wait(rb"line \d+")
                screen.rest(3.0)
                share, seconds = _share(screen, lambda: True)
        finally:
            writer.terminate()
    return Figure(
        f"tui: of a core with {LINES_PER_SECOND} lines per second, {stage}",
        share,
        10.0,
        "%",
        f"{seconds:.0f} s of a writer",
    )


def _share(screen: Screen, continues: Callable[[], bool]) -> tuple[float, float]:
    """Return the percentage of a core that the app used, and the seconds measured."""
    began, spent = time.perf_counter(), screen.cpu_s()
    while time.perf_counter() - began < MEASURED_S and continues():
        screen.rest(1.0)
    seconds = time.perf_counter() - began
    return (screen.cpu_s() - spent) / seconds * 100, seconds
