"""Run generated inputs through targets, and count refused, accepted and wrongly handled inputs."""

from __future__ import annotations

import contextlib
import random
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Literal, Protocol

Outcome = Literal["refused", "accepted"]
LIMIT_S = 30.0
"""Time limit of an input on the slowest machine that runs the tests; a target whose inputs have many steps has its own
``limit_s``."""


class Deviation(AssertionError):
    """A behaviour that etui does not allow; the message describes it."""


class TooSlow(Deviation):
    """An input took longer than the limit."""


class Target(Protocol):
    """A consumer of inputs. ``share`` is its part of all inputs, relative to the sum of all shares."""

    name: str
    share: float

    def opened(self, folder: Path) -> contextlib.AbstractContextManager[Callable[[random.Random], Outcome]]:
        """Yield a function that creates one input from a random number generator, tries it, and returns the outcome.

        Any exception it raises is a deviation. ``folder`` is empty and used by this target only.
        """


@dataclass
class Tally:
    """The outcomes of a target's inputs. ``deviations`` pairs a case with its traceback; ``slowest`` is also a case."""

    target: str
    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    deviations: list[tuple[str, str]] = field(default_factory=list)
    slowest: str = ""
    slowest_s: float = 0.0
    spent_s: float = 0.0


def case_name(target: str, seed: int, index: int) -> str:
    """Return the argument for ``--replay``."""
    return f"{target}:{seed}:{index}"


def distribute(targets: Sequence[Target], inputs: int) -> dict[str, int]:
    """Return the number of inputs of each target, at least one."""
    shares = sum(target.share for target in targets)
    return {target.name: max(1, round(inputs * target.share / shares)) for target in targets}


def run(target: Target, seed: int, indices: Sequence[int], until: float | None = None) -> Tally:
    """Try these inputs; stop early at ``until`` (``time.monotonic``)."""
    tally = Tally(target.name)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="etui-fuzz-") as folder, target.opened(Path(folder)) as check:
        for index in indices:
            started = time.monotonic()
            if until is not None and started > until:
                break
            case = case_name(target.name, seed, index)
            tally.inputs += 1
            try:
                with _limited(getattr(target, "limit_s", LIMIT_S)):
                    outcome = check(random.Random(case))
            except Exception as error:  # noqa: BLE001 - any exception is a result of the search
                tally.deviations.append((case, "".join(traceback.format_exception(error))))
            else:
                tally.refused += outcome == "refused"
                tally.accepted += outcome == "accepted"
            took = time.monotonic() - started
            if took > tally.slowest_s:
                tally.slowest_s, tally.slowest = took, case
    tally.spent_s = time.monotonic() - start
    return tally


def table(tallies: Sequence[Tally]) -> str:
    """Return the counts of all targets."""
    lines = [f"{'target':<12}{'inputs':>9}{'refused':>9}{'accepted':>9}{'deviations':>11}{'seconds':>9}  slowest"]
    lines += [
        f"{one.target:<12}{one.inputs:>9,}{one.refused:>9,}{one.accepted:>9,}{len(one.deviations):>11,}"
        f"{one.spent_s:>9.0f}  {one.slowest_s:.2f} s ({one.slowest})"
        for one in tallies
    ]
    total = [sum(getattr(one, name) for one in tallies) for name in ("inputs", "refused", "accepted")]
    deviations = sum(len(one.deviations) for one in tallies)
    spent = sum(one.spent_s for one in tallies)
    lines.append(f"{'all':<12}{total[0]:>9,}{total[1]:>9,}{total[2]:>9,}{deviations:>11,}{spent:>9.0f}")
    return "\n".join(lines)


@contextlib.contextmanager
def _limited(limit_s: float) -> Iterator[None]:
    """Raise TooSlow if the block takes longer."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow(f"it took longer than {limit_s:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
