"""Facts of a run laid out on a tab of the details."""

from __future__ import annotations

from etui.tui.text_layout import Column, Sheet
from etui.wording.run_facts import Section, Tone


def add_section(sheet: Sheet, section: Section, *, heading: bool = True) -> None:
    """Add a section with its heading, table and facts; nothing if it is empty."""
    if not section:
        return
    if heading:
        sheet.heading(section.title, section.remark)
    if section.table is not None:
        first, *others = section.table.headings
        columns = [Column(name, optional=name in section.table.optional) for name in others]
        sheet.table([Column(first, right=False), *columns], section.table.rows)
        if any(fact.label for fact in section.facts):
            sheet.gap()
    for fact in section.facts:
        glyph, style = tone_style(sheet, fact.tone)
        if fact.label:
            sheet.fact(fact.label, fact.value, style)
        else:
            sheet.say(fact.value, style, glyph=glyph)


def tone_style(sheet: Sheet, tone: Tone) -> tuple[str, str]:
    """Return the symbol and the style of a tone."""
    styles = sheet.styles
    return {
        "": ("", ""),
        "good": (styles.ok, styles.good),
        "bad": (styles.failed, styles.bad),
        "warn": (styles.flagged, styles.warn),
        "muted": ("", styles.muted),
    }[tone]
