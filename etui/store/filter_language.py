"""The filter language: parse ``model:mob (p50:2..10 or tag:release) since:7d`` into conditions, and explain mistakes.

Terms next to each other must all match; ``or`` separates alternatives, parentheses group, a leading minus or ``not``
negates. A bare word is searched in every text column. ``key:value`` finds the value in a part of the text and ``=`` the
whole text, with ``*`` as a wildcard and commas for alternatives; ``key<value`` and the other operators compare;
``a..b`` is a range; ``has:key`` matches runs with a value. ``@name`` is a saved filter. Quotation marks group words:
``"two words"``. A key can also be written as the heading of its column, and operators may have spaces around them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

import msgspec

from etui.errors import UsageError
from etui.store.conditions import ANY_TEXT, GROUP, Condition, Operator, negation
from etui.store.filter_keys import KEYS, NAMED, NAMES, Key, nearest, normalized

_AGES = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_TOKEN = re.compile(r"""(?:[^\s"]|"[^"]*"?)+""")
_SPACE = re.compile(r"\s*")
_BEGINNING = re.compile(
    rf"""(?:(?P<known>{NAMED})|"(?P<quoted>{NAMED})"|(?P<key>[^\W\d_][\w-]*))\s*(?P<operator><=|>=|!=|[:=<>~])\s*""",
    re.IGNORECASE,
)
_NEXT_WORD = re.compile(r"\s+(?P<word>[^\s()\"]+)")
_RANGE_GOES_ON = re.compile(r"\s*\.\.\s*")
_COMMA_GOES_ON = re.compile(r"\s*,\s*(?=[^\s,)])")
_NUMBER = re.compile(r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(?P<unit>[^\W\d]*|×|%)", re.IGNORECASE)
_AGE = re.compile(r"(\d+(?:\.\d+)?)([mhdw])", re.IGNORECASE)
_OPPOSITE: dict[str, Operator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_KEYWORDS = ("and", "or", "not")
_NEWEST = "last"

MOST_CHARACTERS = 4_000
MOST_TERMS = 200
"""SQLite limits the length of patterns and the number of conditions."""
_DEEPEST = 20
_LONGEST_SAVED = 10


class FilterMistake(UsageError):
    """A filter that cannot be parsed. ``start`` and ``end`` are the range of the text with the mistake."""

    def __init__(self, message: str, hint: str, start: int, end: int) -> None:
        super().__init__(message, hint)
        self.start = start
        self.end = end


def parse(text: str, now: datetime | None = None, saved: Mapping[str, str] | None = None) -> list[Condition]:
    """Return the conditions of a filter; all of them must hold. ``now`` is the reference for ages, ``saved`` are the
    filters that can be written as ``@name``; None reads that as a word. Raises FilterMistake for the first mistake."""
    conditions, mistakes = read(text, now, saved)
    if mistakes:
        raise mistakes[0]
    return conditions


def read(
    text: str, now: datetime | None = None, saved: Mapping[str, str] | None = None
) -> tuple[list[Condition], list[FilterMistake]]:
    """Return the conditions of the terms of a filter that can be parsed, and the mistakes, in the order of the text.
    Parameters like ``parse``."""
    reader = _Reader(text, now or datetime.now(UTC), saved)
    conditions = reader.read()
    return conditions, sorted(reader.mistakes, key=lambda mistake: mistake.start)


def is_filter(text: str) -> bool:
    """Whether a text must be a filter, since it is not the beginning of a run id."""
    return bool(re.search(r"""[\s"():=<>~@]""", text)) or text.startswith("-")


def completions(
    text: str, cursor: int, known: dict[str, list[str]], saved: Mapping[str, str] | None = None
) -> list[str]:
    """Return completions of the word before the cursor, best first: keys, the values of a key, or saved filters.

    ``known`` has the values in the database by column.
    """
    word = word_before(text, cursor)
    minus = "-" if word.startswith("-") else ""
    body = word.removeprefix("-")
    if body.startswith("@"):
        return [f"{minus}@{name}" for name in saved or {} if name.startswith(body[1:])]
    name, operator, value = re.fullmatch(r"([^:=]*)([:=]?)(.*)", body, re.DOTALL).groups()  # type: ignore[union-attr]
    key = NAMES.get(normalized(name))
    if operator and key is not None:
        values = [*key.values, *known.get(key.column, []), *([_NEWEST] if name == "session" else [])]
        last = value.rsplit(",", 1)[-1]
        head = f"{minus}{name}{operator}{value[: len(value) - len(last)]}"
        return [head + _quoted(option) for option in dict.fromkeys(values) if option.lower().startswith(last.lower())]
    if operator and name == "has":
        return [f"{minus}has:{name}" for name in KEYS if name.startswith(value)]
    if not body:
        return []
    return [minus + name + (":" if _takes_colon(name) else "<") for name in [*KEYS, "has"] if name.startswith(body)]


def word_before(text: str, cursor: int) -> str:
    """Return the word that ends at the cursor, without an opening parenthesis before it; empty if there is none."""
    word = next((match.group() for match in _TOKEN.finditer(text[:cursor]) if match.end() == cursor), "")
    minus = "-" if word.startswith("-(") else ""
    return word.removeprefix(minus).lstrip("(")


class _Token(msgspec.Struct, frozen=True):
    """A parenthesis, a keyword or a term of the text from ``start`` to ``end``. A term with a mistake has no
    ``conditions``."""

    kind: Literal["(", ")", "and", "or", "not", "term"]
    start: int
    end: int
    conditions: tuple[Condition, ...] = ()


class _Reader:
    """Reads one filter; ``mistakes`` are what it could not read and leaves out."""

    def __init__(self, text: str, now: datetime, saved: Mapping[str, str] | None, within: tuple[str, ...] = ()) -> None:
        self.text = text
        self.now = now
        self.saved = saved
        self.within = within
        self.mistakes: list[FilterMistake] = []
        self._tokens: list[_Token] = []
        self._at = 0

    def read(self) -> list[Condition]:
        """Return the conditions of the text."""
        text = self.text
        if len(text) > MOST_CHARACTERS:
            self._mistake(
                f"a filter of {len(text):,} characters is too long",
                f"use at most {MOST_CHARACTERS:,}",
                MOST_CHARACTERS,
                len(text),
            )
            return []
        self._tokens = self._split()
        conditions = self._alternatives(0)
        while (stray := self._next()) is not None:
            self._at += 1
            self._mistake("a closing parenthesis has no opening one", 'quote it to search for it: ")"', *_place(stray))
            # What follows is read as if the parenthesis were not there.
            conditions += self._alternatives(0)
        return conditions

    def _mistake(self, message: str, hint: str, start: int, end: int) -> None:
        self.mistakes.append(FilterMistake(message, hint, start, end))

    # Tokens

    def _split(self) -> list[_Token]:
        """Return the tokens of the text."""
        text, at = self.text, 0
        tokens: list[_Token] = []
        terms = 0
        while (at := _end_of(_SPACE, text, at)) < len(text):
            if text[at] in "()":
                tokens.append(_Token(cast("Literal['(', ')']", text[at]), at, at + 1))
                at += 1
                continue
            if text[at] == "-" and at + 1 < len(text) and not text[at + 1].isspace() and text[at + 1] != ")":
                tokens.append(_Token("not", at, at + 1))
                at += 1
                continue
            begins = at
            beginning = _BEGINNING.match(text, at)
            if beginning is None:
                at = _end_of_word(text, at)
                word = text[begins:at].lower()
                if word in _KEYWORDS:
                    tokens.append(_Token(cast("Literal['and', 'or', 'not']", word), begins, at))
                    continue
                read: Callable[[], Sequence[Condition]] = lambda: self._word(text[begins:at])  # noqa: B023, E731
            else:
                name = beginning["known"] or beginning["quoted"] or beginning["key"]
                at = self._end_of_value(NAMES.get(normalized(name)), beginning.end())
                read = lambda: [self._compared(name, beginning["operator"], text[beginning.end() : at])]  # noqa: B023, E731
            terms += 1
            if terms > MOST_TERMS:
                self._mistake(
                    f"a filter of more than {MOST_TERMS} terms is too long",
                    "use commas: model:resnet18,resnet50",
                    begins,
                    len(text),
                )
                break
            tokens.append(self._term(begins, at, read))
        return tokens

    def _end_of_value(self, key: Key | None, begins: int) -> int:
        """Return where the value of a key ends: after a word, and after what continues a list, a range or a number."""
        text = self.text
        word = _NEXT_WORD.match(text, begins - 1) if text[begins - 1 : begins].isspace() else None
        if word is not None and word["word"].lower() in _KEYWORDS:
            return begins
        end = _end_of_word(text, begins)
        if key is None or end == begins:
            return end
        number = key.kind == "number"
        goes_on = (
            _RANGE_GOES_ON
            if number or key.kind in ("time", "age")
            else _COMMA_GOES_ON
            if key.match != "prose"
            else None
        )
        while goes_on is not None:
            if (more := goes_on.match(text, end)) is not None and more.end() > end:
                after = _end_of_word(text, more.end())
            elif text[begins:end].rstrip().endswith(".." if goes_on is _RANGE_GOES_ON else ","):
                after = _end_of_word(text, _end_of(_SPACE, text, end))
            else:
                break
            if after <= end:
                break
            end = after
        unit = _NEXT_WORD.match(text, end)
        if number and unit is not None and unit["word"].lower() in key.units:
            end = unit.end()
        return end

    def _term(self, start: int, end: int, read: Callable[[], Sequence[Condition]]) -> _Token:
        """Return the token of a term; without conditions if it has a mistake."""
        text = self.text[start:end]
        try:
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise _Mistake("a term contains bytes that are not valid UTF-8", "type it again")
            if text.count('"') % 2:
                raise _Mistake("a quotation mark is not closed", 'close it: note:"two words"')
            return _Token("term", start, end, tuple(read()))
        except _Mistake as mistake:
            self._mistake(mistake.message, mistake.hint, start, end)
            return _Token("term", start, end)

    def _word(self, word: str) -> Sequence[Condition]:
        if word == "-":
            raise _Mistake("a minus must be followed by a term", "-status:failed excludes failed runs")
        if word.startswith("@") and self.saved is not None:
            return self._saved(self.saved, word[1:])
        return [Condition(ANY_TEXT, "contains", word.replace('"', ""))]

    def _saved(self, saved: Mapping[str, str], name: str) -> Sequence[Condition]:
        """Return the conditions of a saved filter."""
        if name not in saved:
            known = f"one of {', '.join(saved)}" if saved else "no filters are saved"
            raise _Mistake(f"there is no saved filter {name!r}", f"{known}; quote the word to search for it")
        if name in self.within or len(self.within) >= _LONGEST_SAVED:
            raise _Mistake(f"the saved filter {name!r} refers to itself", "save it again with other words")
        reader = _Reader(saved[name], self.now, saved, (*self.within, name))
        conditions = reader.read()
        if reader.mistakes:
            raise _Mistake(f"the saved filter {name!r} is not valid: {reader.mistakes[0]}", "save it again")
        return conditions

    def _compared(self, name: str, operator: str, value: str) -> Condition:
        plain = value.replace('"', "")
        if name.lower() == "has":
            return Condition(_key(plain).column, "is missing", None, negated=True)
        key = _key(name)
        name = name.lower()
        if not plain:
            raise _Mistake(f"{name}{operator} needs a value", _example(name, key))
        return _READERS[key.kind](name, key, operator, value, self.now)

    # Grammar

    def _next(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _alternatives(self, depth: int) -> list[Condition]:
        """Return the conditions of terms with ``or`` between them, up to a closing parenthesis or the end."""
        options = [self._together(depth)]
        while (token := self._next()) is not None and token.kind == "or":
            self._at += 1
            before, after = self._tokens[self._at - 2 : self._at - 1] if self._at > 1 else [], self._next()
            if not before or before[0].kind not in ("term", ")") or after is None or after.kind in (")", "or", "and"):
                self._mistake("or must be between two terms", 'quote it to search for it: "or"', token.start, token.end)
            options.append(self._together(depth))
        options = [option for option in options if option]
        if len(options) < 2:
            return options[0] if options else []
        alternatives = tuple(
            option[0] if len(option) == 1 else Condition(GROUP, "all", tuple(option)) for option in options
        )
        return [Condition(GROUP, "any", alternatives)]

    def _together(self, depth: int) -> list[Condition]:
        """Return the conditions of terms that must all match."""
        conditions: list[Condition] = []
        first, joint = True, None
        while (token := self._next()) is not None and token.kind not in ("or", ")"):
            if token.kind == "and":
                if first or joint is not None:
                    self._dangling(token)
                else:
                    joint = token
                self._at += 1
                continue
            conditions += self._one(depth)
            first, joint = False, None
        if joint is not None:
            self._dangling(joint)
        return conditions

    def _dangling(self, token: _Token) -> None:
        self._mistake(
            f"{token.kind} must be between two terms", f'quote it to search for it: "{token.kind}"', *_place(token)
        )

    def _one(self, depth: int) -> list[Condition]:
        """Return the conditions of one term or group, after any negations."""
        negated, denial = False, None
        while (token := self._next()) is not None and token.kind == "not":
            negated, denial = not negated, token
            self._at += 1
        if token is None or token.kind not in ("term", "("):
            assert denial is not None
            self._mistake(
                f"{self.text[denial.start : denial.end]} must be followed by a term",
                "-status:failed excludes failed runs",
                *_place(denial),
            )
            return []
        self._at += 1
        conditions = list(token.conditions) if token.kind == "term" else self._group(token, depth + 1)
        return [negation(conditions)] if negated and conditions else conditions

    def _group(self, opening: _Token, depth: int) -> list[Condition]:
        if depth > _DEEPEST:
            self._mistake(f"more than {_DEEPEST} parentheses are nested", "remove some", opening.start, len(self.text))
            self._at = len(self._tokens)
            return []
        conditions = self._alternatives(depth)
        closing = self._next()
        if closing is None:
            self._mistake("a parenthesis is not closed", "add )", *_place(opening))
        else:
            self._at += 1
            if self._tokens[self._at - 2] is opening:
                self._mistake("the parentheses are empty", "put terms between them", opening.start, closing.end)
        return conditions


def _place(token: _Token) -> tuple[int, int]:
    return token.start, token.end


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return start if match is None else match.end()


def _end_of_word(text: str, start: int) -> int:
    """Return where a word ends: at a space or at a parenthesis that was opened before it, outside of quotation
    marks."""
    end, opened = start, 0
    while end < len(text) and not text[end].isspace():
        if text[end] == '"':
            closing = text.find('"', end + 1)
            end = len(text) if closing < 0 else closing + 1
            continue
        opened += (text[end] == "(") - (text[end] == ")")
        if opened < 0:
            break
        end += 1
    return end


class _Mistake(Exception):
    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def _key(name: str) -> Key:
    key = NAMES.get(normalized(name))
    if key is None:
        raise _Mistake(f"unknown key {name.lower()!r}" if name else "has: needs a key", nearest(name.lower()))
    return key


def _split_at_commas(value: str) -> list[str]:
    """Return the parts between the commas that are outside of quotation marks, without the marks; none is empty."""
    parts = [part.replace('"', "").strip() for part in re.findall(r'(?:[^,"]|"[^"]*")+', value)]
    return [part for part in parts if part]


def _either(conditions: Sequence[Condition], *, negated: bool) -> Condition:
    """Return the condition that one of several holds, or none of them."""
    either = conditions[0] if len(conditions) == 1 else Condition(GROUP, "any", tuple(conditions))
    return negation([either]) if negated else either


def _text(name: str, key: Key, operator: str, value: str, _now: datetime) -> Condition:
    plain = value.replace('"', "")
    if operator == "~":
        return Condition(key.column, "contains", plain)
    if operator not in (":", "=", "!="):
        raise _Mistake(f"{name} is text and cannot be compared with {operator}", f"write {name}:{plain}")
    options = [plain] if key.match == "prose" else _split_at_commas(value)
    if not options:
        raise _Mistake(f"{name}: needs a value", _example(name, key))
    negated = operator == "!="
    if key.values:
        values = [known for option in options for known in _matching_values(name, key, option, whole=operator != ":")]
        return _equal(key.column, list(dict.fromkeys(values)), negated=negated)
    if operator != ":" and key.match != "prefix" and not any("*" in option for option in options):
        return _equal(key.column, options, negated=negated)
    return _either([_part_of_text(name, key, option) for option in options], negated=negated)


def _equal(column: str, values: list[str], *, negated: bool) -> Condition:
    if len(values) == 1:
        return Condition(column, "=", values[0], negated)
    return Condition(column, "in", values, negated)


def _part_of_text(name: str, key: Key, value: str) -> Condition:
    if name == "session" and value.lower() == _NEWEST:
        return Condition(key.column, "of newest")
    if "*" in value:
        return Condition(key.column, "glob", value)
    if key.match == "prefix":
        return Condition(key.column, "glob", value + "*")
    return Condition(key.column, "contains", value)


def _matching_values(name: str, key: Key, value: str, *, whole: bool) -> list[str]:
    """Return the values of a key that a text stands for, ignoring case and treating ``timed-out`` as ``timed out``."""
    wanted = value.lower().replace("-", " ").replace("_", " ")
    if exact := [known for known in key.values if known.lower() == wanted]:
        return exact
    pattern = ".*".join(re.escape(part) for part in wanted.split("*"))
    fits = re.compile(pattern, re.DOTALL)
    parts = [
        known
        for known in key.values
        if (fits.fullmatch(known.lower()) if whole or "*" in value else fits.search(known.lower()))
    ]
    if not parts or (whole and "*" not in value):
        raise _Mistake(f"{value!r} is not a valid {name}", f"one of {', '.join(key.values)}")
    return parts


def _list(name: str, key: Key, operator: str, value: str, _now: datetime) -> Condition:
    if operator not in (":", "=", "!=", "~"):
        raise _Mistake(f"{name} is text and cannot be compared with {operator}", f"write {name}:{value}")
    options = _split_at_commas(value)
    if not options:
        raise _Mistake(f"{name}: needs a value", _example(name, key))
    return _either(
        [_element(key.column, option, whole=operator in ("=", "!=")) for option in options], negated=operator == "!="
    )


def _element(column: str, value: str, *, whole: bool) -> Condition:
    # The column is a JSON array of texts: with the quotation marks only a whole element matches.
    encoded = msgspec.json.encode(value).decode()
    if "*" in value:
        return Condition(column, "glob", f"*{encoded}*")
    return Condition(column, "contains", encoded if whole else encoded[1:-1])


def _range(value: str) -> tuple[str, str] | None:
    """Return the two ends of ``a..b``, one of which may be empty; None if it is not a range."""
    begins, dots, ends = value.partition("..")
    begins, ends = begins.strip(), ends.strip()
    return (begins, ends) if dots and (begins or ends) else None


def _number(name: str, key: Key, operator: str, value: str, _now: datetime) -> Condition:
    value = value.replace('"', "").strip()
    if operator == "~":
        raise _Mistake(f"{name} is a number and cannot be searched for text", f"write {name}<10")
    ends = _range(value) if operator in (":", "=", "!=") else None
    if ends is None:
        return Condition(key.column, _operator(operator), _number_of(name, key, value))
    low, high = (_number_of(name, key, end) if end else None for end in ends)
    negated = operator == "!="
    if low is None or high is None:
        return Condition(key.column, "<=" if low is None else ">=", high if low is None else low, negated)
    if low > high:
        raise _Mistake(f"the range {value} is empty", f"write the smaller number first: {name}:{ends[1]}..{ends[0]}")
    return Condition(key.column, "within", [low, high], negated)


def _number_of(name: str, key: Key, value: str) -> float:
    match = _NUMBER.fullmatch("".join(value.split()))
    if match is None:
        raise _Mistake(f"{value!r} is not a number", f"write {name}<10 or {name}:2..10")
    unit = match["unit"].lower()
    if unit and unit not in key.units:
        known = ", ".join(name for name in key.units if name)
        raise _Mistake(f"{match['unit']!r} is not a unit of {name}", f"one of {known}" if known else "remove it")
    return float(match["number"]) * key.units.get(unit, 1.0)


def _time(name: str, key: Key, operator: str, value: str, now: datetime) -> Condition:
    value = value.replace('"', "").strip()
    if operator == "~":
        raise _Mistake(f"{name} is a time and cannot be searched for text", f"write {name}>2026-11-01")
    if operator in (":", "=", "!="):
        # created_at is UTC and the day is local: compare with both ends of the day. ISO 8601 texts sort by time.
        ends = _range(value) or (value, value)
        begin = _moments(name, ends[0], now)[0] if ends[0] else None
        end = _moments(name, ends[1], now)[1] if ends[1] else None
        negated = operator == "!="
        if begin is None or end is None:
            return Condition(key.column, "<" if begin is None else ">=", end if begin is None else begin, negated)
        if begin > end:
            raise _Mistake(f"the range {value} is empty", "write the earlier date first")
        return Condition(key.column, "between", [begin, end], negated)
    begin, end = _moments(name, value, now)
    return Condition(key.column, ">=" if operator in (">", ">=") else "<", end if operator in (">", "<=") else begin)


def _moments(name: str, value: str, now: datetime) -> tuple[str, str]:
    """Return the beginning of a day or minute and that of the next, as they are stored."""
    days = {"today": 0, "yesterday": 1}
    if value.lower() in days:
        value = (now.astimezone() - timedelta(days=days[value.lower()])).date().isoformat()
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _Mistake(
            f"{value!r} is not a date", f"write {name}:today, {name}:2026-11-20 or {name}>2026-11-01"
        ) from None
    step = timedelta(days=1) if len(value) == 10 else timedelta(minutes=1)
    try:
        return _stored(moment), _stored(moment + step)
    except (OverflowError, ValueError):
        # The first and the last day that datetime supports have no neighbour.
        raise _Mistake(f"{value!r} is out of range", f"{name} takes dates from 0001-01-02 to 9999-12-30") from None


def _age(name: str, key: Key, operator: str, value: str, now: datetime) -> Condition:
    value = value.replace('"', "").strip()
    ends = _range(value) if operator == ":" else None
    if ends is not None:
        newest, oldest = (_ago(name, end, now) if end else None for end in ends)
        if newest is None or oldest is None:
            return Condition(key.column, ">=" if newest is None else "<=", oldest if newest is None else newest)
        if oldest > newest:
            raise _Mistake(f"the range {value} is empty", f"write the smaller age first: {name}:{ends[1]}..{ends[0]}")
        return Condition(key.column, "within", [oldest, newest])
    begins = _ago(name, value, now)
    if operator not in _OPPOSITE:
        raise _Mistake(
            f"an age can be compared with < or >, not with {operator}",
            f"write {name}<{value}, or a range: {name}:1d..7d",
        )
    return Condition(key.column, _OPPOSITE[operator], begins)


def _ago(name: str, value: str, now: datetime) -> str:
    """Return the stored form of the time before which this age begins."""
    match = _AGE.fullmatch(value)
    if match is None:
        raise _Mistake(f"{value!r} is not an age", f"write {name}<12h, with m, h, d or w")
    try:
        return _stored(now - float(match[1]) * _AGES[match[2].lower()])
    except (OverflowError, ValueError):
        raise _Mistake(f"{value!r} is out of range", f"use a smaller number, such as {name}<10000d") from None


def _bound(name: str, key: Key, operator: str, value: str, now: datetime) -> Condition:
    """Return the condition of ``since`` or ``until``, whose value is an age or a date."""
    value = value.replace('"', "").strip()
    if operator not in (":", "="):
        raise _Mistake(f"{name} takes a time after a colon", f"write {name}:{value}")
    begin, end = (_ago(name, value, now),) * 2 if _AGE.fullmatch(value) else _moments(name, value, now)
    return Condition(key.column, ">=", begin) if key.kind == "since" else Condition(key.column, "<", end)


_READERS = {
    "text": _text, "list": _list, "number": _number, "time": _time, "age": _age, "since": _bound, "until": _bound,
}  # fmt: skip


def _operator(symbol: str) -> Operator:
    return "=" if symbol == ":" else cast("Operator", symbol)


def _stored(moment: datetime) -> str:
    """Return a time in the format of the database: UTC, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _takes_colon(name: str) -> bool:
    return name == "has" or KEYS[name].kind in ("text", "list", "time", "since", "until")


def _example(name: str, key: Key) -> str:
    if key.values:
        return f"one of {', '.join(key.values)}"
    if key.kind in ("since", "until"):
        return f"such as {name}:7d"
    if key.kind in ("number", "age"):
        return f"such as {name}<10"
    return f"such as {name}:{'resnet18' if name == 'model' else '...'}"


def _quoted(value: str) -> str:
    return f'"{value}"' if " " in value else value
