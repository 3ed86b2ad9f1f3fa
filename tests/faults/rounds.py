"""Play the rounds of a group on one warm host, and check the host after each of them."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from etui.errors import EXIT_CANCELLED, EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from tests.faults import checks
from tests.faults.active_round import ActiveRound
from tests.faults.host import LINGER_S, Front
from tests.faults.injection import allowed_states, inject, may_fail, skipped
from tests.faults.plan import DESTRUCTIVE, Plan
from tests.faults.results import END, Deviation, Result
from tests.faults.shared_host import SharedHost

_SIGNAL_EXITS = {"kill": -9, "term": -15, "hup": -1, "int": EXIT_CANCELLED}
_BEFORE_PYTHON_HANDLES_SIGNALS = -2
"""Ctrl-C that arrives while the interpreter is still starting."""


def play_group(plans: Sequence[Plan], *, mounts: bool, keep: Path, report: Callable[[Result], None]) -> None:
    """Play these rounds and pass each result to ``report``. A host with a deviation is not used again: the remaining
    rounds get a new one. The files that show the cause of a deviation are copied into ``keep``."""
    remaining = list(plans)
    while remaining:
        shared = SharedHost(Path(tempfile.mkdtemp(prefix="etui-faults-")), mounts=mounts)
        played: list[Plan] = []
        clean = True
        try:
            while remaining and clean:
                plan = remaining.pop(0)
                played.append(plan)
                result = play(shared, plan)
                clean = not result.deviations
                _report(result, shared, keep, report)
            if clean:
                _report(_end(shared, played), shared, keep, report)
        finally:
            shared.close()


def play(shared: SharedHost, plan: Plan) -> Result:
    """Play one round."""
    start = time.monotonic()
    work = plan.work
    description = [
        work.kind,
        f"{'+'.join(work.precisions)}/{work.delegate}",
        "fresh" * work.fresh,
        "queued" * work.queued,
    ]
    result = Result(
        seed=plan.seed,
        numbers=[plan.number],
        fault=plan.cell.fault,
        target=plan.cell.target,
        work=" ".join(word for word in description if word),
        moment=f"{plan.moment.phase} + {plan.moment.delay_s:.2f} s",
        skipped=skipped(plan, shared.host),
    )
    if not result.skipped:
        active = ActiveRound(shared, plan)
        inject(active)
        result.hit, result.notes = active.hit, active.notes
        exits = [(front, front.ended()) for front in active.fronts]
        result.exits = [str(status) for _, status in exits]
        if plan.cell.fault in DESTRUCTIVE:
            _check_destroyed(active, exits)
        else:
            _check(active, exits, result)
        active.deviations += _check_after(shared, plan)
        result.deviations = active.deviations
    result.seconds = round(time.monotonic() - start, 2)
    return result


def _check(active: ActiveRound, exits: Sequence[tuple[Front, int | None]], result: Result) -> None:
    host, plan = active.host, active.plan
    deviations = active.deviations
    if active.other is not None:
        deviations += checks.check_command(active.other, active.other.ended(), {EXIT_DONE})
        deviations += checks.settle(active.shared.other)
    deviations += checks.settle(host)
    runs, analyses = active.own_runs(), active.own_analyses()
    result.states = [host.runs()[run] for run in runs] + [f"{plan.work.kind} {state}" for state in analyses.values()]
    result.states = result.states or ["none"]
    deviations += checks.check_states(host, runs, allowed_states(plan), by_user=plan.cell.fault == "int")
    deviations += checks.check_analyses(analyses, allowed_states(plan))
    queued = [run for front, _ in exits[1:] for run in checks.printed(front)]
    for front, status in exits:
        deviations += checks.check_command(front, status, _expected(active, front, queued))
        if "no space is left for the database" in front.stderr and plan.cell.target != "database":
            deviations.append(Deviation("message", f"the database's disk is blamed: {front.stderr[-300:]}"))
        if status == EXIT_FAILED and active.cold and not checks.printed(front):
            measured = [run for run in runs if run not in queued and host.runs()[run] == "done"]
            deviations += [
                Deviation("state", f"a command failed, and its run {run} was measured later") for run in measured
            ]
        done = checks.printed_done(front)
        result.reported += len(done)
        deviations += [
            Deviation("lost", f"run {run} was reported done") for run in done if host.runs().get(run) != "done"
        ]
    deviations += active.shared.known_runs.check_runs(host)
    deviations += checks.check_database(host)
    if plan.cell.fault == "clock":
        # Each process had a clock of its own: later rounds cannot compare the times of these blocks either.
        for run in runs:
            blocks = host.rows("SELECT block FROM run_blocks WHERE run = ?", run)
            active.shared.blocks_with_false_times.update(block for (block,) in blocks)
    else:
        deviations += checks.check_overlaps(active.shared.hosts, active.shared.blocks_with_false_times)


def _expected(active: ActiveRound, front: Front, queued: Sequence[str]) -> set[int]:
    """Return the exit statuses allowed by the states of a command's runs and by the fault."""
    plan, host = active.plan, active.host
    expected: set[int] = {EXIT_FAILED} if may_fail(plan) else set()
    analyses = active.own_analyses()
    if "--detach" in front.arguments:
        expected.add(EXIT_DONE)
    elif front.arguments[0] != "run":
        expected |= {checks.expected_analysis_exit(host, one) for one in analyses} or {EXIT_FAILED}
    else:
        runs = checks.printed(front) or [run for run in active.own_runs() if run not in queued]
        expected.add(checks.expected_exit(host, runs))
    if plan.cell.target == "front" and front is active.main and plan.cell.fault in _SIGNAL_EXITS:
        expected.add(_SIGNAL_EXITS[plan.cell.fault])
        if plan.cell.fault == "int" and not active.own_runs() and not analyses:
            expected.add(_BEFORE_PYTHON_HANDLES_SIGNALS)
    return expected


def _check_destroyed(active: ActiveRound, exits: Sequence[tuple[Front, int | None]]) -> None:
    """The runs cannot be checked; but no command hangs or ends with a traceback, and a new database works."""
    for front, status in exits:
        active.deviations += checks.check_command(front, status, {EXIT_DONE, EXIT_USAGE, EXIT_FAILED})
    if active.plan.cell.fault == "flipped":
        active.use_damaged_database()
    if active.plan.cell.fault != "replaced" or checks.check_database(active.host):
        active.shared.forget_database()
    active.shared.known_runs.forget()


def _check_after(shared: SharedHost, plan: Plan) -> list[Deviation]:
    """Check that the next run works and that nothing is left."""
    deviations = shared.next_run()
    deviations += checks.check_idle(shared.host)
    deviations += checks.check_database(shared.host)
    deviations += shared.known_runs.check_runs(shared.host)
    deviations += shared.known_runs.check_logs(shared.host, short_of_memory=plan.cell.fault == "ulimit")
    deviations += shared.known_runs.check_files(shared.host)
    return deviations


def _end(shared: SharedHost, played: Sequence[Plan]) -> Result:
    start = time.monotonic()
    deviations = [one for host in shared.hosts for one in checks.check_end(host, LINGER_S)]
    return Result(
        seed=played[0].seed,
        numbers=[plan.number for plan in played],
        fault=END,
        target="host",
        hit=True,
        deviations=deviations,
        seconds=round(time.monotonic() - start, 2),
    )


def _report(result: Result, shared: SharedHost, keep: Path, report: Callable[[Result], None]) -> None:
    if result.deviations:
        folder = keep / f"{result.seed}-{result.numbers[0]}-{result.fault}-{result.target}"
        shutil.rmtree(folder, ignore_errors=True)
        shared.keep(folder)
        result.kept = str(folder)
    report(result)
