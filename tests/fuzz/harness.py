"""Run generated inputs through targets, and count what was refused, accepted, or handled otherwise than promised."""

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
"""No input may take longer, on the slowest machine that runs the tests."""


class Deviation(AssertionError):
    """Something other than what etui promises: the message says what."""


class TooSlow(Deviation):
    """An input took longer than ``LIMIT_S``."""


class Target(Protocol):
    """What inputs are tried on. ``share`` is its part of all inputs, before the sum of all shares is made one."""

    name: str
    share: float

    def opened(self, folder: Path) -> contextlib.AbstractContextManager[Callable[[random.Random], Outcome]]:
        """A function that makes one input from a generator of random numbers, tries it, and says what came of it.

        Any exception it raises is a deviation. ``folder`` is empty and the target's own.
        """


@dataclass
class Tally:
    """What came of a target's inputs. ``deviations`` pairs a case with its traceback; ``slowest`` is a case too."""

    target: str
    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    deviations: list[tuple[str, str]] = field(default_factory=list)
    slowest: str = ""
    slowest_s: float = 0.0
    spent_s: float = 0.0


def case_name(target: str, seed: int, index: int) -> str:
    """What ``--replay`` takes."""
    return f"{target}:{seed}:{index}"


def dealt(targets: Sequence[Target], inputs: int) -> dict[str, int]:
    """How many inputs each target gets of so many in all, at least one."""
    shares = sum(target.share for target in targets)
    return {target.name: max(1, round(inputs * target.share / shares)) for target in targets}


def run(target: Target, seed: int, indices: Sequence[int], until: float | None = None) -> Tally:
    """Try these inputs; ``until`` (``time.monotonic``) stops early."""
    tally = Tally(target.name)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="etui-fuzz-") as folder, target.opened(Path(folder)) as check:
        for index in indices:
            started = time.monotonic()
            if until is not None and started > until:
                break
            case = case_name(target.name, seed, index)
            tally.inputs += 1
            try:
                with _limited():
                    outcome = check(random.Random(case))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
                tally.deviations.append((case, "".join(traceback.format_exception(error))))
            else:
                tally.refused += outcome == "refused"
                tally.accepted += outcome == "accepted"
            took = time.monotonic() - started
            if took > tally.slowest_s:
                tally.slowest_s, tally.slowest = took, case
    tally.spent_s = time.monotonic() - begun
    return tally


def table(tallies: Sequence[Tally]) -> str:
    """The counts of all targets."""
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
def _limited() -> Iterator[None]:
    """Raise TooSlow in what takes longer than ``LIMIT_S``."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow(f"it took longer than {LIMIT_S:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
