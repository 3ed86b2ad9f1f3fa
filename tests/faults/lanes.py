"""Groups of rounds, one after the other, in a process of its own: what a lane does."""

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
    """Play these groups of rounds, add each result to the file as it comes, and print a line of it."""

    def tell(result: Result) -> None:
        append(log, result)
        told = "; ".join(f"{one.kind}: {one.seen}" for one in result.deviations) or ", ".join(result.states)
        with contextlib.suppress(BrokenPipeError):
            print(
                f"{result.seed}:{result.numbers[-1]} {result.fault} {result.target} {'hit' * result.hit}"
                f" {result.seconds:.1f} s: {result.skipped or told}",
                flush=True,
            )

    # So that what was started is ended, also if the harness is stopped where Ctrl-C is not heard.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    for group in groups:
        play_group(group, mounts=mounts, keep=log.parent / "kept", tell=tell)
