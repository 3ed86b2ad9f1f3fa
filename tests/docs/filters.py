"""The page of the filter language: its keys from the table of keys, and examples that the language itself reads."""

from __future__ import annotations

from etui.store.filter_keys import KEYS, Key
from etui.store.filter_language import parse
from tests.docs.markdown import code, make_page, table

EXAMPLES = (
    ("resnet", "runs with this word in any of their texts"),
    ("model:mob", "models whose name contains `mob`"),
    ("model=resnet18", "exactly this model; `!=` excludes it"),
    ("model:res*18", "`*` stands for any text"),
    ("model:resnet18,gpt2", "either of the two"),
    ("p50<10", "a number compared, in the key's unit"),
    ("p50 < 1 s", "the same with a unit; spaces are allowed"),
    ("p50:2..10", "from 2 to 10, including both; `2..` and `..10` have one end"),
    ("size>20MB speedup>=2", "both conditions hold; `and` may be written between them"),
    ("precision:int8 or top1<0.9", "one of the conditions holds"),
    ("model:mob (p50<5 or tag:release)", "parentheses group; `or` binds less than terms next to each other"),
    ("since:7d", "of the last seven days; `m`, `h`, `d` and `w` are minutes to weeks; also a date"),
    ("until:yesterday", "up to the end of yesterday"),
    ("when:2026-11-01..2026-11-07", "of these days; also one day, `today` and `yesterday`"),
    ("when>2026-11-01", "after a date"),
    ("age:1d..7d", "between one and seven days old"),
    ("session:last", "the runs of the newest session"),
    ("-status:failed", "a minus, or `not`, excludes what follows, also a group in parentheses"),
    ("has:mae", "runs that have a value there"),
    ('note:"two words"', "quotation marks keep words together, and search for `or`, `(` and the like"),
    ("RSS MB > 100", "the heading of a column names it as well as its key"),
)
_KINDS = {
    "text": "text",
    "number": "number",
    "list": "list of texts",
    "time": "time",
    "age": "age",
    "since": "time or age",
    "until": "time or age",
}


def page() -> str:
    """The text of ``docs/reference/filters.md``."""
    for text, _ in EXAMPLES:
        parse(text)
    return make_page(
        "Filters",
        "A filter selects runs on the screen (`/`) and on the command line: `etui runs 'model:mob p50<10 since:7d'`,"
        " and in place of a run id, such as `etui export 'tag:release'`. It consists of terms, with spaces between"
        " them.",
        table(("term", "meaning"), [(code(text), meaning) for text, meaning in EXAMPLES]),
        "## Keys",
        "In a text, `:` and `~` find any part, ignoring case, and `=` and `!=` compare the whole text; an id is found"
        " by its beginning. Numbers, times and ages are compared with `<`, `<=`, `>` and `>=`, numbers and times also"
        " with `=` and `!=`. A number without a unit has the unit in the first place of the list. The machine name has"
        " the key `box`. The headings of the screen's table and of `etui runs`, and the names that"
        " `etui runs --columns` takes, are keys too.",
        table(("key", "kind", "values or units", "meaning"), [_row(name, key) for name, key in KEYS.items()]),
    )


def _row(name: str, key: Key) -> tuple[str, str, str, str]:
    # A unit may be left out: the empty text, or the first one that changes nothing.
    units = sorted((unit for unit in key.units if unit), key=lambda unit: key.units[unit] != key.units.get("", 1.0))
    values = ", ".join(code(value) for value in (key.values or units))
    return code(name), _KINDS[key.kind], values, "; ".join(part for part in (key.about, key.hint) if part)
