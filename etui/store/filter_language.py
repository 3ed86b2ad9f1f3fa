"""The filter language: parse ``model:resnet18 p50<10 -status:failed`` into conditions, and explain mistakes.

Terms separated by spaces must all match. A bare word is searched in every text column; ``key:value`` matches this
value, with ``*`` as a wildcard and commas for alternatives; ``key<value`` and the other operators compare; ``has:key``
matches runs with a value; a leading minus negates a term. Quotation marks group words: ``"two words"``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

import msgspec

from etui.errors import UsageError
from etui.facts import BY_KEY, RunSummary
from etui.store.conditions import ANY_TEXT, Condition, Operator

Kind = Literal["text", "number", "list", "time", "age"]


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key of the language: its column and the kind of its values. ``values`` are all possible values, if these are
    fixed; ``units`` are the factors of the units that may follow a number; ``match`` is how a text is compared;
    ``about`` describes the value, ``hint`` what may be written."""

    column: str
    kind: Kind
    values: tuple[str, ...] = ()
    units: Mapping[str, float] = {}
    match: Literal["exact", "prefix", "part"] = "exact"
    about: str = ""
    hint: str = ""


_FIRST = (
    "model", "precision", "delegate", "status", "verdict", "speed", "weights", "preset", "box", "id", "session", "note",
    "error", "flag", "tag", "when", "age", "threads", "p50", "p90", "p95", "p99",
)  # fmt: skip
"""The keys that are listed first; the others follow in the order of the facts."""


def _keys() -> dict[str, Key]:
    keys = {
        name: Key(
            column=fact.columns[0],
            kind=fact.kind.filter,
            values=fact.filter.values,
            units=fact.kind.units,
            match=fact.filter.match,
            about=fact.about,
            hint=fact.filter.hint,
        )
        for name, fact in BY_KEY.items()
        if fact.filter is not None
    }
    created = RunSummary.created_at
    keys["age"] = Key(
        column=created.columns[0],
        kind="age",
        about="Time since the run was queued",
        hint="30m, 12h, 7d or 4w, such as age<7d",
    )
    return {name: keys[name] for name in _FIRST} | keys


KEYS = _keys()
"""The keys of the language by name."""

_AGES = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_TOKEN = re.compile(r"""(?:[^\s"]|"[^"]*"?)+""")
_TERM = re.compile(r"(?P<key>[^\W\d_][\w-]*)(?P<operator><=|>=|!=|[:=<>~])(?P<value>.*)", re.DOTALL)
_NUMBER = re.compile(r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(?P<unit>[^\W\d]*|×)", re.IGNORECASE)
_OPPOSITE: dict[str, Operator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


MOST_CHARACTERS = 4_000
MOST_TERMS = 200
"""SQLite limits the length of patterns and the number of conditions."""


class FilterMistake(UsageError):
    """A filter that cannot be parsed. ``start`` and ``end`` are the range of the text with the mistake."""

    def __init__(self, message: str, hint: str, start: int, end: int) -> None:
        super().__init__(message, hint)
        self.start = start
        self.end = end


def parse(text: str, now: datetime | None = None) -> list[Condition]:
    """Return the conditions of a filter; all of them must hold. ``now`` is the reference for ages. Raises
    FilterMistake."""
    if len(text) > MOST_CHARACTERS:
        raise FilterMistake(
            f"a filter of {len(text):,} characters is too long",
            f"use at most {MOST_CHARACTERS:,}",
            MOST_CHARACTERS,
            len(text),
        )
    terms = list(_TOKEN.finditer(text))
    if len(terms) > MOST_TERMS:
        raise FilterMistake(
            f"a filter of {len(terms)} terms is too long",
            f"use at most {MOST_TERMS}, or commas: model:resnet18,resnet50",
            terms[MOST_TERMS].start(),
            len(text),
        )
    return [_condition(match.group(), match.start(), now or datetime.now(UTC)) for match in terms]


def completions(text: str, cursor: int, known: dict[str, list[str]]) -> list[str]:
    """Return completions of the word before the cursor, best first: keys, or the values of a key.

    ``known`` has the values in the database by column.
    """
    word = word_before(text, cursor)
    minus = "-" if word.startswith("-") else ""
    body = word.removeprefix("-")
    key, colon, value = body.partition(":")
    if colon and key in KEYS:
        values = [*KEYS[key].values, *known.get(KEYS[key].column, [])]
        last = value.rsplit(",", 1)[-1]
        head = f"{minus}{key}:{value[: len(value) - len(last)]}"
        return [head + _quoted(option) for option in dict.fromkeys(values) if option.lower().startswith(last.lower())]
    if colon and key == "has":
        return [f"{minus}has:{name}" for name in KEYS if name.startswith(value)]
    if not body:
        return []
    return [minus + name + (":" if _takes_colon(name) else "<") for name in [*KEYS, "has"] if name.startswith(body)]


def word_before(text: str, cursor: int) -> str:
    """Return the word that ends at the cursor; empty if there is none."""
    return next((match.group() for match in _TOKEN.finditer(text[:cursor]) if match.end() == cursor), "")


def _condition(token: str, start: int, now: datetime) -> Condition:
    negated = token.startswith("-") and len(token) > 1
    body = token[1:] if negated else token
    end = start + len(token)
    if any("\ud800" <= character <= "\udfff" for character in token):
        raise FilterMistake("a term contains bytes that are not valid UTF-8", "type it again", start, end)
    if token == "-":
        raise FilterMistake("a minus must be followed by a term", "-status:failed excludes failed runs", start, end)
    if body.count('"') % 2:
        raise FilterMistake("a quotation mark is not closed", 'close it: note:"two words"', start, end)
    match = _TERM.fullmatch(body)
    if match is None or body.startswith('"'):
        return Condition(ANY_TEXT, "contains", body.replace('"', ""), negated)
    name, operator, value = match["key"].lower(), match["operator"], match["value"].replace('"', "")
    try:
        if name == "has":
            return Condition(_key(value).column, "is missing", None, not negated)
        key = _key(name)
        if not value:
            raise _Mistake(f"{name}{operator} needs a value", _example(name))
        condition = _READERS[key.kind](name, key, operator, value, now)
    except _Mistake as mistake:
        raise FilterMistake(mistake.message, mistake.hint, start, end) from None
    return msgspec.structs.replace(condition, negated=condition.negated != negated)


class _Mistake(Exception):
    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def _key(name: str) -> Key:
    if name in KEYS:
        return KEYS[name]
    near = difflib.get_close_matches(name, [*KEYS, "has"], n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join([*KEYS, 'has'])}"
    raise _Mistake(f"unknown key {name!r}" if name else "has: needs a key", hint)


def _text(name: str, key: Key, operator: str, value: str, _now: datetime) -> Condition:
    if operator == "~":
        return Condition(key.column, "contains", value)
    if operator not in (":", "=", "!="):
        raise _Mistake(f"{name} is text and cannot be compared with {operator}", f"write {name}:{value}")
    negated = operator == "!="
    if "*" in value:
        return Condition(key.column, "glob", value, negated)
    if key.match == "part":
        return Condition(key.column, "contains", value, negated)
    if key.match == "prefix":
        return Condition(key.column, "glob", value + "*", negated)
    options = [_spelled(name, key, option) for option in value.split(",") if option]
    if not options:
        raise _Mistake(f"{name}: needs a value", _example(name))
    return Condition(
        key.column, "in" if len(options) > 1 else "=", options if len(options) > 1 else options[0], negated
    )


def _spelled(name: str, key: Key, value: str) -> str:
    """Return the value as it is stored, ignoring case and treating ``timed-out`` as ``timed out``."""
    if not key.values:
        return value
    for known in key.values:
        if value.lower().replace("-", " ").replace("_", " ") == known.lower():
            return known
    raise _Mistake(f"{value!r} is not a valid {name}", f"one of {', '.join(key.values)}")


def _list(name: str, key: Key, operator: str, value: str, _now: datetime) -> Condition:
    if operator not in (":", "=", "!=", "~"):
        raise _Mistake(f"{name} is text and cannot be compared with {operator}", f"write {name}:{value}")
    # The column is a JSON array of texts: with the quotation marks only a whole element matches.
    text = value if operator == "~" else msgspec.json.encode(value).decode()
    return Condition(key.column, "contains", text, operator == "!=")


def _number(name: str, key: Key, operator: str, value: str, _now: datetime) -> Condition:
    if operator == "~":
        raise _Mistake(f"{name} is a number and cannot be searched for text", f"write {name}<10")
    match = _NUMBER.fullmatch(value.strip())
    if match is None:
        raise _Mistake(f"{value!r} is not a number", f"write {name}<10")
    unit = match["unit"].lower()
    if unit and unit not in key.units:
        known = ", ".join(name for name in key.units if name)
        raise _Mistake(f"{match['unit']!r} is not a unit of {name}", f"one of {known}" if known else "remove it")
    number = float(match["number"]) * key.units.get(unit, 1.0)
    return Condition(key.column, _operator(operator), number)


def _time(name: str, key: Key, operator: str, value: str, now: datetime) -> Condition:
    days = {"today": 0, "yesterday": 1}
    local = now.astimezone()
    if value.lower() in days:
        value = (local - timedelta(days=days[value.lower()])).date().isoformat()
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _Mistake(
            f"{value!r} is not a date", f"write {name}:today, {name}:2026-11-20 or {name}>2026-11-01"
        ) from None
    day = len(value) == 10
    try:
        begins, ends = _stored(moment), _stored(moment + (timedelta(days=1) if day else timedelta(minutes=1)))
    except (OverflowError, ValueError):
        # The first and the last day that datetime supports have no neighbour.
        raise _Mistake(f"{value!r} is out of range", f"{name} takes dates from 0001-01-02 to 9999-12-30") from None
    if operator in (":", "=", "!="):
        # created_at is UTC and the day is local: compare with both ends of the day. ISO 8601 texts sort by time.
        return Condition(key.column, "between", [begins, ends], operator == "!=")
    if operator == "~":
        raise _Mistake(f"{name} is a time and cannot be searched for text", f"write {name}>2026-11-01")
    bound = ends if operator in (">", "<=") else begins
    return Condition(key.column, ">=" if operator in (">", ">=") else "<", bound)


def _age(name: str, key: Key, operator: str, value: str, now: datetime) -> Condition:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", value.strip().lower())
    if match is None:
        raise _Mistake(f"{value!r} is not an age", f"write {name}<12h, with m, h, d or w")
    if operator not in _OPPOSITE:
        raise _Mistake(f"an age can be compared with < or >, not with {operator}", f"write {name}<{value}")
    try:
        begins = _stored(now - float(match[1]) * _AGES[match[2]])
    except (OverflowError, ValueError):
        raise _Mistake(f"{value!r} is out of range", f"use a smaller number, such as {name}<10000d") from None
    return Condition(key.column, _OPPOSITE[operator], begins)


_READERS = {"text": _text, "list": _list, "number": _number, "time": _time, "age": _age}


def _operator(symbol: str) -> Operator:
    return "=" if symbol == ":" else cast("Operator", symbol)


def _stored(moment: datetime) -> str:
    """Return a time in the format of the database: UTC, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _takes_colon(name: str) -> bool:
    return name == "has" or KEYS[name].kind in ("text", "list", "time")


def _example(name: str) -> str:
    key = KEYS[name]
    if key.values:
        return f"one of {', '.join(key.values)}"
    return f"such as {name}:{'resnet18' if name == 'model' else '...'}" if _takes_colon(name) else f"such as {name}<10"


def _quoted(value: str) -> str:
    return f'"{value}"' if " " in value else value
