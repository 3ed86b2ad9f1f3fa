"""Play the rounds of a group on one warm host, and check after each of them."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from etui.errors import EXIT_CANCELLED, EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from tests.faults import checks
from tests.faults.active_round import Scene
from tests.faults.host import LINGER_S, Front
from tests.faults.injection import allowed_states, inject, may_fail, skipped
from tests.faults.plan import DESTRUCTIVE, Plan
from tests.faults.results import END, Deviation, Result
from tests.faults.shared_host import Ground

_SIGNAL_EXITS = {"kill": -9, "term": -15, "hup": -1, "int": EXIT_CANCELLED}
_BEFORE_PYTHON_LISTENS = -2
"""Ctrl-C that comes while the interpreter still starts."""


def play_group(plans: Sequence[Plan], *, mounts: bool, keep: Path, tell: Callable[[Result], None]) -> None:
    """Play these rounds and hand each result to ``tell``. A host in which something went wrong is not used again: the
    rest of the rounds has a new one. What tells how a deviation came about is copied into ``keep``."""
    left = list(plans)
    while left:
        ground = Ground(Path(tempfile.mkdtemp(prefix="etui-faults-")), mounts=mounts)
        played: list[Plan] = []
        clean = True
        try:
            while left and clean:
                plan = left.pop(0)
                played.append(plan)
                result = play(ground, plan)
                clean = not result.deviations
                _tell(result, ground, keep, tell)
            if clean:
                _tell(_end(ground, played), ground, keep, tell)
        finally:
            ground.close()


def play(ground: Ground, plan: Plan) -> Result:
    """Play one round."""
    start = time.monotonic()
    work = plan.work
    words = [work.kind, f"{'+'.join(work.precisions)}/{work.delegate}", "fresh" * work.fresh, "queued" * work.queued]
    result = Result(
        seed=plan.seed,
        numbers=[plan.number],
        fault=plan.cell.fault,
        target=plan.cell.target,
        work=" ".join(word for word in words if word),
        moment=f"{plan.moment.phase} + {plan.moment.delay_s:.2f} s",
        skipped=skipped(plan, ground.host),
    )
    if not result.skipped:
        scene = Scene(ground, plan)
        inject(scene)
        result.hit, result.notes = scene.hit, scene.notes
        exits = [(front, front.ended()) for front in scene.fronts]
        result.exits = [str(status) for _, status in exits]
        if plan.cell.fault in DESTRUCTIVE:
            _check_destroyed(scene, exits)
        else:
            _check(scene, exits, result)
        scene.deviations += _check_after(ground, plan)
        result.deviations = scene.deviations
    result.seconds = round(time.monotonic() - start, 2)
    return result


def _check(scene: Scene, exits: Sequence[tuple[Front, int | None]], result: Result) -> None:
    host, plan = scene.host, scene.plan
    found = scene.deviations
    if scene.other is not None:
        found += checks.check_command(scene.other, scene.other.ended(), {EXIT_DONE})
        found += checks.settle(scene.ground.other)
    found += checks.settle(host)
    runs, analyses = scene.own_runs(), scene.own_analyses()
    result.states = [host.runs()[run] for run in runs] + [f"{plan.work.kind} {state}" for state in analyses.values()]
    result.states = result.states or ["none"]
    found += checks.check_states(host, runs, allowed_states(plan), by_user=plan.cell.fault == "int")
    found += checks.check_analyses(analyses, allowed_states(plan))
    queued = [run for front, _ in exits[1:] for run in checks.printed(front)]
    for front, status in exits:
        found += checks.check_command(front, status, _expected(scene, front, queued))
        if "no space is left for the database" in front.stderr and plan.cell.target != "database":
            found.append(Deviation("message", f"the database's disk is blamed: {front.stderr[-300:]}"))
        if status == EXIT_FAILED and scene.cold and not checks.printed(front):
            measured = [run for run in runs if run not in queued and host.runs()[run] == "done"]
            found += [Deviation("state", f"a command failed, and its run {run} was measured later") for run in measured]
        done = checks.printed_done(front)
        result.reported += len(done)
        found += [Deviation("lost", f"run {run} was reported done") for run in done if host.runs().get(run) != "done"]
    found += scene.ground.ledger.check_runs(host)
    found += checks.check_database(host)
    if plan.cell.fault != "clock":
        found += checks.check_overlaps(scene.ground.hosts)


def _expected(scene: Scene, front: Front, queued: Sequence[str]) -> set[int]:
    """The exit statuses that the states of a command's runs, and the fault, allow."""
    plan, host = scene.plan, scene.host
    expected: set[int] = {EXIT_FAILED} if may_fail(plan) else set()
    analyses = scene.own_analyses()
    if "--detach" in front.words:
        expected.add(EXIT_DONE)
    elif front.words[0] != "run":
        expected |= {checks.expected_analysis_exit(host, one) for one in analyses} or {EXIT_FAILED}
    else:
        runs = checks.printed(front) or [run for run in scene.own_runs() if run not in queued]
        expected.add(checks.expected_exit(host, runs))
    if plan.cell.target == "front" and front is scene.main and plan.cell.fault in _SIGNAL_EXITS:
        expected.add(_SIGNAL_EXITS[plan.cell.fault])
        if plan.cell.fault == "int" and not scene.own_runs() and not analyses:
            expected.add(_BEFORE_PYTHON_LISTENS)
    return expected


def _check_destroyed(scene: Scene, exits: Sequence[tuple[Front, int | None]]) -> None:
    """Nothing can be asked of the runs: but no command hangs or ends in a traceback, and a fresh database works."""
    for front, status in exits:
        scene.deviations += checks.check_command(front, status, {EXIT_DONE, EXIT_USAGE, EXIT_FAILED})
    if scene.plan.cell.fault == "flipped":
        scene.look_at_damage()
    if scene.plan.cell.fault != "replaced" or checks.check_database(scene.host):
        scene.ground.forget_database()
    scene.ground.ledger.forget()


def _check_after(ground: Ground, plan: Plan) -> list[Deviation]:
    """The next run works, and nothing is left."""
    found = ground.next_run()
    found += checks.check_idle(ground.host)
    found += checks.check_database(ground.host)
    found += ground.ledger.check_runs(ground.host)
    found += ground.ledger.check_logs(ground.host, short_of_memory=plan.cell.fault == "ulimit")
    found += ground.ledger.check_files(ground.host)
    return found


def _end(ground: Ground, played: Sequence[Plan]) -> Result:
    start = time.monotonic()
    found = [one for host in ground.hosts for one in checks.check_end(host, LINGER_S)]
    return Result(
        seed=played[0].seed,
        numbers=[plan.number for plan in played],
        fault=END,
        target="host",
        hit=True,
        deviations=found,
        seconds=round(time.monotonic() - start, 2),
    )


def _tell(result: Result, ground: Ground, keep: Path, tell: Callable[[Result], None]) -> None:
    if result.deviations:
        folder = keep / f"{result.seed}-{result.numbers[0]}-{result.fault}-{result.target}"
        shutil.rmtree(folder, ignore_errors=True)
        ground.keep(folder)
        result.kept = str(folder)
    tell(result)
