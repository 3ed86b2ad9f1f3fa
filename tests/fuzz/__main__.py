"""Run the harness: ``python -m tests.fuzz --inputs 200000 --seed 1``; ``--replay CASE`` runs one input again."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.harness import Tally, Target, case_name, dealt, run, table
from tests.fuzz.targets import TARGETS

_SHOWN = 10
"""So many kinds of deviations of a target are printed, and so many cases of each."""


def main() -> int:
    """Parse the command line, run, print, and return the exit status: 1 if anything deviated."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=3_000, help="how many inputs in all")
    parser.add_argument("--seed", type=int, default=1, help="of the inputs; the same seed makes the same")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only these; all inputs are theirs")
    parser.add_argument("--minutes", type=float, help="stop after so long, each target at its share of the time")
    parser.add_argument("--replay", metavar="CASE", help="run one input again, as a table or deviation names it")
    given = parser.parse_args()
    if given.replay:
        return _replay(given.replay)
    targets: list[Target] = [TARGETS[name] for name in given.target or TARGETS]
    counts = dealt(targets, given.inputs)
    tallies = []
    begun = time.monotonic()
    for number, target in enumerate(targets):
        until = None
        if given.minutes is not None:
            # What earlier targets left over is shared by those that still come.
            left = given.minutes * 60 - (time.monotonic() - begun)
            until = time.monotonic() + left / (len(targets) - number)
        tallies.append(run(target, given.seed, range(counts[target.name]), until))
        print(table(tallies[-1:]).splitlines()[1], flush=True)
    for tally in tallies:
        for words, cases in list(_kinds(tally).items())[:_SHOWN]:
            print(f"\n{len(cases)} times: {', '.join(cases[:_SHOWN])}\n{words}")
    print(f"\n{table(tallies)}")
    return 1 if any(tally.deviations for tally in tallies) else 0


def _kinds(tally: Tally) -> dict[str, list[str]]:
    """The deviations that end in the same place, each with the first one's traceback and all cases."""
    kinds: dict[str, tuple[str, list[str]]] = {}
    for case, words in tally.deviations:
        places = [line for line in words.splitlines() if line.lstrip().startswith("File ") and "tests/fuzz" not in line]
        kind = f"{places[-1:]} {words.strip().splitlines()[-1][:60]}"
        kinds.setdefault(kind, (words, []))[1].append(case)
    return dict(kinds.values())


def _replay(case: str) -> int:
    name, seed, index = case.split(":")
    if case_name(name, int(seed), int(index)) != case or name not in TARGETS:
        print(f"{case} is not a case, such as import:1:123", file=sys.stderr)
        return 2
    tally = run(TARGETS[name], int(seed), [int(index)])
    for _, words in tally.deviations:
        print(words)
    print(table([tally]))
    return 1 if tally.deviations else 0


if __name__ == "__main__":
    sys.exit(main())
