"""Checks after a round that must hold whatever the fault was; a failed check is a ``Deviation``."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from etui.errors import EXIT_CANCELLED, EXIT_CROSSED, EXIT_DONE, EXIT_FAILED, EXIT_TIMED_OUT
from tests.faults.host import Front, Host, command_line, is_locked, wait_until
from tests.faults.results import Deviation

SAMPLES = 20
"""The samples of each variant of a round's runs."""

SETTLED_S = 60.0
RECHECK_S = 3.0
IDLE_S = 10.0
TRACEBACK = "Traceback (most recent call last)"

_EXITS = {"done": EXIT_DONE, "cancelled": EXIT_CANCELLED, "timed out": EXIT_TIMED_OUT}
_NO_MEMORY = re.compile("MemoryError|[Cc]annot allocate memory|failed to map segment|start new thread|bad_alloc")
_OWN_ERROR = "internal runner error"
_DATABASE_FILES = re.compile(r"etui\.db(-wal|-shm)?|\.etui\.db\.[0-9a-f]+\.runner")
_STATE_FILES = re.compile(r"runner-[0-9a-f]+\.(lock|log)")
_CACHE_FOLDERS = frozenset({"programs", "models", "prepared", "locks", "workers"})
_CACHE_ENTRIES = re.compile(r"[0-9a-f]{32}")


class KnownRuns:
    """What etui has reported about the runs of one database, compared with later states."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[object, ...]] = {}
        self._logged: dict[Path, int] = {}
        self._left: set[str] = set()

    def forget(self) -> None:
        """Reset, because the database was destroyed."""
        self._seen.clear()

    def check_runs(self, host: Host) -> list[Deviation]:
        """Check that every ended run is still as it ended, and remember the runs that have ended since."""
        now = {row[0]: tuple(row[1:]) for row in host.rows(_ENDED)}
        deviations = []
        for run, before in self._seen.items():
            if run not in now:
                deviations.append(Deviation("lost", f"run {run} was {before[0]} and is gone"))
            elif now[run] != before:
                kind = "lost" if before[0] == "done" else "state"
                deviations.append(Deviation(kind, f"run {run} was {before} and is now {now[run]}"))
        self._seen.update(now)
        return deviations

    def check_logs(self, host: Host, *, short_of_memory: bool = False) -> list[Deviation]:
        """Check that a runner has reported no unexpected error since the last check. With ``short_of_memory`` an import
        that failed for lack of memory is expected: the runs have it in one line, and the log in full."""
        deviations = []
        for file in sorted(host.state.glob("*.log")):
            text = file.read_bytes()
            new = text[self._logged.get(file, 0) :].decode(errors="replace")
            self._logged[file] = len(text)
            unexpected = [one for one in _errors(new) if not (short_of_memory and _NO_MEMORY.search(one))]
            if unexpected or "was never retrieved" in new:
                deviations.append(Deviation("message", f"the runner's log: {_end_of(new)}"))
        return deviations

    def check_files(self, host: Host) -> list[Deviation]:
        """Check that no temporary or partial file exists that did not exist at the last check."""
        left = set(_left_files(host))
        deviations = [Deviation("left", name) for name in sorted(left - self._left)]
        self._left |= left
        return deviations


_ENDED = """
SELECT runs.id, status, latency_median_ms, verdict,
    (SELECT count(*) FROM run_blocks WHERE run = runs.id),
    (SELECT sum(length(float64_le)) FROM run_blocks JOIN samples ON samples.block = run_blocks.block
        WHERE run = runs.id)
FROM runs WHERE status NOT IN ('queued', 'preparing', 'measuring')
"""


def settle(host: Host) -> list[Deviation]:
    """Wait until nothing is live, with only an occasional ``etui runs``."""
    deviations: list[Deviation] = []

    def is_idle() -> bool:
        front, status = host.command("runs", "--json")
        deviations.extend(check_command(front, status, {EXIT_DONE}))
        return wait_until(lambda: not host.live(), RECHECK_S)

    if host.live() and not wait_until(is_idle, SETTLED_S):
        deviations += [Deviation("live", one) for one in host.live()]
    return deviations


def check_command(front: Front, status: int | None, expected: Iterable[int]) -> list[Deviation]:
    """Check that a command ended with one of these statuses and reported an error in one line."""
    command = f"etui {' '.join(front.arguments)}"
    if status is None:
        return [Deviation("hang", f"{command}: {_end_of(front.stderr)}")]
    deviations = []
    if TRACEBACK in front.stderr:
        deviations.append(Deviation("message", f"{command}: {_end_of(front.stderr)}"))
    if status not in set(expected):
        deviations.append(Deviation("exit", f"{command} ended with {status}: {_end_of(front.stderr)}"))
    return deviations


def check_states(host: Host, runs: Sequence[str], allowed: frozenset[str], *, by_user: bool) -> list[Deviation]:
    """Check that the runs of a round ended in a state that the fault explains, the done ones complete and the others
    with a reason, which is optional only for Ctrl-C (``by_user``)."""
    unexplained = {"failed", "interrupted"} | (set() if by_user else {"cancelled"})
    deviations = []
    for run in runs:
        rows = host.rows(
            "SELECT runs.status, error, claimed_by FROM runs JOIN sessions ON sessions.id = session WHERE runs.id = ?",
            run,
        )
        if not rows:
            continue
        status, error, claimed = rows[0]
        if status not in allowed:
            deviations.append(
                Deviation("state", f"run {run} is {status} ({error}); possible: {', '.join(sorted(allowed))}")
            )
        if status == "interrupted" and claimed is None:
            deviations.append(Deviation("state", f"run {run} is interrupted and was never claimed"))
        if status == "done":
            deviations += [Deviation("lost", f"run {run} is done with {what}") for what in _missing(host, run)]
        elif status in unexplained and not error:
            deviations.append(Deviation("message", f"run {run} is {status} without a reason"))
        if error and (TRACEBACK in error or "\n" in error or _OWN_ERROR in error):
            deviations.append(Deviation("message", f"run {run} is {status}: {error}"))
    return deviations


def check_analyses(analyses: Mapping[str, str], allowed: frozenset[str]) -> list[Deviation]:
    """Check that the analyses (profiles, numeric gaps) of a round ended in a state that the fault explains."""
    return [
        Deviation("state", f"analysis {one} is {status}") for one, status in analyses.items() if status not in allowed
    ]


def expected_exit(host: Host, runs: Iterable[str]) -> int:
    """Return the documented exit status of a command that followed these runs."""
    statuses = set()
    for run in runs:
        for status, verdict in host.rows("SELECT status, verdict FROM runs WHERE id = ?", run):
            crossed = status == "done" and verdict == "FAIL"
            statuses.add(EXIT_CROSSED if crossed else _EXITS.get(status, EXIT_FAILED))
    worst = (EXIT_CANCELLED, EXIT_FAILED, EXIT_TIMED_OUT, EXIT_CROSSED)
    return next((status for status in worst if status in statuses), EXIT_DONE)


def expected_analysis_exit(host: Host, analysis_id: str) -> int:
    """Return the documented exit status of a command that followed this analysis."""
    rows = host.rows("SELECT status FROM passes WHERE id = ?", analysis_id)
    return _EXITS.get(rows[0][0], EXIT_FAILED) if rows else EXIT_FAILED


def printed_done(front: Front) -> list[str]:
    """Return the runs that a command with ``--json`` reported as done."""
    return [run for run, status in printed(front).items() if status == "done"]


def printed(front: Front) -> dict[str, str]:
    """Return the runs that ``etui run --json`` printed, with their states; none if it ended before."""
    if front.arguments[0] != "run":
        return {}
    try:
        summaries: list[dict[str, Any]] = json.loads(front.stdout)
    except ValueError:
        return {}
    return {one["id"]: one["status"] for one in summaries}


def check_database(host: Host) -> list[Deviation]:
    """Check that sqlite3 finds the database intact, and that no process holds its lock."""
    try:
        with host.connected() as connection:
            integrity = connection.execute("PRAGMA integrity_check").fetchall()
            foreign = connection.execute("PRAGMA foreign_key_check").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        return [Deviation("database", str(error))]
    deviations = []
    if integrity != [("ok",)]:
        deviations.append(Deviation("database", f"integrity_check: {integrity[:3]}"))
    if foreign:
        deviations.append(Deviation("database", f"foreign_key_check: {foreign[:3]}"))
    return deviations


def check_idle(host: Host) -> list[Deviation]:
    """Check that nothing is active: no worker, no second runner of a kind, no machine lock, no queue."""
    known = [runner.pid for runner in host.runners()]
    fine = wait_until(lambda: not _busy(host), IDLE_S)
    return [] if fine else [Deviation("left", f"{what} (runners {known})") for what in _busy(host)]


def check_end(host: Host, linger_s: float) -> list[Deviation]:
    """Check that nothing is left once the runner has had time to end."""
    deviations = []
    if not wait_until(lambda: not host.processes(), linger_s + 20.0):
        deviations += [
            Deviation("left", f"process {one.pid}: {' '.join(command_line(one))}") for one in host.processes()
        ]
    folder = host.database.parent
    locks = [host.lock, *host.state.glob("*.lock"), *folder.glob(".*.runner")]
    deviations += [Deviation("left", f"the lock {lock.name} is held") for lock in locks if is_locked(lock)]
    journals = [file.name for file in folder.glob(f"{host.database.name}-*")]
    deviations += [Deviation("left", f"{name} next to the database") for name in journals]
    owned = [path.name for path in (host.cache / "workers").glob("*")]
    deviations += [Deviation("left", f"cache/workers/{name}") for name in owned]
    return deviations


def check_overlaps(hosts: Sequence[Host], ignored: Collection[str] = ()) -> list[Deviation]:
    """Check that no two blocks, but those with ``ignored`` ids, were timed at the same time on the machine that these
    hosts share."""
    spans = []
    for host in hosts:
        for block, begin, seconds in host.rows(
            "SELECT id, json_extract(detail, '$.first_sample_at'), json_extract(detail, '$.wall_s') FROM blocks"
        ):
            if begin and seconds is not None and block not in ignored:
                start = datetime.fromisoformat(begin.replace("Z", "+00:00")).timestamp()
                spans.append((start, start + seconds, block))
    spans.sort()
    return [
        Deviation("overlap", f"{one} and {other}")
        for (_, end, one), (begin, _, other) in itertools.pairwise(spans)
        if begin < end - CLOCK_S
    ]


CLOCK_S = 0.005
"""Times are stored to the millisecond."""


def _missing(host: Host, run: str) -> list[str]:
    """Return what a done run lacks."""
    roles = {
        role: (count, length)
        for role, count, length in host.rows(
            "SELECT role, sum(count), sum(length(float64_le)) FROM run_blocks"
            " JOIN samples ON samples.block = run_blocks.block WHERE run = ? GROUP BY role",
            run,
        )
    }
    lacking = [
        f"{roles.get(role)} samples of {role} instead of {SAMPLES}"
        for role in ("own", "eager")
        if roles.get(role) != (SAMPLES, 8 * SAMPLES)
    ]
    artifact = host.rows("SELECT 1 FROM artifacts WHERE run = ?", run)
    (figures,) = host.rows("SELECT latency_median_ms, verdict, environment FROM runs WHERE id = ?", run)
    if not artifact:
        lacking.append("no artifact")
    return lacking + [f"no {name}" for name, value in zip(("median", "verdict", "environment"), figures, strict=True)
                      if value is None]  # fmt: skip


def _busy(host: Host) -> list[str]:
    active = [f"worker {worker.pid}" for worker in host.workers()]
    servers = host.fork_servers()
    known = {process.pid for process in [*host.runners(), *servers, *host.workers()]}
    active += [
        f"process {one.pid} {' '.join(command_line(one)[:4])}" for one in host.processes() if one.pid not in known
    ]
    if len(servers) > 2 * len(host.runners()):
        active.append(f"{len(servers)} fork servers")
    if is_locked(host.lock):
        active.append("the machine's lock is held")
    return active + [f"in the queue: {one}" for one in host.live()]


def _left_files(host: Host) -> Iterable[str]:
    """Return files and folders that should not exist while nothing is running."""
    yield from (f"tmp/{path.name}" for path in host.places["tmp"].iterdir())
    yield from (f"database/{path.name}" for path in host.database.parent.iterdir()
                if not _DATABASE_FILES.fullmatch(path.name))  # fmt: skip
    yield from (f"state/{path.name}" for path in host.state.iterdir() if not _STATE_FILES.fullmatch(path.name))
    yield from (f"cache/{path.name}" for path in host.cache.iterdir() if path.name not in _CACHE_FOLDERS)
    owned = [path.name for path in (host.cache / "workers").glob("*")]
    if len(owned) > len(host.runners()):  # each runner has one, which is removed with it
        yield f"cache/workers: {', '.join(sorted(owned))}"
    for folder, description in (("programs", "lowered.json"), ("models", "bundle.json")):
        for entry in (host.cache / folder).iterdir() if (host.cache / folder).is_dir() else ():
            if not _CACHE_ENTRIES.fullmatch(entry.name) or not (entry / description).is_file():
                yield f"cache/{folder}/{entry.name}"
            elif parts := [file.name for file in entry.iterdir() if file.name.startswith(".")]:
                yield f"cache/{folder}/{entry.name}/{parts[0]}"


def _errors(log: str) -> list[str]:
    """Return the last line of each traceback in a log: the error itself."""
    errors = []
    for traceback in log.split(TRACEBACK)[1:]:
        lines = [line for line in traceback.splitlines()[1:] if line.strip()]
        errors.append(next((line for line in lines if not line.startswith(" ")), traceback))
    return errors


def _end_of(text: str) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines()[-6:])
