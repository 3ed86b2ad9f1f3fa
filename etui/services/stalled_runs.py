"""Explain why a live run makes no progress: no runner takes it, or the state of its runner is unknown; with the next
step."""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

from etui.paths import installation
from etui.runner.abandoned_work import owner_state
from etui.runner.runner_lock import RunnerLock
from etui.store import Claim, QueuedSession, Store
from etui.task_training import QueuedTraining
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
    """Why a session makes no progress (``why``) and how to resolve it (``next_step``); one line each."""

    why: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.why}; {self.next_step}"


def stall_of_session(store: Store, session: QueuedSession) -> StallReason | None:
    """Return why an unfinished session makes no progress; None if it has ended or its runner is alive.

    Raises:
        StoreError: the database cannot be read.
    """
    if session.finished_at is not None or not session.runs:
        return None
    run = session.runs[0][0]
    if session.claimed_by is None:
        return _stall_of_waiting(store, session.box or "", session.installation, run)
    claim = next((claim for claim in store.claims() if claim.id == session.id), None)
    return None if claim is None else stall_of_claim(store, claim, run)


def stall_of_training(store: Store, training: QueuedTraining) -> StallReason | None:
    """Return why a live training makes no progress; None if it has ended or its runner is alive.

    Raises:
        StoreError: the database cannot be read.
    """
    if not training.live:
        return None
    if training.claimed_by is None:
        return _stall_of_waiting(store, training.box, training.installation, training.id, "training")
    claim = next((claim for claim in store.training_claims() if claim.id == training.id), None)
    return None if claim is None else stall_of_claim(store, claim, training.id, "training")


def stall_of_claim(store: Store, claim: Claim, run: str, what: str = "run") -> StallReason | None:
    """Return a reason if the state of the runner with this claim is unknown, else None. ``what`` names the work."""
    if owner_state(store.path, claim) != "unknown":
        return None
    return StallReason(
        plain(f"{what} {run[:6]} is executed by process {claim.pid} of {claim.user} on {claim.host}, "
              "whose state is not visible from here"),
        f"if that process has ended, `etui cancel --force {run[:6]}` ends the {what}",
    )  # fmt: skip


def stalled_session_lines(store: Store) -> list[str]:
    """Return at most one line about queued sessions that no runner will take, with the reason, for lists of runs.

    Raises:
        StoreError: the database cannot be read.
    """
    stalls = []
    for session_id, box, queued_for in store.waiting_sessions():
        runs = store.live_run_ids(session_id)
        stall = _stall_of_waiting(store, box, queued_for, runs[0]) if runs else None
        if stall is not None:
            stalls.append(stall)
    if not stalls:
        return []
    more = f" (and {len(stalls) - 1} more)" if len(stalls) > 1 else ""
    return [f"{stalls[0].why}{more}; {stalls[0].next_step}"]


def _stall_of_waiting(store: Store, box: str, queued_for: str, run: str, what: str = "run") -> StallReason | None:
    here, own = socket.gethostname(), installation()
    if box in ("", here) and queued_for in ("", own):
        return None
    if RunnerLock(store.path, queued_for, box or here).runner_is_alive():
        return None
    cancel = f"or cancel it: etui cancel {run[:6]}"
    if box not in ("", here):
        return StallReason(
            plain(f"{what} {run[:6]} waits for a runner on {box}, where it was queued, and none is visible from here"),
            f"run any etui command there, {cancel}",
        )
    return StallReason(
        f"{what} {run[:6]} waits for a runner with the settings it was queued with, and none is alive"
        f" ({_differing(queued_for, own)})",
        f"run any etui command with those settings, {cancel}",
    )


def _differing(queued_for: str, own: str) -> str:
    """Describe the differences between two installations."""
    queued_parts, own_parts = _PARTS.fullmatch(queued_for), _PARTS.fullmatch(own)
    if queued_parts is None or own_parts is None:
        return "a different installation of etui"
    differing = [name for key, name in _NAMES.items() if queued_parts[key] != own_parts[key]]
    return f"different {', '.join(differing)}" if differing else "a different installation of etui"
