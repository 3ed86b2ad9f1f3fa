"""Passes on a finished run, as the details have them: how one is asked for, and what is said until it has been made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.text import Text

from etui import text
from etui.results import LIVE_STATUSES, RunDocument
from etui.spec import AnalysisOptions
from etui.store import QueuedAnalysis, Store
from etui.tui.text_layout import Sheet, Styles


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of pass in words. ``missing`` is said where there is none yet, ``press`` how to get it."""

    name: str
    title: str
    missing: str
    press: str


PROFILE = Kind(
    name="profile",
    title="profile",
    missing="No profile yet.",
    press="Press P to profile this run: every operator's time, in the program and in eager",
)
GAP = Kind(
    name="gap",
    title="comparison layer by layer",
    missing="Where the numbers moved is not known yet.",
    press="Press P to compare this run with FP32 eager, layer by layer",
)
KINDS = (PROFILE, GAP)

_BEGIN_S, _LEAST_S, _FEWEST = 2.0, 0.5, 5
"""What starting the children of a profile takes, and its least seconds and inferences a side."""


def submit(database: Path, run_id: str, options: AnalysisOptions) -> QueuedAnalysis:
    """Queue a pass and see that a runner takes it. Raises EtuiError where that cannot be, Untrusted if the run was
    imported and names a file that the options do not allow."""
    from etui.services.submit import submit_analysis

    with Store.open(database, create=False) as store:
        return submit_analysis(store, run_id, options)


def is_quantized(document: RunDocument) -> bool:
    """Whether modules of the run could be kept in higher precision than the rest."""
    from etui.catalog.precisions import PRECISIONS

    found = PRECISIONS.get(document.precision)
    return found is not None and found.quantized


def run_again(
    database: Path, document: RunDocument, keep_fp32: Sequence[str], trusted_files: tuple[str, ...] = ()
) -> str:
    """Queue this run's precision and delegate again, as its session was asked for, with more modules in FP32; returns
    the new run's id. Raises EtuiError where that cannot be, Untrusted if it was imported and names a file that is not
    among ``trusted_files``."""
    from etui.catalog.find import describe, find_model
    from etui.runner.rebuild_program import Trust
    from etui.services.rerun import spec_keeping_fp32
    from etui.services.submit import submit as submit_session

    with Store.open(database, create=False) as store:
        trust = Trust(imported=store.is_imported(document.id), files=trusted_files)
        spec = spec_keeping_fp32(document, trust, keep_fp32)
        queued = submit_session(store, spec, describe(find_model(spec.model)))
    return queued.runs[0][0]


def profile_seconds(document: RunDocument) -> float | None:
    """About how long a profile takes on a warm runner: both sides' inferences, traced and not, and what starts them."""
    sides = [document.latency_ms, document.eager_latency_ms]
    medians = [stats.median for stats in sides if stats is not None and stats.median is not None]
    if not medians:
        return None
    return _BEGIN_S + sum(max(_LEAST_S, 2 * _FEWEST * median / 1000) for median in medians)


def cancel(database: Path, run_id: str) -> int:
    """Ask for the run's live passes to be cancelled and return how many there were. Raises EtuiError."""
    with Store.open(database, create=False) as store:
        return len(store.request_analysis_cancel([one.id for one in store.live_analyses(run_id)]))


def to_text(kind: Kind, queued: QueuedAnalysis) -> str:
    """How a pass stands, in a sentence."""
    if queued.status == "queued":
        return f"The {kind.title} is queued; it begins when the box is free. x takes it back."
    if queued.status == "running":
        return f"The {kind.title} is under way. x stops it."
    why = f": {text.plain(queued.error)}" if queued.error else ""
    if queued.status == "done":
        return f"The {kind.title} was made."
    return f"The last {kind.title} {_ENDED.get(queued.status, queued.status)}{why}."


_ENDED = {
    "failed": "failed",
    "cancelled": "was cancelled",
    "timed out": "timed out",
    "interrupted": "was interrupted",
}


def missing_page(
    document: RunDocument, kind: Kind, queued: QueuedAnalysis | None, seconds: float | None, width: int, styles: Styles
) -> Text:
    """What a tab says while its pass has not been made: how to make it, how it stands, or why there can be none."""
    sheet = Sheet(width, styles)
    sheet.say(kind.missing, styles.strong)
    if queued is not None and queued.live:
        sheet.say(to_text(kind, queued))
        return sheet.text
    if queued is not None and queued.status != "done":
        sheet.say(to_text(kind, queued), styles.bad if queued.status == "failed" else "", glyph=styles.failed)
    if document.artifact is None or document.summary_only:
        sheet.say("This run left no program that could be looked into.", styles.muted)
    elif document.status in LIVE_STATUSES:
        sheet.say(f"The run is {document.status}; once it has ended this can be made here.", styles.muted)
    else:
        about = ""
        if seconds:
            about = f" (about {round(seconds)} s)" if seconds < 60 else f" (about {text.seconds(seconds)})"
        sheet.say(f"{kind.press}{about}.")
    return sheet.text
