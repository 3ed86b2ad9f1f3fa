"""The content of each round, drawn only from a seed and the round's number, so that any round can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import NamedTuple


class Cell(NamedTuple):
    """A fault and its target."""

    fault: str
    target: str


SIGNALS = ("kill", "term", "int", "hup", "stop")
PROCESSES = ("front", "runner", "fork-measure", "fork-prepare", "worker-measure", "worker-prepare")
MISBEHAVIOURS = ("segfault", "abort", "loop", "flood", "memory", "close", "spawn")
STAGES = ("bundle", "lower", "measure")
DISKS = ("full", "readonly")
PLACES = ("database", "cache", "state", "tmp")
DESTRUCTIVE = ("deleted", "replaced", "flipped")
"""Faults after which the database may have lost its content."""

CELLS: tuple[Cell, ...] = (
    *(Cell(fault, target) for fault in SIGNALS for target in PROCESSES),
    *(Cell(fault, target) for fault in MISBEHAVIOURS for target in STAGES),
    *(Cell(fault, target) for fault in DISKS for target in PLACES),
    Cell("locked", "database"),
    Cell("deleted", "database"),
    Cell("replaced", "database"),
    Cell("flipped", "idle"),
    Cell("flipped", "running"),
    Cell("clock", "ahead"),
    Cell("clock", "back"),
    Cell("cache", "program"),
    Cell("cache", "bundle"),
    Cell("users", "plain"),
    Cell("users", "killed"),
    Cell("ulimit", "front"),
)
FAULTS = tuple(dict.fromkeys(cell.fault for cell in CELLS))
TARGETS = tuple(dict.fromkeys(cell.target for cell in CELLS))


class Work(NamedTuple):
    """What etui is doing when the fault occurs.

    ``kind`` is ``run``, ``detached`` (the same without a following command), ``profile`` or ``gap``. ``fresh`` is a
    model of which nothing is cached; ``queued`` has another session wait behind the first. Most rounds take the
    portable delegate, for which a program is prepared in a fifth of the time.
    """

    kind: str
    precisions: tuple[str, ...] = ("fp32",)
    delegate: str = "portable"
    fresh: bool = False
    queued: bool = False


class Moment(NamedTuple):
    """When the fault occurs: a number of seconds after the work has reached a phase."""

    phase: str
    delay_s: float


PHASES = {"start": 1.0, "queued": 0.6, "preparing": 1.5, "measuring": 1.5}
"""The phases of a round's work, and the maximum delay of the fault after the beginning of each."""


@dataclass(frozen=True)
class Plan:
    """One round. ``dice`` returns a new generator for all other random choices of the fault at each call."""

    seed: int
    number: int
    cell: Cell
    work: Work
    moment: Moment

    @property
    def name(self) -> str:
        """Return the argument for ``--replay``."""
        return f"{self.seed}:{self.number}"

    def dice(self) -> random.Random:
        """Return the generator of this round's random choices."""
        return random.Random(f"{self.seed}:{self.number}:fault")


def plan_round(seed: int, number: int) -> Plan:
    """Return the round of this number. Every cell occurs once in each cycle of rounds, in random order."""
    cycle, place = divmod(number, len(CELLS))
    order = random.Random(f"{seed}:cycle {cycle}").sample(CELLS, len(CELLS))
    cell = order[place]
    dice = random.Random(f"{seed}:{number}")
    # The preparing processes have ended by the time that programs are measured.
    phase = dice.choice([one for one in PHASES if one != "measuring" or not cell.target.endswith("-prepare")])
    moment = Moment(phase, round(dice.uniform(0, PHASES[phase]), 3))
    return Plan(seed=seed, number=number, cell=cell, work=_work(cell, dice), moment=moment)


def plan_rounds(seed: int, rounds: int, *, fault: str | None = None, target: str | None = None) -> list[Plan]:
    """Return the first ``rounds`` of a seed that have this fault and target.

    Raises:
        ValueError: there is no such combination.
    """
    if not any((fault or cell.fault, target or cell.target) == cell for cell in CELLS):
        raise ValueError(f"there is no fault {fault or 'at all'} of {target or 'anything'}")
    plans: list[Plan] = []
    number = 0
    while len(plans) < rounds:
        plan = plan_round(seed, number)
        if (fault or plan.cell.fault, target or plan.cell.target) == plan.cell:
            plans.append(plan)
        number += 1
    return plans


def _work(cell: Cell, dice: random.Random) -> Work:
    precisions = ("fp32",) if dice.random() < 0.7 else ("fp32", "fp16")
    delegate = "portable" if dice.random() < 0.9 else "xnnpack"
    queued = dice.random() < 0.35
    kind = dice.choices(("run", "detached", "profile", "gap"), (6, 3, 1, 1))[0]
    fresh = dice.random() < 0.2
    if cell.fault in (*MISBEHAVIOURS, "users", "ulimit"):
        kind = "run"
    if cell.target.endswith("-prepare") and kind != "gap":
        kind, fresh = ("detached" if kind == "detached" else "run"), True
    if cell.target == "front" and kind == "detached":
        kind = "run"
    if cell.fault in MISBEHAVIOURS:
        fresh = True
    if cell.fault == "cache":
        fresh = False
    if kind in ("profile", "gap"):
        precisions, fresh = ("fp32",), False
    return Work(kind=kind, precisions=precisions, delegate=delegate, fresh=fresh, queued=queued)
