"""The Summary tab of the details: the verdict, the main figures, and the warning flags."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from etui.results import LIVE_STATUSES, RunDocument
from etui.tui.details.section_view import add_section
from etui.tui.text_layout import Link, Sheet, Styles
from etui.wording import run as run_wording
from etui.wording import run_sections
from etui.wording.caveat import caveat
from etui.wording.verdict import Source, verdict

_TABS: dict[Source, tuple[int, str]] = {
    "log": (9, "Log"),
    "latency": (2, "Latency"),
    "delegation": (5, "Delegation"),
    "operators": (4, "Operators"),
    "accuracy": (3, "Accuracy"),
    "gap": (6, "Gap"),
    "artifact": (8, "Artifact"),
}
"""The digit and the name of the tab that shows the facts of a verdict's sentence."""


def summary_page(document: RunDocument, siblings: Sequence[RunDocument], width: int, styles: Styles) -> Text:
    """Return the tab's text. ``siblings`` are runs of the same session that it is compared with."""
    sheet = Sheet(width, styles)
    for number, sentence in enumerate(verdict(document, siblings)):
        style = _style(document, number, styles)
        glyph = styles.flagged if style == styles.warn and number == 0 else ""
        sheet.say(sentence.text, style, glyph=glyph, link=_link(sentence.source))
    for hint in run_wording.hints(document):
        sheet.say(hint, styles.muted)
    add_section(sheet, run_sections.figures(document))
    add_section(sheet, run_sections.warning_flags(document))
    sheet.heading("Note")
    if not document.note:
        sheet.say("none; press a to add one", styles.muted)
    add_section(sheet, run_sections.note(document), heading=False)
    add_section(sheet, run_sections.configuration(document))
    add_section(sheet, run_sections.measurement(document))
    return sheet.text


def _link(source: Source) -> Link | None:
    """Return the link to the tab with the facts of a sentence; None if no tab has them."""
    if source not in _TABS:
        return None
    number, name = _TABS[source]
    return Link(f"{number} {name}", f"screen.tab_{number}")


def _style(document: RunDocument, number: int, styles: Styles) -> str:
    """Return the style of a sentence: the first one is the headline, which is a warning if it has a caveat."""
    if number:
        return ""
    if document.status not in ("done", *LIVE_STATUSES):
        return styles.bad
    unreliable = document.speedup is not None and document.speedup.verdict == "unreliable"
    return styles.warn if unreliable or (document.latency_ms is not None and caveat(document)) else styles.strong
