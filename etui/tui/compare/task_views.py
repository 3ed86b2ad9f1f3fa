"""The views of a comparison about labelled images: the categories that lost most, and the images whose categories
changed."""

from __future__ import annotations

from rich.text import Text

from etui.analysis.task_changes import TaskChanges, changes_between, changes_within, evaluation_of
from etui.charts.bars import bar
from etui.results import RunDocument
from etui.tui.text_layout import Cell, Column, Sheet, Styles
from etui.wording import task_evaluation as wording

TASK_VIEWS = ("categories", "images")
NO_TASK = "The baseline and this run were not both evaluated on the same labelled images (etui run --data)."
_BAR = 16
_WITH_LABELS = 90


def changes_to(base: RunDocument, run: RunDocument) -> TaskChanges | None:
    """Return what changes from the baseline to a run; for the baseline itself, from eager PyTorch to its program."""
    if run.id != base.id:
        return changes_between(base, run)
    found = evaluation_of(base)
    return changes_within(found) if found is not None else None


def draw_categories(
    changes: TaskChanges, before: str, now: str, width: int, height: int, styles: Styles, *, cut: str
) -> Text:
    """Return the categories with the largest losses as lines with bars, as many as fit."""
    sheet = Sheet(width, styles)
    metric = "AP" if changes.evaluation.metric == "mAP" else "recall"
    lower = f"lower in {len(changes.lost):,} of {len(changes.categories):,} categories"
    sheet.line(f"{metric} in %, {now} against {before}: {lower}")
    most = max((abs(one.change or 0.0) for one in changes.categories), default=0.0)
    rows: list[list[str | Cell]] = []
    for one in changes.categories[: max(1, height - 3)]:
        share = abs(one.change) / most if one.change is not None and most else 0.0
        lost = one.change is not None and one.change < 0 and not wording.points(one.change, "+").startswith("+")
        style = styles.bad if lost else styles.muted
        drawn = bar(share, _BAR, unicode=styles.unicode) if wording.points(one.change, "") not in ("0.0", "-") else ""
        rows.append(
            [
                one.name,
                f"{one.positives:,}",
                wording.points(one.before),
                wording.points(one.now),
                wording.points(one.change, "+"),
                Cell(drawn, style),
            ]
        )
    columns = [
        Column("category", right=False), Column("images", optional=True), Column("baseline"), Column("run"),
        Column("change"), Column("", right=False),
    ]  # fmt: skip
    sheet.table(columns, rows)
    return _cut(sheet, height, len(changes.categories) - len(rows), cut)


def draw_images(changes: TaskChanges, width: int, height: int, styles: Styles, *, cut: str) -> Text:
    """Return the images whose categories changed, the largest changes first, as many as fit."""
    sheet = Sheet(width, styles)
    sheet.line(wording.images_changed(changes))
    shown = changes.images[: max(1, height - 3)]
    if shown:
        columns = [Column("image", right=False), Column("baseline", right=False), Column("run", right=False)]
        rows = [[one.path, wording.tags(one.before), wording.tags(one.now)] for one in shown]
        if width >= _WITH_LABELS:
            columns.append(Column("labels", right=False))
            rows = [[*row, wording.tags(one.labels)] for row, one in zip(rows, shown, strict=True)]
        sheet.table(columns, rows)
    return _cut(sheet, height, len(changes.images) - len(shown), cut)


def _cut(sheet: Sheet, height: int, more: int, cut: str) -> Text:
    if more > 0 and height > 3:
        sheet.line(f"{cut} {more:,} more", sheet.styles.muted)
    return sheet.text
