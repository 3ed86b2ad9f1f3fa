"""Passes on a finished run, as the details have them: how one is asked for, and what is said until it has been made."""

from __future__ import annotations

from pathlib import Path

import msgspec
from rich.text import Text

from etui import text
from etui.results import LIVE_STATUSES, RunDocument
from etui.spec import PassOptions, ProfileOptions
from etui.store import QueuedPass, Store
from etui.tui.details.sheet import Sheet, Styles


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
GAP = Kind(name="gap", title="layer by layer comparison", missing="Where the numbers moved is not known.", press="")
KINDS = (PROFILE, GAP)


def submit(database: Path, run_id: str, options: PassOptions) -> QueuedPass:
    """Queue a pass and see that a runner takes it. Raises EtuiError where that cannot be."""
    from etui.runner.client import submit_pass

    with Store.open(database, create=False) as store:
        return submit_pass(store, run_id, options)


def options_of(kind: Kind) -> PassOptions:
    """What a pass of this kind is asked for where nothing else is said."""
    return ProfileOptions()


def cancel(database: Path, run_id: str) -> int:
    """Ask for the run's live passes to be cancelled and return how many there were. Raises EtuiError."""
    with Store.open(database, create=False) as store:
        return len(store.request_pass_cancel([one.id for one in store.live_passes(run_id)]))


def in_words(kind: Kind, queued: QueuedPass) -> str:
    """How a pass stands, in a sentence."""
    if queued.status == "queued":
        return f"The {kind.title} is queued; it begins when the box is free. x takes it back."
    if queued.status == "running":
        return f"The {kind.title} is under way. x stops it."
    why = f": {text.plain(queued.error)}" if queued.error else ""
    return f"The last {kind.title} {_ENDED.get(queued.status, queued.status)}{why}."


_ENDED = {
    "done": "was made",
    "failed": "failed",
    "cancelled": "was cancelled",
    "timed out": "timed out",
    "interrupted": "was interrupted",
}


def missing_page(
    document: RunDocument, kind: Kind, queued: QueuedPass | None, seconds: float | None, width: int, styles: Styles
) -> Text:
    """What a tab says while its pass has not been made: how to make it, how it stands, or why there can be none."""
    sheet = Sheet(width, styles)
    sheet.say(kind.missing, styles.strong)
    if queued is not None and queued.live:
        sheet.say(in_words(kind, queued))
        return sheet.text
    if queued is not None and queued.status != "done":
        sheet.say(in_words(kind, queued), styles.bad if queued.status == "failed" else "", glyph=styles.failed)
    if document.artifact is None or document.summary_only:
        sheet.say("This run left no program that could be looked into.", styles.muted)
    elif document.status in LIVE_STATUSES:
        sheet.say(f"The run is {document.status}; once it has ended this can be made here.", styles.muted)
    elif kind.press:
        about = f" (about {text.seconds(seconds)})" if seconds else ""
        sheet.say(f"{kind.press}{about}.")
    return sheet.text
