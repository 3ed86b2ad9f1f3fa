"""Results of the rounds: stored as JSON lines when available, and printed as a table."""

from __future__ import annotations

import fcntl
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

KINDS = {
    "lost": "a run that was reported done is missing or lacks samples",
    "state": "a run ended in a state that the fault does not explain, or changed its final state",
    "live": "a run, analysis or session never ended",
    "exit": "an exit status that is not the documented one",
    "message": "a traceback, or a message that does not name the cause",
    "hang": "a command did not return",
    "next": "the next run did not work",
    "database": "the database is not sound",
    "left": "a process, lock, temporary file or queue entry was left behind",
    "overlap": "two measurements at once on one machine",
}

END = "end"
"""Name used instead of a fault for the idle period until the runner of a host has ended."""


class Deviation(msgspec.Struct, frozen=True):
    """A failed check: its kind (one of ``KINDS``) and the observation."""

    kind: str
    seen: str


class Result(msgspec.Struct, kw_only=True):
    """The result of one round, or of the idle period after a group of rounds (``numbers``).

    ``states`` are those of the round's own runs and analyses; ``reported`` counts the runs that etui reported as done.
    """

    seed: int
    numbers: list[int]
    fault: str
    target: str
    work: str = ""
    moment: str = ""
    hit: bool = False
    skipped: str = ""
    states: list[str] = []
    reported: int = 0
    exits: list[str] = []
    notes: list[str] = []
    deviations: list[Deviation] = []
    seconds: float = 0.0
    kept: str = ""

    @property
    def replay(self) -> str:
        """Return the command that repeats it."""
        return f"python -m tests.faults --replay {self.seed}:{','.join(map(str, self.numbers))}"

    @property
    def is_round(self) -> bool:
        """Whether it belongs to a played round and not to the end of a group."""
        return self.fault != END and not self.skipped


def append(log: Path, result: Result) -> None:
    """Append a result to the file; several processes may do so at the same time."""
    with log.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(msgspec.json.encode(result) + b"\n")


def read(log: Path) -> list[Result]:
    """Return the results in the file, none if it does not exist. A line that was truncated when the harness was killed
    is omitted."""
    results = []
    for line in log.read_bytes().splitlines() if log.exists() else []:
        try:
            results.append(msgspec.json.decode(line, type=Result))
        except msgspec.DecodeError:
            continue
    return results


def table(results: Sequence[Result]) -> str:
    """Return the rounds by fault and target, the totals, and each deviation with its replay command."""
    by_cell: dict[tuple[str, str], list[Result]] = {}
    for result in sorted(results, key=lambda one: (one.fault, one.target)):
        by_cell.setdefault((result.fault, result.target), []).append(result)
    lines = [("fault", "target", "rounds", "hit", "states of the runs", "deviations")]
    for (fault, target), rounds in by_cell.items():
        states = Counter(state for one in rounds for state in one.states)
        summary = ", ".join(f"{state} {count}" for state, count in states.most_common())
        if skipped := {one.skipped for one in rounds if one.skipped}:
            summary = f"skipped: {'; '.join(sorted(skipped))}"
        deviations = sum(bool(one.deviations) for one in rounds)
        done = sum(one.is_round for one in rounds) or ("-" if fault == END else 0)
        lines.append((fault, target, str(done), str(sum(one.hit for one in rounds)), summary or "-", str(deviations)))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*text, "", *_totals(results), *_deviations(results)])


def _totals(results: Iterable[Result]) -> list[str]:
    own = [one for one in results if one.is_round]
    every = Counter(deviation.kind for one in results for deviation in one.deviations)
    counts = ", ".join(f"{kind} {every[kind]}" for kind in KINDS)
    return [
        f"{len(own)} rounds, {sum(one.hit for one in own)} hit, {sum(one.reported for one in own)} runs reported done,"
        f" {sum(one.seconds for one in results):.0f} s of rounds",
        f"deviations: {counts}",
    ]


def _deviations(results: Iterable[Result]) -> list[str]:
    lines = []
    for one in results:
        if one.deviations:
            what = f"round {one.numbers[0]}" if one.is_round else f"end of rounds {one.numbers[0]} to {one.numbers[-1]}"
            notes = f" ({', '.join(one.notes)})" if one.notes else ""
            lines += ["", f"{what}: {one.fault} {one.target}{notes}, {one.work} {one.moment}".rstrip(", ")]
            lines += [f"  {deviation.kind}: {deviation.seen}" for deviation in one.deviations]
            lines += [f"  kept in {one.kept}"] if one.kept else []
            lines.append(f"  {one.replay}")
    return lines
