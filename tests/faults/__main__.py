"""Run ``python -m tests.faults``: many rounds of faults and their table; status 1 if anything was lost, hung or left
over."""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import tempfile
from pathlib import Path

from tests.faults.host import own_mounts
from tests.faults.lanes import play
from tests.faults.plan import FAULTS, TARGETS, Plan, plan_round, plan_rounds
from tests.faults.results import END, read, table

GROUP = 20
"""Number of rounds that share a host that stays warm."""


def main() -> int:
    """Play the requested rounds and return the exit status."""
    options = _options()
    log: Path = options.log or Path(tempfile.mkdtemp(prefix="etui-faults-log-")) / "rounds.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    plans = _plans(options)
    known = {(one.seed, one.numbers[0]) for one in read(log) if one.fault != END}
    remaining = [plan for plan in plans if (plan.seed, plan.number) not in known]
    print(f"{len(remaining)} rounds to play, {len(plans) - len(remaining)} known; results go to {log}", flush=True)
    mounts = own_mounts()
    groups = [remaining[start : start + options.group] for start in range(0, len(remaining), options.group)]
    # Processes, since a lane starts others and sets limits in them before they begin.
    context = multiprocessing.get_context("spawn")
    shares = [groups[lane :: options.lanes] for lane in range(options.lanes)]
    lanes = [context.Process(target=play, args=(share, mounts, log)) for share in shares if share]
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    try:
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
    finally:
        for lane in lanes:
            if lane.pid is not None:
                lane.terminate()
                lane.join()
    requested = {(plan.seed, plan.number) for plan in plans}
    results = [one for one in read(log) if any((one.seed, number) in requested for number in one.numbers)]
    print(table(results))
    broken = any(lane.exitcode for lane in lanes)
    return 1 if broken or any(one.deviations for one in results) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=len(FAULTS), help="number of rounds")
    parser.add_argument("--seed", type=int, default=1, help="of all random choices")
    parser.add_argument("--lanes", type=int, default=1, help="number of hosts at once")
    parser.add_argument("--group", type=int, default=GROUP, help="number of rounds that share a warm host")
    parser.add_argument("--fault", choices=FAULTS, help="only this fault")
    parser.add_argument("--target", choices=TARGETS, help="only this target")
    parser.add_argument("--replay", metavar="SEED:ROUND,..", help="only these rounds, on one host")
    parser.add_argument("--log", type=Path, metavar="FILE", help="append to this file; rounds in it are not repeated")
    return parser.parse_args()


def _plans(options: argparse.Namespace) -> list[Plan]:
    if options.replay:
        seed, _, numbers = options.replay.partition(":")
        return [plan_round(int(seed), int(number)) for number in numbers.split(",")]
    return plan_rounds(options.seed, options.rounds, fault=options.fault, target=options.target)


if __name__ == "__main__":
    sys.exit(main())
