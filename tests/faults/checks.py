"""What must hold after a round, whatever the fault was; what does not is a ``Deviation``."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from etui.errors import EXIT_CANCELLED, EXIT_CROSSED, EXIT_DONE, EXIT_FAILED, EXIT_TIMED_OUT
from tests.faults.host import Front, Host, is_locked, wait_until, words_of
from tests.faults.results import Deviation

SAMPLES = 20
"""The samples of each variant of a round's runs."""

SETTLED_S = 60.0
LOOK_AGAIN_S = 3.0
IDLE_S = 10.0
TRACEBACK = "Traceback (most recent call last)"

_EXITS = {"done": EXIT_DONE, "cancelled": EXIT_CANCELLED, "timed out": EXIT_TIMED_OUT}
_NO_MEMORY = re.compile("MemoryError|[Cc]annot allocate memory|failed to map segment|start new thread|bad_alloc")
_OWN_ERROR = "internal runner error"
_DATABASE_FILES = re.compile(r"etui\.db(-wal|-shm)?|\.etui\.db\.[0-9a-f]+\.runner")
_STATE_FILES = re.compile(r"runner-[0-9a-f]+\.(lock|log)")
_CACHE_FOLDERS = frozenset({"programs", "models", "prepared", "locks", "workers"})
_CACHE_ENTRIES = re.compile(r"[0-9a-f]{32}")


class Ledger:
    """What etui has said of the runs of one database, so that it can be held to it."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[object, ...]] = {}
        self._logged: dict[Path, int] = {}
        self._left: set[str] = set()

    def forget(self) -> None:
        """Begin anew: the database was destroyed."""
        self._seen.clear()

    def check_runs(self, host: Host) -> list[Deviation]:
        """Whether every run that has ended is still as it ended. What has ended since is remembered."""
        now = {row[0]: tuple(row[1:]) for row in host.rows(_ENDED)}
        found = []
        for run, before in self._seen.items():
            if run not in now:
                found.append(Deviation("lost", f"run {run} was {before[0]} and is gone"))
            elif now[run] != before:
                kind = "lost" if before[0] == "done" else "state"
                found.append(Deviation(kind, f"run {run} was {before} and is now {now[run]}"))
        self._seen.update(now)
        return found

    def check_logs(self, host: Host, *, short_of_memory: bool = False) -> list[Deviation]:
        """Whether a runner has reported since the last look an error that nobody expected. With ``short_of_memory`` an
        import that failed for lack of memory is expected: the runs have it in one line, and the log in full."""
        found = []
        for file in sorted(host.state.glob("*.log")):
            text = file.read_bytes()
            new = text[self._logged.get(file, 0) :].decode(errors="replace")
            self._logged[file] = len(text)
            unexpected = [one for one in _errors(new) if not (short_of_memory and _NO_MEMORY.search(one))]
            if unexpected or "was never retrieved" in new:
                found.append(Deviation("message", f"the runner's log: {_end_of(new)}"))
        return found

    def check_files(self, host: Host) -> list[Deviation]:
        """Whether a temporary or half-made file lies about that did not at the last look."""
        left = set(_left_files(host))
        found = [Deviation("left", name) for name in sorted(left - self._left)]
        self._left |= left
        return found


_ENDED = """
SELECT runs.id, status, latency_median_ms, verdict,
    (SELECT count(*) FROM run_blocks WHERE run = runs.id),
    (SELECT sum(length(float64_le)) FROM run_blocks JOIN samples ON samples.block = run_blocks.block
        WHERE run = runs.id)
FROM runs WHERE status NOT IN ('queued', 'preparing', 'measuring')
"""


def settle(host: Host) -> list[Deviation]:
    """Wait until nothing is live, with only an occasional ``etui runs``."""
    found: list[Deviation] = []

    def looked() -> bool:
        front, status = host.command("runs", "--json")
        found.extend(check_command(front, status, {EXIT_DONE}))
        return wait_until(lambda: not host.live(), LOOK_AGAIN_S)

    if host.live() and not wait_until(looked, SETTLED_S):
        found += [Deviation("live", one) for one in host.live()]
    return found


def check_command(front: Front, status: int | None, expected: Iterable[int]) -> list[Deviation]:
    """Check that a command ended with one of these statuses and reported an error in one line."""
    words = f"etui {' '.join(front.words)}"
    if status is None:
        return [Deviation("hang", f"{words}: {_end_of(front.stderr)}")]
    found = []
    if TRACEBACK in front.stderr:
        found.append(Deviation("message", f"{words}: {_end_of(front.stderr)}"))
    if status not in set(expected):
        found.append(Deviation("exit", f"{words} ended with {status}: {_end_of(front.stderr)}"))
    return found


def check_states(host: Host, runs: Sequence[str], allowed: frozenset[str], *, by_user: bool) -> list[Deviation]:
    """Whether runs of a round ended as the fault explains, the done ones whole and the others with a reason, which only
    Ctrl-C need not give (``by_user``)."""
    unexplained = {"failed", "interrupted"} | (set() if by_user else {"cancelled"})
    found = []
    for run in runs:
        rows = host.rows(
            "SELECT runs.status, error, claimed_by FROM runs JOIN sessions ON sessions.id = session WHERE runs.id = ?",
            run,
        )
        if not rows:
            continue
        status, error, claimed = rows[0]
        if status not in allowed:
            found.append(Deviation("state", f"run {run} is {status} ({error}); possible: {', '.join(sorted(allowed))}"))
        if status == "interrupted" and claimed is None:
            found.append(Deviation("state", f"run {run} is interrupted and was never claimed"))
        if status == "done":
            found += [Deviation("lost", f"run {run} is done with {what}") for what in _missing(host, run)]
        elif status in unexplained and not error:
            found.append(Deviation("message", f"run {run} is {status} and does not say why"))
        if error and (TRACEBACK in error or "\n" in error or _OWN_ERROR in error):
            found.append(Deviation("message", f"run {run} is {status}: {error}"))
    return found


def check_analyses(analyses: Mapping[str, str], allowed: frozenset[str]) -> list[Deviation]:
    """Whether analyses (profiles, numeric gaps) of a round ended as the fault explains."""
    return [
        Deviation("state", f"analysis {one} is {status}") for one, status in analyses.items() if status not in allowed
    ]


def expected_exit(host: Host, runs: Iterable[str]) -> int:
    """The documented exit status of a command that followed these runs."""
    found = set()
    for run in runs:
        for status, verdict in host.rows("SELECT status, verdict FROM runs WHERE id = ?", run):
            crossed = status == "done" and verdict == "FAIL"
            found.add(EXIT_CROSSED if crossed else _EXITS.get(status, EXIT_FAILED))
    worst = (EXIT_CANCELLED, EXIT_FAILED, EXIT_TIMED_OUT, EXIT_CROSSED)
    return next((status for status in worst if status in found), EXIT_DONE)


def expected_analysis_exit(host: Host, analysis_id: str) -> int:
    """The documented exit status of a command that followed this analysis."""
    rows = host.rows("SELECT status FROM passes WHERE id = ?", analysis_id)
    return _EXITS.get(rows[0][0], EXIT_FAILED) if rows else EXIT_FAILED


def printed_done(front: Front) -> list[str]:
    """The runs that a command with ``--json`` has said are done."""
    return [run for run, status in printed(front).items() if status == "done"]


def printed(front: Front) -> dict[str, str]:
    """The runs that ``etui run --json`` has named, with their states; none if it has not come that far."""
    if front.words[0] != "run":
        return {}
    try:
        summaries: list[dict[str, Any]] = json.loads(front.stdout)
    except ValueError:
        return {}
    return {one["id"]: one["status"] for one in summaries}


def check_database(host: Host) -> list[Deviation]:
    """Whether sqlite3 finds the database sound, and nobody holds its lock."""
    try:
        with host.connected() as connection:
            integrity = connection.execute("PRAGMA integrity_check").fetchall()
            foreign = connection.execute("PRAGMA foreign_key_check").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        return [Deviation("database", str(error))]
    found = []
    if integrity != [("ok",)]:
        found.append(Deviation("database", f"integrity_check: {integrity[:3]}"))
    if foreign:
        found.append(Deviation("database", f"foreign_key_check: {foreign[:3]}"))
    return found


def check_idle(host: Host) -> list[Deviation]:
    """Whether nothing works any more: no worker, no second runner of a kind, no lock of the machine, no queue."""
    known = [runner.pid for runner in host.runners()]
    fine = wait_until(lambda: not _busy(host), IDLE_S)
    return [] if fine else [Deviation("left", f"{what} (runners {known})") for what in _busy(host)]


def check_end(host: Host, linger_s: float) -> list[Deviation]:
    """Whether nothing at all is left once the runner had time to leave."""
    found = []
    if not wait_until(lambda: not host.processes(), linger_s + 20.0):
        found += [Deviation("left", f"process {one.pid}: {' '.join(words_of(one))}") for one in host.processes()]
    beside = host.database.parent
    locks = [host.lock, *host.state.glob("*.lock"), *beside.glob(".*.runner")]
    found += [Deviation("left", f"the lock {lock.name} is held") for lock in locks if is_locked(lock)]
    journals = [file.name for file in beside.glob(f"{host.database.name}-*")]
    found += [Deviation("left", f"{name} beside the database") for name in journals]
    owned = [path.name for path in (host.cache / "workers").glob("*")]
    found += [Deviation("left", f"cache/workers/{name}") for name in owned]
    return found


def check_overlaps(hosts: Sequence[Host]) -> list[Deviation]:
    """Whether no two blocks were timed at once on the machine that these hosts share."""
    spans = []
    for host in hosts:
        for block, begin, seconds in host.rows(
            "SELECT id, json_extract(detail, '$.first_sample_at'), json_extract(detail, '$.wall_s') FROM blocks"
        ):
            if begin and seconds is not None:
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
    """What a done run lacks."""
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
    found = [f"worker {worker.pid}" for worker in host.workers()]
    servers = host.fork_servers()
    known = {process.pid for process in [*host.runners(), *servers, *host.workers()]}
    found += [f"process {one.pid} {' '.join(words_of(one)[:4])}" for one in host.processes() if one.pid not in known]
    if len(servers) > 2 * len(host.runners()):
        found.append(f"{len(servers)} fork servers")
    if is_locked(host.lock):
        found.append("the machine's lock is held")
    return found + [f"in the queue: {one}" for one in host.live()]


def _left_files(host: Host) -> Iterable[str]:
    """Files and folders that have no business there when nothing is under way."""
    yield from (f"tmp/{path.name}" for path in host.places["tmp"].iterdir())
    yield from (f"database/{path.name}" for path in host.database.parent.iterdir()
                if not _DATABASE_FILES.fullmatch(path.name))  # fmt: skip
    yield from (f"state/{path.name}" for path in host.state.iterdir() if not _STATE_FILES.fullmatch(path.name))
    yield from (f"cache/{path.name}" for path in host.cache.iterdir() if path.name not in _CACHE_FOLDERS)
    owned = [path.name for path in (host.cache / "workers").glob("*")]
    if len(owned) > len(host.runners()):  # each has one, which goes with it
        yield f"cache/workers: {', '.join(sorted(owned))}"
    for folder, description in (("programs", "lowered.json"), ("models", "bundle.json")):
        for entry in (host.cache / folder).iterdir() if (host.cache / folder).is_dir() else ():
            if not _CACHE_ENTRIES.fullmatch(entry.name) or not (entry / description).is_file():
                yield f"cache/{folder}/{entry.name}"
            elif parts := [file.name for file in entry.iterdir() if file.name.startswith(".")]:
                yield f"cache/{folder}/{entry.name}/{parts[0]}"


def _errors(log: str) -> list[str]:
    """The last line of each traceback in a log: the error itself."""
    found = []
    for traceback in log.split(TRACEBACK)[1:]:
        lines = [line for line in traceback.splitlines()[1:] if line.strip()]
        found.append(next((line for line in lines if not line.startswith(" ")), traceback))
    return found


def _end_of(text: str) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines()[-6:])
