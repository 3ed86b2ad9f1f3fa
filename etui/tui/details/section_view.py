"""Sections of a run laid out on a tab of the details."""

from __future__ import annotations

from etui.tui.text_layout import Column, Sheet
from etui.wording.run_sections import Emphasis, RunSection


def add_section(sheet: Sheet, section: RunSection, *, heading: bool = True) -> None:
    """Add a section with its heading, table and entries; nothing if it is empty."""
    if not section:
        return
    if heading:
        sheet.heading(section.title, section.remark)
    if section.table is not None:
        first, *others = section.table.headings
        columns = [Column(name, optional=name in section.table.optional) for name in others]
        sheet.table([Column(first, right=False), *columns], section.table.rows)
        if any(entry.label for entry in section.entries):
            sheet.gap()
    for entry in section.entries:
        glyph, style = emphasis_style(sheet, entry.emphasis)
        if entry.label:
            sheet.fact(entry.label, entry.value, style)
        else:
            sheet.say(entry.value, style, glyph=glyph)


def emphasis_style(sheet: Sheet, emphasis: Emphasis) -> tuple[str, str]:
    """Return the symbol and the style of an emphasis."""
    styles = sheet.styles
    return {
        "": ("", ""),
        "good": (styles.ok, styles.good),
        "bad": (styles.failed, styles.bad),
        "warn": (styles.flagged, styles.warn),
        "muted": ("", styles.muted),
    }[emphasis]
