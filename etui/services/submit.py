"""Queue sessions and analyses, and ensure that a runner is alive."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping

from etui.errors import EtuiError, StoreError
from etui.paths import installation
from etui.results import ModelInfo
from etui.runner import requesters
from etui.runner.start import RunnerFailed, check_owner, recover, start_and_check
from etui.spec import AnalysisOptions, SessionSpec, Variant
from etui.store import QueuedAnalysis, QueuedSession, Store


def submit(
    store: Store, spec: SessionSpec, model: ModelInfo, models: Mapping[Variant, ModelInfo] | None = None
) -> QueuedSession:
    """Queue a session and ensure that a runner is alive; if none can be started, the session is cancelled. ``models``
    has the models of variants that differ from the session's.

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
    """Queue an analysis of a finished run, which goes on whether or not this process does, and ensure that a runner is
    alive; if none can be started, it is cancelled.

    Raises:
        UsageError: the run is live, or its program is no longer available or not an ExecuTorch program.
        RunnerFailed: no runner can be started.
        StoreError: the database cannot be written.
    """
    queued, _ = _add_analysis(store, run_id, options)
    requesters.needs_nobody(store.path, queued.id)
    _start(store, queued)
    return queued


@contextlib.contextmanager
def awaited_analysis(store: Store, run_id: str, options: AnalysisOptions) -> Iterator[QueuedAnalysis]:
    """Queue an analysis like ``submit_analysis`` for a command that waits for it within this context: if this process
    ends before the analysis, the runner cancels it, unless others requested the same analysis.

    Raises like ``submit_analysis``.
    """
    queued, is_new = _add_analysis(store, run_id, options)
    held = requesters.wait_for(store.path, queued.id, is_new=is_new)
    try:
        _start(store, queued)
        yield queued
    finally:
        if held is not None:
            with contextlib.suppress(EtuiError):
                if not store.get_analysis(queued.id).live:
                    requesters.needs_nobody(store.path, queued.id)
            held.release()


def _add_analysis(store: Store, run_id: str, options: AnalysisOptions) -> tuple[QueuedAnalysis, bool]:
    """Queue an analysis, and return it and whether it is new: the same analysis is queued once."""
    check_owner(store.path)
    # Imported late: the screen needs this module for its first paint, but not that one.
    from etui.analysis_kinds.registry import KINDS
    from etui.runner.rebuild_program import Trust, check_rebuildable
    from etui.services.executorch_only import require_executorch

    document = store.document(run_id, operators=False)
    require_executorch(document, f"the {KINDS[options.kind_name()].title}")
    trust = Trust(imported=store.is_imported(run_id), files=options.trusted_files)
    check_rebuildable(document, trust)
    # The same analysis under a dead runner would be mistaken for one in progress.
    recover(store)
    before = {analysis.id for analysis in store.live_analyses(run_id)}
    queued = store.add_analysis(run_id, options, box=socket.gethostname(), installation=installation())
    return queued, queued.id not in before


def _start(store: Store, queued: QueuedAnalysis) -> None:
    try:
        start_and_check(store.path)
    except RunnerFailed as error:
        with contextlib.suppress(StoreError):
            store.request_analysis_cancel([queued.id], str(error))
        raise
