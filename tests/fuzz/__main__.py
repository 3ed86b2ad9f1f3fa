"""Run the harness: ``python -m tests.fuzz --inputs 200000 --seed 1``; ``--replay CASE`` runs one input again."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz.harness import Tally, Target, case_name, distribute, run, table
from tests.fuzz.targets import TARGETS

_SHOWN = 10
"""Number of kinds of deviations printed per target, and of cases printed per kind."""


def main() -> int:
    """Parse the command line, run, print, and return the exit status: 1 if anything deviated."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=3_000, help="total number of inputs")
    parser.add_argument("--seed", type=int, default=1, help="seed of the inputs; equal seeds give equal inputs")
    parser.add_argument(
        "--target", action="append", choices=sorted(TARGETS), help="only these targets, with all inputs"
    )
    parser.add_argument("--minutes", type=float, help="stop after this time, shared by the targets")
    parser.add_argument("--replay", metavar="CASE", help="run one input again, as a table or deviation names it")
    options = parser.parse_args()
    if options.replay:
        return _replay(options.replay)
    targets: list[Target] = [TARGETS[name] for name in options.target or TARGETS]
    counts = distribute(targets, options.inputs)
    tallies = []
    start = time.monotonic()
    for number, target in enumerate(targets):
        until = None
        if options.minutes is not None:
            # Time not used by earlier targets is shared by the remaining ones.
            left = options.minutes * 60 - (time.monotonic() - start)
            until = time.monotonic() + left / (len(targets) - number)
        tallies.append(run(target, options.seed, range(counts[target.name]), until))
        print(table(tallies[-1:]).splitlines()[1], flush=True)
    for tally in tallies:
        for report, cases in list(_kinds(tally).items())[:_SHOWN]:
            print(f"\n{len(cases)} times: {', '.join(cases[:_SHOWN])}\n{report}")
    print(f"\n{table(tallies)}")
    return 1 if any(tally.deviations for tally in tallies) else 0


def _kinds(tally: Tally) -> dict[str, list[str]]:
    """Return the deviations that end in the same place, each with the first one's traceback and all cases."""
    kinds: dict[str, tuple[str, list[str]]] = {}
    for case, report in tally.deviations:
        places = [
            line for line in report.splitlines() if line.lstrip().startswith("File ") and "tests/fuzz" not in line
        ]
        kind = f"{places[-1:]} {report.strip().splitlines()[-1][:60]}"
        kinds.setdefault(kind, (report, []))[1].append(case)
    return dict(kinds.values())


def _replay(case: str) -> int:
    name, seed, index = case.split(":")
    if case_name(name, int(seed), int(index)) != case or name not in TARGETS:
        print(f"{case} is not a case, such as import:1:123", file=sys.stderr)
        return 2
    tally = run(TARGETS[name], int(seed), [int(index)])
    for _, report in tally.deviations:
        print(report)
    print(table([tally]))
    return 1 if tally.deviations else 0


if __name__ == "__main__":
    sys.exit(main())
