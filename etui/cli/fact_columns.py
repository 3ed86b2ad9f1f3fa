"""Columns of a text table that show facts of a run."""

from __future__ import annotations

from typing import Any

from etui.cli.table import Column
from etui.facts import Fact, RunSummary

NAME_CELLS = 60
"""The width at which names of models, precisions and delegates are cut in a table of many runs."""

_HEADINGS: dict[Fact[Any], str] = {RunSummary.speedup: "vs eager", RunSummary.verdict: "accuracy"}
"""Headings that differ from the name of the fact."""

_NAMES = frozenset({RunSummary.model, RunSummary.precision, RunSummary.delegate})


def fact_column(fact: Fact[Any], spare: int = 0) -> Column:
    """Return the column of a fact. ``spare`` is its priority for omission on a narrow terminal (0 never, 9 first)."""
    heading = _HEADINGS.get(fact, fact.text_heading)
    if fact in _NAMES:
        return Column(heading, spare=spare, most=NAME_CELLS)
    return Column(heading, right=fact.kind.is_number, spare=spare)
