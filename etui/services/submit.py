"""Queue sessions and analyses, and see that a runner takes them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

from etui.errors import StoreError
from etui.paths import installation
from etui.results import ModelInfo
from etui.runner.start import RunnerFailed, check_owner, settle, start_and_check
from etui.spec import AnalysisOptions, SessionSpec, Variant
from etui.store import QueuedAnalysis, QueuedSession, Store


def submit(
    store: Store, spec: SessionSpec, model: ModelInfo, models: Mapping[Variant, ModelInfo] | None = None
) -> QueuedSession:
    """Queue a session and see that a runner is there to take it; without one nothing stays queued. ``models`` has those
    of variants that are of another model than the session's.

    Raises:
        RunnerFailed: no runner can be started.
        StoreError: the database cannot be written.
    """
    check_owner(store.path)
    queued = store.add_session(spec, model=model, models=models, box=socket.gethostname(), installation=installation())
    try:
        start_and_check(store.path)
    except RunnerFailed as error:
        with contextlib.suppress(StoreError):
            store.request_cancel([run_id for run_id, _ in queued.runs], str(error))
        raise
    return queued


def submit_analysis(store: Store, run_id: str, options: AnalysisOptions) -> QueuedAnalysis:
    """Queue a pass on a finished run (a profile, say) and see that a runner is there to take it; without one it does
    not stay queued.

    Raises:
        UsageError: the run is live, or its program cannot be had any more; the reason and what to do.
        RunnerFailed: no runner can be started.
        StoreError: the database cannot be written.
    """
    check_owner(store.path)
    # The terminal UI needs this module for its first paint, and that one never before a key.
    from etui.runner.rebuild_program import Trust, check_rebuildable

    trust = Trust(imported=store.is_imported(run_id), files=options.trusted_files)
    check_rebuildable(store.document(run_id, operators=False), trust)
    # The same pass under a runner that is dead would be taken for one under way.
    settle(store)
    queued = store.add_analysis(run_id, options, box=socket.gethostname(), installation=installation())
    try:
        start_and_check(store.path)
    except RunnerFailed as error:
        with contextlib.suppress(StoreError):
            store.request_analysis_cancel([queued.id], str(error))
        raise
    return queued
