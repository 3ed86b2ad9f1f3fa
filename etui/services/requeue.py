"""Queue cancelled runs again, with the specification of their session."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from etui.services.submit import submit
from etui.store import QueuedSession, Store


def requeue(store: Store, run_ids: Sequence[str]) -> list[QueuedSession]:
    """Queue the runs that were cancelled, or are being cancelled, again: one session for those of each session. Runs
    that have ended otherwise are not queued. They were queued here, so no imported file is used.

    Raises:
        RunnerFailed: no runner can be started.
        StoreError: the database cannot be read or written.
        UsageError: a run does not exist.
    """
    documents = [store.document(run_id, operators=False) for run_id in run_ids]
    sessions: dict[str, list[str]] = {}
    for document in documents:
        if document.status not in ("done", "failed", "timed out"):
            sessions.setdefault(document.session.id, []).append(document.id)
    models = {document.id: document.model for document in documents}
    queued = []
    for session_id, ids in sessions.items():
        session = store.session(session_id)
        variants = {variant: models[run_id] for run_id, variant in session.runs if run_id in ids}
        spec = msgspec.structs.replace(session.spec, variants=tuple(variants))
        queued.append(submit(store, spec, next(iter(variants.values())), variants))
    return queued
