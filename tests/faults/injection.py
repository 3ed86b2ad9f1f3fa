"""The faults: each starts a round's work, acts at its moment, and undoes what can be undone."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import psutil

from etui.errors import EXIT_DONE, EXIT_FAILED
from tests.faults.active_round import REACHED_S, ActiveRound
from tests.faults.host import Host, send, wait_until
from tests.faults.models import write_misbehaving, write_model
from tests.faults.plan import DESTRUCTIVE, DISKS, MISBEHAVIOURS, SIGNALS, STAGES, Plan
from tests.faults.shared_host import BASE

READ_ONLY_S = 3.0
LIMITS_MB = (300, 600, 1200, 3000, 8000)
SPARE_BYTES = (0, 0, 4096, 20_000, 100_000)
JUMPS = {"ahead": ("+2h", "+40d", "@2038-01-19 03:14:06"), "back": ("-2h", "-40d", "@1999-12-31 23:59:59")}
LOOP_LIMIT = ("--timeout", "8")

_SIGNALS = {
    "kill": signal.SIGKILL,
    "term": signal.SIGTERM,
    "int": signal.SIGINT,
    "hup": signal.SIGHUP,
    "stop": signal.SIGSTOP,
}
_FAKETIME = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
)


def inject(active: ActiveRound) -> None:
    """Start the work of a round and inject its fault."""
    fault = active.plan.cell.fault
    if fault in SIGNALS:
        _signal(active)
    elif fault in MISBEHAVIOURS:
        _misbehave(active)
    elif fault in DISKS:
        _disk(active)
    else:
        _OTHERS[fault](active)


def allowed_states(plan: Plan) -> frozenset[str]:
    """Return the states that runs of a round may end in; runs that the fault does not affect are done."""
    fault, target = plan.cell
    others: tuple[str, ...] = ()
    if (target == "runner" and fault in ("kill", "term", "int")) or (fault, target) == ("users", "killed"):
        others = ("interrupted",)
    elif target == "front":
        others = {"int": ("cancelled",), "ulimit": ("failed", "cancelled")}.get(fault, ())
    elif fault in ("kill", "term", "segfault", "abort", "memory", "close"):
        others = ("failed",)
    elif fault == "loop":
        others = ("timed out", "failed")
    elif fault in DISKS:
        others = ("failed", "interrupted")
        if target == "state":
            # A command that cannot start a runner removes what it has queued.
            others += ("cancelled",)
    return frozenset({"done", *others})


def may_fail(plan: Plan) -> bool:
    """Whether a command may end with 3 whatever the result of its runs, because the machine is the cause."""
    return plan.cell.fault in (*DESTRUCTIVE, *DISKS, "locked", "ulimit")


def skipped(plan: Plan, host: Host) -> str:
    """Return why a round cannot be played on this machine; empty if it can."""
    fault = plan.cell.fault
    if fault in DISKS and not host.mounted:
        return "mounting is not permitted"
    if fault == "clock" and (_faketime() is None or shutil.which("cc") is None):
        return "libfaketime or a C compiler is not installed"
    if fault == "users" and not _can_change_user():
        return "setpriv cannot change the user"
    return ""


def _signal(active: ActiveRound) -> None:
    fault, target = active.plan.cell
    active.start()
    active.wait_for_moment()
    if target == "front":
        process = active.main.process
        processes = [psutil.Process(process.pid)] if process.poll() is None else []
    else:
        active.wait_for(lambda: active.host.target(target))
        processes = active.host.target(target)
    if not processes:
        return
    chosen = active.dice.choice(processes)
    active.hit = send(chosen, _SIGNALS[fault])
    if fault == "stop":
        time.sleep(active.dice.uniform(0.3, 3.0))
        send(chosen, signal.SIGCONT)


def _misbehave(active: ActiveRound) -> None:
    fault, stage = active.plan.cell
    # The bundle takes one call of the factory, and each prepared program another.
    calls = {"bundle": 1, "lower": 2, "measure": 2 + len(active.plan.work.precisions)}
    assert tuple(calls) == STAGES
    name = f"round{active.plan.number}"
    model, hit = write_misbehaving(active.host.models / f"{name}.py", name, fault, calls[stage], active.dice)
    active.start(*(LOOP_LIMIT if fault == "loop" else ()), model=model)
    active.wait_for(hit.exists)
    active.hit = hit.exists()


def _disk(active: ActiveRound) -> None:
    fault, place = active.plan.cell
    host, dice = active.host, active.dice
    active.cold = dice.random() < (0.7 if place == "state" else 0.3)
    if fault == "readonly" and place != "tmp":
        active.cold = True  # a runner has files open there for writing
    spare, hold_s = dice.choice(SPARE_BYTES), dice.uniform(1.0, 8.0)
    active.notes.append(("no runner" if active.cold else "a runner") + (f", {spare} bytes left" * (fault == "full")))
    if active.cold:
        host.stop_runners()
    else:
        active.start()
        active.wait_for_moment()
    if fault == "full":
        host.fill(place, spare)
        active.hit = True
    else:
        active.hit = wait_until(lambda: host.read_only(place, wanted=True), READ_ONLY_S)
    end = time.monotonic() + hold_s
    try:
        if active.cold:
            # Reading does not need a writable disk; a full one may lack space for the journal.
            active.list_runs({EXIT_DONE} if fault == "readonly" else {EXIT_DONE, EXIT_FAILED})
            active.start()
        active.wait_for(lambda: time.monotonic() > end, hold_s)
    finally:
        if fault == "full":
            host.free(place)
        else:
            host.read_only(place, wanted=False)


def _lock(active: ActiveRound) -> None:
    hold_s = active.dice.uniform(1.0, 20.0)
    active.notes.append(f"{hold_s:.0f} s")
    active.start()
    active.wait_for_moment()
    with active.host.connected(timeout_s=20.0) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return
        active.hit = True
        end = time.monotonic() + hold_s
        active.list_runs({EXIT_DONE, EXIT_FAILED})
        wait_until(lambda: time.monotonic() > end, hold_s)
        connection.execute("ROLLBACK")


def _delete(active: ActiveRound) -> None:
    active.start()
    active.wait_for_moment()
    for file in active.host.database.parent.glob("etui.db*"):
        file.unlink(missing_ok=True)
    active.hit = True


def _replace(active: ActiveRound) -> None:
    copy = active.host.folder / "another.db"
    with active.host.connected() as connection:
        other = sqlite3.connect(copy)
        connection.backup(other)
        other.close()
    active.start()
    active.wait_for_moment()
    database = active.host.database
    part = database.with_name("etui.db-part")
    part.write_bytes(copy.read_bytes())
    for journal in database.parent.glob("etui.db-[ws]*"):
        journal.unlink(missing_ok=True)
    part.replace(database)
    active.hit = True


def _flip_database(active: ActiveRound) -> None:
    if active.plan.cell.target == "idle":
        active.host.stop_runners()
        _flip(active, active.host.database)
        active.start()
    else:
        active.start()
        active.wait_for_moment()
        _flip(active, active.host.database)
    active.hit = True


def _flip(active: ActiveRound, file: Path) -> None:
    with file.open("r+b") as content:
        place = active.dice.randrange(file.stat().st_size)
        content.seek(place)
        (old,) = content.read(1)
        content.seek(place)
        content.write(bytes([old ^ (1 << active.dice.randrange(8))]))
    active.notes.append(f"byte {place} of {file.name}")


def _jump(active: ActiveRound) -> None:
    clock, sleep = active.host.folder / "clock", active.host.folder / "real_sleep.so"
    library = _faketime()
    assert library is not None
    subprocess.run(["cc", "-shared", "-fPIC", "-o", sleep, Path(__file__).with_name("real_sleep.c")], check=True)
    _set_clock(clock, "+0")
    active.start(
        environment={
            "LD_PRELOAD": f"{sleep} {library}",
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            # Setting a clock changes neither the time since the machine started nor the times of files.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
    )
    active.wait_for_moment()
    to = active.dice.choice(JUMPS[active.plan.cell.target])
    active.notes.append(to)
    active.hit = not active.over()
    _set_clock(clock, to)


def _set_clock(clock: Path, text: str) -> None:
    part = clock.with_suffix(".part")
    part.write_text(text + "\n")
    part.replace(clock)


def _damage_cache(active: ActiveRound) -> None:
    folder = active.host.cache / {"program": "programs", "bundle": "models"}[active.plan.cell.target]
    # The entry used last, which the work uses again: damage to another one would not be detected.
    entry = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, default=folder)
    files = sorted(path for path in entry.rglob("*") if path.is_file() and path.stat().st_size)
    if files:
        file = active.dice.choice(files)
        how = active.dice.choice(("cut", "empty", "zeros", "flip", "remove"))
        content = file.read_bytes()
        active.notes.append(f"{how} {file.name}")
        if how == "remove":
            file.unlink()
        elif how == "flip":
            _flip(active, file)
        else:
            cut = content[: active.dice.randrange(len(content))]
            file.write_bytes({"empty": b"", "cut": cut, "zeros": bytes(len(content))}[how])
        active.hit = True
    active.start()


def _users(active: ActiveRound) -> None:
    other = active.shared.other
    model = write_model(other.models / "base.py", "base")
    if active.dice.random() < 0.5:
        # The first user creates the lock.
        active.host.lock.unlink(missing_ok=True)
        active.other = first = other.launch("run", model, *BASE)
        wait_until(lambda: active.host.lock.exists() or first.process.poll() is not None, REACHED_S)
        active.notes.append("the other user creates the lock")
        active.start()
    else:
        active.start()
        active.other = other.launch("run", model, *BASE)
    active.hit = True
    if active.plan.cell.target == "killed":
        active.wait_for_moment()
        killed = [send(runner, signal.SIGKILL) for runner in active.host.runners()]
        active.hit = any(killed)


def _limit_memory(active: ActiveRound) -> None:
    megabytes = active.dice.choice(LIMITS_MB)
    active.notes.append(f"{megabytes} MB")
    active.hit = True
    active.start(limit=lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20)))


_OTHERS = {
    "locked": _lock,
    "deleted": _delete,
    "replaced": _replace,
    "flipped": _flip_database,
    "clock": _jump,
    "cache": _damage_cache,
    "users": _users,
    "ulimit": _limit_memory,
}


def _faketime() -> str | None:
    """Return the library that gives a process another time; None if it is not installed."""
    return next((path for path in _FAKETIME if Path(path).exists()), None)


def _can_change_user() -> bool:
    if os.geteuid() != 0:
        return False
    try:
        command = ["setpriv", "--reuid", "65534", "--clear-groups", "--", "true"]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False
