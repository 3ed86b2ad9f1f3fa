"""Analyses of a finished run on the details screen: how to start one, and the text shown until its result exists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from etui import text
from etui.analysis_kinds.kind import AnyKind
from etui.analysis_kinds.registry import KINDS
from etui.results import LIVE_STATUSES, RunDocument
from etui.services.executorch_only import reason_not_available
from etui.spec import AnalysisOptions, SessionSpec
from etui.store import QueuedAnalysis, Store
from etui.tui.text_layout import Sheet, Styles

if TYPE_CHECKING:
    from etui.catalog.find import Model

_BEGIN_S, _LEAST_S, _FEWEST = 2.0, 0.5, 5
"""The seconds it takes to start a profile's workers, and the least seconds and inferences per side."""


def submit(store: Store, run_id: str, options: AnalysisOptions) -> QueuedAnalysis:
    """Queue an analysis and make sure that a runner executes it.

    Raises EtuiError if it cannot be queued, Untrusted if the run was imported and names a file that the options do not
    allow.
    """
    from etui.services.submit import submit_analysis

    return submit_analysis(store, run_id, options)


def is_quantized(document: RunDocument) -> bool:
    """Whether the run is quantized, so that modules of it can be kept in FP32."""
    from etui.catalog.precisions import PRECISIONS

    precision = PRECISIONS.get(document.precision)
    return precision is not None and precision.quantized


def run_again(
    store: Store, document: RunDocument, keep_fp32: Sequence[str], trusted_files: tuple[str, ...] = ()
) -> tuple[SessionSpec, Model]:
    """Return the session that repeats this run's configuration with more modules kept in FP32, and its model.

    Raises EtuiError if it cannot be repeated, Untrusted if the run was imported and names a file that is not in
    ``trusted_files``.
    """
    from etui.catalog.find import find_model
    from etui.runner.rebuild_program import Trust
    from etui.services.rerun import spec_keeping_fp32

    trust = Trust(imported=store.is_imported(document.id), files=trusted_files)
    spec = spec_keeping_fp32(document, trust, keep_fp32)
    return spec, find_model(spec.model)


def profile_seconds(document: RunDocument) -> float | None:
    """Estimate the seconds a profile takes on a warm runner: inferences of both sides, with and without tracing."""
    sides = [document.latency_ms, document.eager_latency_ms]
    medians = [stats.median for stats in sides if stats is not None and stats.median is not None]
    if not medians:
        return None
    return _BEGIN_S + sum(max(_LEAST_S, 2 * _FEWEST * median / 1000) for median in medians)


def cancel(store: Store, run_id: str) -> int:
    """Request that the run's queued and running analyses be cancelled, and return their number. Raises EtuiError."""
    return len(store.request_analysis_cancel([analysis.id for analysis in store.live_analyses(run_id)]))


def to_text(queued: QueuedAnalysis) -> str:
    """Return the state of an analysis as a sentence."""
    title = KINDS[queued.kind].title
    if queued.status == "queued":
        return f"The {title} is queued and starts when the machine is free. x cancels it."
    if queued.status == "running":
        return f"The {title} is running. x cancels it."
    reason = f": {text.plain(queued.error)}" if queued.error else ""
    if queued.status == "done":
        return f"The {title} is done."
    return f"The last {title} {_ENDED.get(queued.status, queued.status)}{reason}."


_ENDED = {
    "failed": "failed",
    "cancelled": "was cancelled",
    "timed out": "timed out",
    "interrupted": "was interrupted",
}


def missing_page(
    document: RunDocument,
    kind: AnyKind,
    queued: QueuedAnalysis | None,
    seconds: float | None,
    width: int,
    styles: Styles,
) -> Text:
    """Return a tab's text while it has no result: how to start the analysis, its state, or why there can be none."""
    sheet = Sheet(width, styles)
    sheet.say(f"No {kind.title} yet.", styles.strong)
    if queued is not None and queued.live:
        sheet.say(to_text(queued))
        return sheet.text
    if queued is not None and queued.status != "done":
        sheet.say(to_text(queued), styles.bad if queued.status == "failed" else "", glyph=styles.failed)
    if document.artifact is None or document.summary_only:
        sheet.say("This run has no program that could be analysed.", styles.muted)
    elif reason := reason_not_available(document, f"the {kind.title}"):
        sheet.say(f"{reason[0].upper()}{reason[1:]}.", styles.muted)
    elif document.status in LIVE_STATUSES:
        sheet.say(f"The run is {document.status}. It can be analysed when it has finished.", styles.muted)
    else:
        duration = ""
        if seconds:
            duration = f" (about {round(seconds)} s)" if seconds < 60 else f" (about {text.seconds(seconds)})"
        sheet.say(f"Press P to {kind.purpose}{duration}.")
    return sheet.text
