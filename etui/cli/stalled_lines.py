"""Lines on stderr about stalled runs, for the commands that show runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etui.errors import StoreError
from etui.results import LIVE_STATUSES, RunDocument

if TYPE_CHECKING:
    from etui.store import Store


def stall_of(store: Store, document: RunDocument) -> str:
    """Return why a live run is stalled, with the next step; empty if it is not, or has ended."""
    if document.status not in LIVE_STATUSES:
        return ""
    from etui.services.stalled_runs import stall_of_session

    try:
        stall = stall_of_session(store, store.session(document.session.id))
    except StoreError:
        return ""  # the run itself can still be shown
    return str(stall or "")


def stranded(store: Store) -> list[str]:
    """Return a line about queued sessions that no runner will take by itself."""
    if not store.waiting_sessions():
        return []
    from etui.services.stalled_runs import stalled_session_lines

    try:
        return stalled_session_lines(store)
    except StoreError:
        return []
