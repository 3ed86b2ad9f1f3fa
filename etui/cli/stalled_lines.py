"""Lines on stderr about runs that are live and do not move, for the commands that show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etui.errors import StoreError
from etui.results import LIVE_STATUSES, RunDocument

if TYPE_CHECKING:
    from etui.store import Store


def standing_of(store: Store, document: RunDocument) -> str:
    """Why a live run does not move, with the next step; empty if it does, or has ended."""
    if document.status not in LIVE_STATUSES:
        return ""
    from etui.services.stalled_runs import stall_of_session

    try:
        standing = stall_of_session(store, store.session(document.session.id))
    except StoreError:
        return ""  # what was asked for is shown all the same
    return str(standing or "")


def stranded(store: Store) -> list[str]:
    """A line about sessions that wait and that no runner will take by itself."""
    if not store.waiting_sessions():
        return []
    from etui.services.stalled_runs import stalled_session_lines

    try:
        return stalled_session_lines(store)
    except StoreError:
        return []
