"""The keys of the filter language: the column and the kind of values of each, and every name it can be written with."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from etui.facts import BY_KEY, Fact, RunSummary

KeyKind = Literal["text", "number", "list", "time", "age", "since", "until"]


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key of the language: its column and the kind of its values. ``values`` are all possible values, if these are
    fixed; ``units`` are the factors of the units that may follow a number; ``match`` is how ``:`` compares a text;
    ``about`` describes the value, ``hint`` what may be written."""

    column: str
    kind: KeyKind
    values: tuple[str, ...] = ()
    units: Mapping[str, float] = {}
    match: Literal["part", "prefix", "prose"] = "part"
    about: str = ""
    hint: str = ""


_FIRST = (
    "model", "precision", "delegate", "status", "verdict", "speed", "weights", "preset", "box", "id", "session", "note",
    "error", "flag", "tag", "when", "since", "until", "age", "threads", "p50", "p90", "p95", "p99",
)  # fmt: skip
"""The keys that are listed first; the others follow in the order of the facts."""


def _key(fact: Fact[Any]) -> Key:
    declared = fact.filter
    about = fact.about or fact.title
    return Key(
        column=fact.columns[0],
        kind=fact.kind.filter,
        values=declared.values if declared is not None else (),
        units=fact.kind.units,
        match=declared.match if declared is not None else "part",
        about=f"{about} (its lower end)" if len(fact.columns) > 1 else about,
        hint=declared.hint if declared is not None else "",
    )


def _keys() -> dict[str, Key]:
    keys = {name: _key(fact) for name, fact in BY_KEY.items()}
    column = RunSummary.created_at.columns[0]
    keys["age"] = Key(
        column=column, kind="age", about="Time since the run was queued", hint="30m, 12h, 7d or 4w, such as age<7d"
    )
    keys["since"] = Key(
        column=column, kind="since", about="Queued at this time or later", hint="such as since:2d or since:2026-11-01"
    )
    keys["until"] = Key(
        column=column, kind="until", about="Queued before the end of this time", hint="such as until:yesterday"
    )
    return {name: keys[name] for name in _FIRST} | keys


KEYS = _keys()
"""The keys of the language by name."""


def _names() -> dict[str, Key]:
    names = dict(KEYS)
    by_column = {key.column: key for key in reversed(KEYS.values())}
    facts = []
    for fact in RunSummary.FACTS:
        # A column that shows more than the value of its fact is filtered by what it shows.
        shown = fact.screen.order_by if fact.screen is not None else ""
        key = by_column[shown] if shown else KEYS[fact.filter.key] if fact.filter is not None else _key(fact)
        facts.append((fact, key))
    # A name that several facts have belongs to the one that the runs table shows by it.
    for fact, key in facts:
        names.setdefault(normalized(fact.short), key)
        names.setdefault(fact.name, key)
    for fact, key in facts:
        for name in fact.filter.names if fact.filter is not None else ():
            names.setdefault(normalized(name), key)
        if fact.screen is not None:
            names.setdefault(normalized(fact.cell_heading), key)
    for fact, key in facts:
        names.setdefault(normalized(fact.text_heading), key)
        names.setdefault(normalized(fact.table_heading), key)
        names.setdefault(normalized(fact.title), key)
    return names


def normalized(name: str) -> str:
    """Return a name as it is compared: in lower case, with ``x`` for the multiplication sign and single spaces."""
    return " ".join(name.lower().replace("×", "x").split())


NAMES = _names()
"""The keys by every name: those of ``KEYS``, and the headings and names of the columns of tables."""


def _spelling(name: str) -> str:
    escaped = r"\s+".join(re.escape(part) for part in name.split(" "))
    return escaped.replace("x", "[x×]")


NAMED = "|".join(_spelling(name) for name in sorted(NAMES, key=len, reverse=True))
"""A regular expression for every name, the longest first; compile it with ``re.IGNORECASE``."""


def nearest(name: str) -> str:
    """Return a hint for a name that is not a key: those with similar spelling, or all keys."""
    near = difflib.get_close_matches(name, [*KEYS, "has"], n=2, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join([*KEYS, 'has'])}"
