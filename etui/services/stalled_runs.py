"""Why a run that is live does not move: no runner takes it, or the one that has it cannot be seen from here; in words,
with the next step."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

from etui.paths import installation
from etui.runner.abandoned_work import judge
from etui.runner.runner_lock import RunnerLock
from etui.store import Claim, QueuedSession, Store
from etui.text import plain

_PARTS = re.compile(
    r"(?P<prefix>.*?)(?: etui (?P<etui>\S+))(?: code (?P<code>.*?))(?: cache (?P<cache>.*?))"
    r"(?: cache-gb (?P<cache_gb>.*?))?(?: cores (?P<cores>\S+))?(?: quota (?P<quota>\S+))?"
    r"(?: settings (?P<settings>\S+))?"
)
"""The parts of ``paths.installation``."""

_NAMES = {
    "prefix": "Python environment",
    "etui": "version of etui",
    "code": "folder of etui's code",
    "cache": "cache folder",
    "cache_gb": "ETUI_CACHE_GB",
    "cores": "CPUs it may use",
    "quota": "CPU quota",
    "settings": "environment variables, nice level or limits",
}


class StallReason(NamedTuple):
    """What keeps a session where it is, and what to do about it; one line each."""

    why: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.why}; {self.next_step}"


def of_session(store: Store, session: QueuedSession) -> StallReason | None:
    """Why a session that has not ended does not move; None if it has ended or a runner sees to it.

    Raises:
        StoreError: the database cannot be read.
    """
    if session.finished_at is not None or not session.runs:
        return None
    run = session.runs[0][0]
    if session.claimed_by is None:
        return _of_waiting(store, session.box or "", session.installation, run)
    claim = next((claim for claim in store.claims() if claim.id == session.id), None)
    return None if claim is None else of_claim(store, claim, run)


def of_claim(store: Store, claim: Claim, run: str) -> StallReason | None:
    """Why nothing can be said of the runner that has claimed something of this run; None if something can."""
    if judge(store.path, claim) != "unknown":
        return None
    return StallReason(
        plain(f"run {run[:6]} is measured by process {claim.pid} of {claim.user} on {claim.host}, "
              "of which nothing can be seen from here"),
        f"if it is gone, `etui cancel --force {run[:6]}` ends the run",
    )  # fmt: skip


def stranded(store: Store) -> list[str]:
    """A line for everybody who lists runs: how many sessions wait that no runner will take by itself, and why.

    Raises:
        StoreError: the database cannot be read.
    """
    found = []
    for session_id, box, wanted in store.waiting_sessions():
        runs = store.live_run_ids(session_id)
        standing = _of_waiting(store, box, wanted, runs[0]) if runs else None
        if standing is not None:
            found.append(standing)
    if not found:
        return []
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return [f"{found[0].why}{more}; {found[0].next_step}"]


def _of_waiting(store: Store, box: str, wanted: str, run: str) -> StallReason | None:
    here, own = socket.gethostname(), installation()
    if box in ("", here) and wanted in ("", own):
        return None
    if RunnerLock(store.path, wanted, box or here).runner_is_alive():
        return None
    cancel = f"or cancel it: etui cancel {run[:6]}"
    if box not in ("", here):
        return StallReason(
            plain(f"run {run[:6]} waits for a runner on {box}, where it was queued, and none can be seen"),
            f"run any etui command there, {cancel}",
        )
    return StallReason(
        f"run {run[:6]} waits for a runner with the settings it was queued under, and none is alive"
        f" ({_differing(wanted, own)})",
        f"run any etui command with those settings, {cancel}",
    )


def _differing(wanted: str, own: str) -> str:
    """In what two installations differ, in words."""
    then, now = _PARTS.fullmatch(wanted), _PARTS.fullmatch(own)
    if then is None or now is None:
        return "another installation of etui"
    differing = [name for key, name in _NAMES.items() if then[key] != now[key]]
    return f"differing: {', '.join(differing)}" if differing else "another installation of etui"
