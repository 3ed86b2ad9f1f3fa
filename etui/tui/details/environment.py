"""The Environment tab of the details: the machine, the software, and what changed since the previous run."""

from __future__ import annotations

from rich.text import Text

from etui import text
from etui.results import RunDocument
from etui.tui.details.section_view import add_section
from etui.tui.text_layout import Column, Sheet, Styles
from etui.wording import run_sections
from etui.wording.differences import differences


def environment_page(document: RunDocument, previous: RunDocument | None, width: int, styles: Styles) -> Text:
    """Return the tab's text; ``previous`` is the last similar run before it."""
    sheet = Sheet(width, styles)
    _changes(sheet, document, previous)
    environment = document.environment
    if environment is None:
        sheet.gap()
        sheet.say("The machine and the software of this run are not known.", styles.muted)
    for section in (
        run_sections.machine(document),
        run_sections.software(document),
        run_sections.process_settings(document),
    ):
        add_section(sheet, section)
    if environment is not None and environment.cpu_flags:
        sheet.heading("CPU flags")
        sheet.say(" ".join(environment.cpu_flags), styles.muted)
    return sheet.text


def _changes(sheet: Sheet, document: RunDocument, previous: RunDocument | None) -> None:
    styles = sheet.styles
    if previous is None:
        sheet.say("This is the first run of this model, precision and delegate.", styles.muted)
        return
    when = text.local_time(previous.created_at)
    changed = differences(document, previous)
    if not changed:
        sheet.say(f"No difference from the previous run, {previous.id} of {when}.", styles.good, glyph=styles.ok)
        return
    count = text.counted(len(changed), "difference")
    sheet.say(f"{count} from the previous run, {previous.id} of {when}:", styles.strong)
    columns = [Column("", right=False), Column("before", right=False), Column("now", right=False)]
    sheet.table(columns, [[difference.name, difference.before, difference.now] for difference in changed])
