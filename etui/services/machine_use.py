"""Who uses the machine: the holder of the machine lock, the process that is next, and the runner and queue of a
database. Nothing is started, changed or waited for."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import msgspec

from etui.host.processes import command_line, environment_variable, owner_name, process_ids, shares_network
from etui.host.user import user_name
from etui.paths import LOCK_VARIABLE, installation
from etui.runner.machine_lock import Holder, MachineLock
from etui.runner.runner_lock import LockState, RunnerLock
from etui.store.quick_reads import BriefRun, LiveWork, live_work

_RUNNER = "etui.runner"


class UsedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A live run, the run of a live analysis, or a live training, which has no precision and no delegate."""

    id: str
    model: str
    precision: str
    delegate: str
    status: str


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A session, an analysis or a training in a queue: ``kind`` is session, profile, gap or training. ``pid``
    and ``host`` are those of the runner that has begun it; None while it waits."""

    kind: str
    created_at: str
    pid: int | None
    host: str | None
    runs: list[UsedRun]


class MachineUser(msgspec.Struct, frozen=True, kw_only=True):
    """A process that holds the machine lock or waits for it.

    ``doing`` and ``since`` are what it reports itself, empty if it does not. ``database`` and ``work`` are known if its
    command line and its database are readable. ``advice`` is how to stop it, or whom to ask.
    """

    pid: int | None
    user: str | None
    doing: str
    since: str
    database: str | None
    work: list[Work]
    advice: str


class DatabaseUse(msgspec.Struct, frozen=True, kw_only=True):
    """The runner and the queue of a database. ``pid`` is None if no runner of this installation is alive, or its id is
    not readable; ``other_runners`` are those of other installations and settings."""

    path: str
    exists: bool
    runner: LockState
    pid: int | None
    other_runners: list[int]
    work: list[Work]


class MachineUse(msgspec.Struct, frozen=True, kw_only=True):
    """The holder of the machine, the processes that wait for it as far as they are known, and this database."""

    holder: MachineUser | None
    waiting: list[MachineUser]
    database: DatabaseUse


def machine_use(database: Path) -> MachineUse:
    """Return who uses the machine now, as seen by a user of ``database``.

    Raises:
        UsageError: a path in the environment is invalid.
    """
    runners = _runners()
    holder, turn = MachineLock().users()
    waiting = [turn] if turn is not None else []
    known = {user.pid for user in (holder, turn) if user is not None}
    # Only the next process in turn is known to the lock; others have begun work in a database that is readable.
    for pid, path in runners.items() if holder is not None else ():
        if pid not in known and _has_same_lock(pid) and any(work.pid == pid for work in live_work(path)):
            waiting.append(Holder(pid=pid, user=owner_name(pid)))
    lock = RunnerLock(database, installation())
    runner_pid = lock.holder_pid()
    return MachineUse(
        holder=None if holder is None else _described(holder, runners, database),
        waiting=[_described(user, runners, database) for user in waiting],
        database=DatabaseUse(
            path=str(database),
            exists=database.exists(),
            runner=lock.state(),
            pid=runner_pid,
            other_runners=[one for one, path in runners.items() if path == database.resolve() and one != runner_pid],
            work=[_work(one) for one in live_work(database)],
        ),
    )


def _runners() -> dict[int, Path]:
    """The database of each visible runner process of this machine."""
    found = {}
    for pid in process_ids():
        if (path := _database_of(pid)) is not None:
            found[pid] = path
    return found


def _database_of(pid: int) -> Path | None:
    words = command_line(pid)
    if len(words) != 4 or words[1:3] != ["-m", _RUNNER]:
        return None
    try:
        return Path(words[3]).resolve()
    except (OSError, RuntimeError, ValueError):
        return None


def _has_same_lock(pid: int) -> bool:
    """Whether a runner takes the same machine lock as this process would, as far as is known."""
    lock = environment_variable(pid, LOCK_VARIABLE)
    return shares_network(pid) is not False and lock in (None, os.environ.get(LOCK_VARIABLE, ""))


def _described(user: Holder, runners: dict[int, Path], own: Path) -> MachineUser:
    database = runners.get(user.pid) if user.pid is not None else None
    work = [] if database is None else [_work(one) for one in live_work(database) if one.pid == user.pid]
    return MachineUser(
        pid=user.pid,
        user=user.user,
        doing=user.doing,
        since=user.since,
        database=None if database is None else str(database),
        work=work,
        advice=_advice(user, database, work, own),
    )


def _advice(user: Holder, database: Path | None, work: list[Work], own: Path) -> str:
    """How to stop a process, or whom to ask."""
    is_own = user.user is not None and user.user == user_name()
    if user.pid is None:
        return "it is in another container or network namespace: run etui cancel --all there"
    if not is_own:
        ask = f"ask {user.user or 'its owner'} to stop it with etui cancel"
        return ask if os.geteuid() != 0 else f"{ask}, or stop it as root: kill {user.pid}"
    if database is None:
        return f"to stop it: kill {user.pid}"
    runs = list(dict.fromkeys(run.id[:6] for one in work for run in one.runs)) or ["--all"]
    chosen = [] if database == own.resolve() else ["--db", str(database)]
    return f"to stop it: {shlex.join(['etui', *chosen, 'cancel', *runs])}"


def _work(work: LiveWork) -> Work:
    return Work(
        kind=work.kind,
        created_at=work.created_at,
        pid=work.pid,
        host=work.host or None,
        runs=[_run(run) for run in work.runs],
    )


def _run(run: BriefRun) -> UsedRun:
    return UsedRun(id=run.id, model=run.model, precision=run.precision, delegate=run.delegate, status=run.status)
