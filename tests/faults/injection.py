"""The faults themselves: each starts a round's work, does what it does at its moment, and undoes what can be undone."""

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
from tests.faults.active_round import REACHED_S, Scene
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


def inject(scene: Scene) -> None:
    """Start the work of a round and do its fault."""
    fault = scene.plan.cell.fault
    if fault in SIGNALS:
        _signal(scene)
    elif fault in MISBEHAVIOURS:
        _misbehave(scene)
    elif fault in DISKS:
        _disk(scene)
    else:
        _OTHERS[fault](scene)


def allowed_states(plan: Plan) -> frozenset[str]:
    """The states that runs of a round may end in; what the fault does not reach is done."""
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
            # A command that cannot start a runner takes back what it has queued.
            others += ("cancelled",)
    return frozenset({"done", *others})


def may_fail(plan: Plan) -> bool:
    """Whether a command may end with 3 whatever became of its runs, because the machine is at fault."""
    return plan.cell.fault in (*DESTRUCTIVE, *DISKS, "locked", "ulimit")


def skipped(plan: Plan, host: Host) -> str:
    """Why a round cannot be played on this machine; empty if it can."""
    fault = plan.cell.fault
    if fault in DISKS and not host.mounted:
        return "mounting is not permitted"
    if fault == "clock" and (_faketime() is None or shutil.which("cc") is None):
        return "libfaketime or a C compiler is not installed"
    if fault == "users" and not _can_change_user():
        return "setpriv cannot change the user"
    return ""


def _signal(scene: Scene) -> None:
    fault, target = scene.plan.cell
    scene.start()
    scene.wait_for_moment()
    if target == "front":
        process = scene.main.process
        found = [psutil.Process(process.pid)] if process.poll() is None else []
    else:
        scene.wait_for(lambda: scene.host.target(target))
        found = scene.host.target(target)
    if not found:
        return
    chosen = scene.dice.choice(found)
    scene.hit = send(chosen, _SIGNALS[fault])
    if fault == "stop":
        time.sleep(scene.dice.uniform(0.3, 3.0))
        send(chosen, signal.SIGCONT)


def _misbehave(scene: Scene) -> None:
    fault, stage = scene.plan.cell
    # The bundle takes one call of the factory, and each program that is prepared another.
    calls = {"bundle": 1, "lower": 2, "measure": 2 + len(scene.plan.work.precisions)}
    assert tuple(calls) == STAGES
    name = f"round{scene.plan.number}"
    model, hit = write_misbehaving(scene.host.models / f"{name}.py", name, fault, calls[stage], scene.dice)
    scene.start(*(LOOP_LIMIT if fault == "loop" else ()), model=model)
    scene.wait_for(hit.exists)
    scene.hit = hit.exists()


def _disk(scene: Scene) -> None:
    fault, place = scene.plan.cell
    host, dice = scene.host, scene.dice
    scene.cold = dice.random() < (0.7 if place == "state" else 0.3)
    if fault == "readonly" and place != "tmp":
        scene.cold = True  # a runner has files open there for writing
    spare, hold_s = dice.choice(SPARE_BYTES), dice.uniform(1.0, 8.0)
    scene.notes.append(("no runner" if scene.cold else "a runner") + (f", {spare} bytes left" * (fault == "full")))
    if scene.cold:
        host.stop_runners()
    else:
        scene.start()
        scene.wait_for_moment()
    if fault == "full":
        host.fill(place, spare)
        scene.hit = True
    else:
        scene.hit = wait_until(lambda: host.read_only(place, wanted=True), READ_ONLY_S)
    end = time.monotonic() + hold_s
    try:
        if scene.cold:
            # Reading needs no disk that can be written; one that is full may lack room for the journal.
            scene.look({EXIT_DONE} if fault == "readonly" else {EXIT_DONE, EXIT_FAILED})
            scene.start()
        scene.wait_for(lambda: time.monotonic() > end, hold_s)
    finally:
        if fault == "full":
            host.free(place)
        else:
            host.read_only(place, wanted=False)


def _lock(scene: Scene) -> None:
    hold_s = scene.dice.uniform(1.0, 20.0)
    scene.notes.append(f"{hold_s:.0f} s")
    scene.start()
    scene.wait_for_moment()
    with scene.host.connected(timeout_s=20.0) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return
        scene.hit = True
        end = time.monotonic() + hold_s
        scene.look({EXIT_DONE, EXIT_FAILED})
        wait_until(lambda: time.monotonic() > end, hold_s)
        connection.execute("ROLLBACK")


def _delete(scene: Scene) -> None:
    scene.start()
    scene.wait_for_moment()
    for file in scene.host.database.parent.glob("etui.db*"):
        file.unlink(missing_ok=True)
    scene.hit = True


def _replace(scene: Scene) -> None:
    copy = scene.host.folder / "another.db"
    with scene.host.connected() as connection:
        other = sqlite3.connect(copy)
        connection.backup(other)
        other.close()
    scene.start()
    scene.wait_for_moment()
    database = scene.host.database
    part = database.with_name("etui.db-part")
    part.write_bytes(copy.read_bytes())
    for journal in database.parent.glob("etui.db-[ws]*"):
        journal.unlink(missing_ok=True)
    part.replace(database)
    scene.hit = True


def _flip_database(scene: Scene) -> None:
    if scene.plan.cell.target == "idle":
        scene.host.stop_runners()
        _flip(scene, scene.host.database)
        scene.start()
    else:
        scene.start()
        scene.wait_for_moment()
        _flip(scene, scene.host.database)
    scene.hit = True


def _flip(scene: Scene, file: Path) -> None:
    with file.open("r+b") as content:
        place = scene.dice.randrange(file.stat().st_size)
        content.seek(place)
        (old,) = content.read(1)
        content.seek(place)
        content.write(bytes([old ^ (1 << scene.dice.randrange(8))]))
    scene.notes.append(f"byte {place} of {file.name}")


def _jump(scene: Scene) -> None:
    clock, sleep = scene.host.folder / "clock", scene.host.folder / "real_sleep.so"
    library = _faketime()
    assert library is not None
    subprocess.run(["cc", "-shared", "-fPIC", "-o", sleep, Path(__file__).with_name("real_sleep.c")], check=True)
    _set_clock(clock, "+0")
    scene.start(
        environment={
            "LD_PRELOAD": f"{sleep} {library}",
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            # A clock that is set changes neither the time since the machine started nor the times of files.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
    )
    scene.wait_for_moment()
    to = scene.dice.choice(JUMPS[scene.plan.cell.target])
    scene.notes.append(to)
    scene.hit = not scene.over()
    _set_clock(clock, to)


def _set_clock(clock: Path, text: str) -> None:
    part = clock.with_suffix(".part")
    part.write_text(text + "\n")
    part.replace(clock)


def _damage_cache(scene: Scene) -> None:
    folder = scene.host.cache / {"program": "programs", "bundle": "models"}[scene.plan.cell.target]
    # The entry used last, which the work uses again: damage to another one would be nobody's to find.
    entry = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, default=folder)
    files = sorted(path for path in entry.rglob("*") if path.is_file() and path.stat().st_size)
    if files:
        file = scene.dice.choice(files)
        how = scene.dice.choice(("cut", "empty", "zeros", "flip", "remove"))
        content = file.read_bytes()
        scene.notes.append(f"{how} {file.name}")
        if how == "remove":
            file.unlink()
        elif how == "flip":
            _flip(scene, file)
        else:
            cut = content[: scene.dice.randrange(len(content))]
            file.write_bytes({"empty": b"", "cut": cut, "zeros": bytes(len(content))}[how])
        scene.hit = True
    scene.start()


def _users(scene: Scene) -> None:
    other = scene.ground.other
    model = write_model(other.models / "base.py", "base")
    if scene.dice.random() < 0.5:
        # Who comes first makes the lock.
        scene.host.lock.unlink(missing_ok=True)
        scene.other = first = other.launch("run", model, *BASE)
        wait_until(lambda: scene.host.lock.exists() or first.process.poll() is not None, REACHED_S)
        scene.notes.append("the other user makes the lock")
        scene.start()
    else:
        scene.start()
        scene.other = other.launch("run", model, *BASE)
    scene.hit = True
    if scene.plan.cell.target == "killed":
        scene.wait_for_moment()
        killed = [send(runner, signal.SIGKILL) for runner in scene.host.runners()]
        scene.hit = any(killed)


def _limit_memory(scene: Scene) -> None:
    megabytes = scene.dice.choice(LIMITS_MB)
    scene.notes.append(f"{megabytes} MB")
    scene.hit = True
    scene.start(limit=lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20)))


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
    """The library that gives a process another time; None if it is not installed."""
    return next((path for path in _FAKETIME if Path(path).exists()), None)


def _can_change_user() -> bool:
    if os.geteuid() != 0:
        return False
    try:
        words = ["setpriv", "--reuid", "65534", "--clear-groups", "--", "true"]
        return subprocess.run(words, check=False, capture_output=True).returncode == 0
    except OSError:
        return False
