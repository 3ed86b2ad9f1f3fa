"""Columns and cells of a text table that show facts of a run."""

from __future__ import annotations

from typing import Any

from etui.cli.table import Column
from etui.facts import Fact, RunSummary
from etui.text import MISSING

NAME_CELLS, ID_CELLS = 24, 8
"""The width at which names of models, precisions and delegates, and ids of runs are cut on a narrow terminal."""

_HEADINGS: dict[Fact[Any], str] = {RunSummary.speedup: "vs eager", RunSummary.verdict: "accuracy"}
"""Names that differ from that of the fact."""

_NAMES = frozenset({RunSummary.model, RunSummary.precision, RunSummary.delegate})


def fact_column(fact: Fact[Any], spare: int = 0) -> Column:
    """Return the column of a fact with the unit in its heading. ``spare`` is its priority for omission on a narrow
    terminal (0 never, 9 first)."""
    heading = _HEADINGS.get(fact, fact.table_heading)
    if fact is RunSummary.id:
        return Column(heading, spare=spare, most=ID_CELLS, cut="clean")
    if fact in _NAMES:
        return Column(heading, spare=spare, most=NAME_CELLS)
    return Column(heading, right=fact.kind.is_number, spare=spare)


def fact_cell(fact: Fact[Any], value: Any) -> str:
    """Format a value as the tables of the screen do; ``-`` for None and an empty list."""
    return MISSING if value is None else str(fact.kind.table.of(value)) or MISSING
