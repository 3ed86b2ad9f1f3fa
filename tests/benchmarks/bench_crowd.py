"""Many front ends during a measurement, which must not change it, and many runs in a row, which must not fill
memory."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from etui.store.transfer import encode_document
from tests.benchmarks.bench_sessions import MODEL
from tests.benchmarks.bench_tui import terminal
from tests.benchmarks.figures import Figure
from tests.benchmarks.many_runs import fill
from tests.documents import make_document
from tests.machines import ETUI, Machine, machine_in, until

FRONT_ENDS = 50
PAIRS = 6
SWEPT = 200
SETTLED = 20
"""Number of runs after which a process has imported and cached everything it uses."""
QUICKLY = ("--preset", "quick", "--repeat", "30", "--warmup", "3")


def figures(folder: Path) -> list[Figure]:
    """Use a database of 1,000 runs, like that of a user who measures every day."""
    (folder / "small.py").write_text(MODEL)
    fill(folder / "etui.db", 1_000)
    with machine_in(folder) as machine:
        reference = f"{folder / 'small.py'}:net"
        machine.etui("run", reference, *QUICKLY)
        return [*_with_front_ends(machine, reference), *_swept(machine, reference)]


def _with_front_ends(machine: Machine, reference: str) -> list[Figure]:
    """Measure alone and with front ends that follow the run, in turn; then once during a burst of commands."""
    alone, observed, errors = [], [], ""
    for _ in range(PAIRS):
        alone.append(_median_ms(machine, _begun(machine, reference)))
        run = _begun(machine, reference)
        with _front_ends(machine, [["log", "-f", run]] * FRONT_ENDS) as followers:
            observed.append(_median_ms(machine, run))
            errors += _ended(followers)
    commands = []
    for number in range(FRONT_ENDS):
        new = f"{number:012x}"
        if number % 5 == 0:
            document = machine.folder / f"{new}.json"
            document.write_bytes(encode_document(make_document(new, session_id=new)))
            commands.append(["import", str(document)])
        else:
            commands.append([["runs"], ["show", run], ["runs", "--json"], ["log", run]][number % 4])
    during_burst = _begun(machine, reference)
    machine.wait_for_status(during_burst, "measuring")
    with _front_ends(machine, commands) as burst:
        errors += _ended(burst)
    status = machine.wait_for_status(during_burst, "done", "failed")
    ratios = [two / one for one, two in zip(alone, observed, strict=True)]
    moved = 100 * abs(statistics.median(ratios) - 1)
    shown = (
        f"median {statistics.median(alone):.3f} ms alone, {statistics.median(observed):.3f} ms with front ends; ratios"
        f" {' '.join(f'{one:.3f}' for one in sorted(ratios))}"
    )
    return [
        Figure(f"crowd: {FRONT_ENDS} front ends move the median by", moved, 1.0, "%", shown),
        Figure("crowd: commands with a locked database", errors.count("locked"), 0, "", f"that run is {status}"),
    ]


def _begun(machine: Machine, reference: str) -> str:
    """Queue a run that waits for an idle machine before its first block, so that front ends can start before it."""
    return machine.detach(reference, "--wait-quiet", "3")[0]


def _median_ms(machine: Machine, run: str) -> float:
    assert machine.wait_for_status(run, "done", "failed", "cancelled", "timed out", "interrupted") == "done"
    latency = machine.document(run).latency_ms
    assert latency is not None and latency.median is not None
    return latency.median


@contextmanager
def _front_ends(machine: Machine, commands: Sequence[Sequence[str]]) -> Iterator[list[subprocess.Popen[str]]]:
    started = [
        subprocess.Popen(
            [str(ETUI), *arguments],
            env=machine.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for arguments in commands
    ]
    try:
        yield started
    finally:
        for one in started:
            one.kill()
            one.wait()


def _ended(commands: Sequence[subprocess.Popen[str]]) -> str:
    """Return the stderr of all commands once they have ended."""
    return "".join(command.communicate(timeout=300)[1] for command in commands)


def _swept(machine: Machine, reference: str) -> list[Figure]:
    """Queue sessions of two runs each, followed by a command and by the screen."""
    queued: list[str] = []
    for _ in range(SWEPT // 2):
        queued += machine.detach(reference, "-d", "xnnpack,portable", *QUICKLY, "--wait-quiet", "0")
    memory: dict[str, list[float]] = {"runner": [], "etui log -f": [], "tui": []}
    with (
        _front_ends(machine, [["log", "-f", queued[-1]]]) as (follower,),
        terminal([str(ETUI)], machine.folder) as screen,
    ):
        screen.wait(rb"Runs [\d,]{3,}")
        for place in range(SETTLED, SWEPT + 1, SETTLED):
            # Not the last session, with which the command ends.
            run = queued[min(place, SWEPT - 2) - 1]

            def is_reached(run: str = run) -> bool:
                screen.rest(0.5)
                return machine.status(run) not in ("queued", "preparing", "measuring")

            until(is_reached)
            memory["runner"].append(_rss_mb(machine.runner().pid))
            memory["etui log -f"].append(_rss_mb(follower.pid))
            memory["tui"].append(screen.rss() / 1e6)
        begun = time.monotonic()
        while machine.status(queued[-1]) in ("queued", "preparing", "measuring") and time.monotonic() - begun < 120:
            screen.rest(0.5)
    failed = sum(machine.status(run) != "done" for run in queued)
    return [
        Figure(
            f"crowd: memory of {name} over {SWEPT} runs", values[-1] / values[0], 1.1,
            detail=f"{values[0]:.0f} MB after {SETTLED} runs, {values[-1]:.0f} MB at the end; {failed} runs not done",
        )
        for name, values in memory.items()
    ]  # fmt: skip


def _rss_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 1e6
