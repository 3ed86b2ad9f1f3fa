"""The page of the facts of a run: where each is in the database, in JSON, in filters and in tables."""

from __future__ import annotations

from typing import Any

from etui.facts import Fact, RunSummary
from tests.docs.markdown import code, make_page, table


def page() -> str:
    """The text of ``docs/reference/facts.md``."""
    return make_page(
        "Facts of a run",
        "Every run in the database has these facts. `etui runs --json` prints them as an array of objects; a dot in a"
        " name stands for a nested object. What was not measured is `null`. The columns are those of the table `runs`"
        " of the database; an interval has two. `etui runs --columns` takes the names, and [filters](filters.md) the"
        " keys.",
        table(
            ("name", "JSON", "columns", "type", "filter key", "better", "meaning"),
            [_row(fact) for fact in RunSummary.FACTS],
        ),
        "`etui show RUN --json` prints everything about a run ([schema](../schema/etui.run-1.schema.json)).",
    )


def _row(fact: Fact[Any]) -> tuple[str, ...]:
    return (
        code(fact.short),
        code(fact.json) if fact.json else "",
        ", ".join(map(code, fact.columns)),
        fact.kind.sql,
        code(fact.filter.key) if fact.filter else "",
        fact.better or "",
        fact.about,
    )
