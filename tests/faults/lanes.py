"""A lane: groups of rounds played one after the other in a separate process."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.faults.plan import Plan
from tests.faults.results import Result, append
from tests.faults.rounds import play_group


def play(groups: Sequence[Sequence[Plan]], mounts: bool, log: Path) -> None:
    """Play these groups of rounds, append each result to the file when it is available, and print a line for it."""

    def report(result: Result) -> None:
        append(log, result)
        outcome = "; ".join(f"{one.kind}: {one.seen}" for one in result.deviations) or ", ".join(result.states)
        with contextlib.suppress(BrokenPipeError):
            print(
                f"{result.seed}:{result.numbers[-1]} {result.fault} {result.target} {'hit' * result.hit}"
                f" {result.seconds:.1f} s: {result.skipped or outcome}",
                flush=True,
            )

    # So that started processes are stopped even if the harness is stopped with Ctrl-C ignored.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    for group in groups:
        play_group(group, mounts=mounts, keep=log.parent / "kept", report=report)
