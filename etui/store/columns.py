"""The columns of a run's row that facts of the run are stored in: their names, their indexes and their values."""

from __future__ import annotations

import sqlite3

from etui.facts import RunSummary
from etui.results import RunDocument

SUMMARY_COLUMNS = RunSummary.COLUMNS
"""The columns of a summary; runs can be filtered and sorted by each of them."""

IN_ORDER = frozenset(fact.columns[0] for fact in RunSummary.FACTS if fact.indexed)
"""The columns with a separate index, from which a page sorted by the column is read in order."""

SCANNED = frozenset(column for fact in RunSummary.FACTS if fact.scanned for column in fact.columns) | {"words"}
"""The columns of the index ``runs_page``; a scan of it is ten times faster than one of the rows."""

EARLY = tuple(column for fact in RunSummary.FACTS if fact.early for column in fact.columns)
"""The columns of a live run that can be known before its end; its status and times are not among them."""

SELECTED = ", ".join(SUMMARY_COLUMNS)
"""The columns of a summary as they are selected for ``summary_of``; further columns can follow."""


def columns_of(document: RunDocument) -> dict[str, object]:
    """Return the values of a run's row by column."""
    values = (value for fact in RunSummary.FACTS for value in fact.column_values(document))
    return dict(zip(SUMMARY_COLUMNS, values, strict=True))


def summary_of(row: sqlite3.Row) -> RunSummary:
    """Return the summary from a row that begins with the columns ``SELECTED``. Raises msgspec.DecodeError for a damaged
    value."""
    return RunSummary.from_row(row[: len(SUMMARY_COLUMNS)])
