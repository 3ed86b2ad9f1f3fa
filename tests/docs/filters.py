"""The page of the filter language: its keys from the table of keys, and examples that the language itself reads."""

from __future__ import annotations

from etui.store.filter_language import KEYS, Key, parse
from tests.docs.markdown import code, make_page, table

EXAMPLES = (
    ("resnet", "runs with this word in any of their texts"),
    ("model:resnet18", "only this model"),
    ("model:resnet*", "`*` stands for any text"),
    ("model:resnet18,gpt2", "either of the two"),
    ("model~net", "models whose name contains `net`"),
    ("p50<10", "a number compared, in the key's unit"),
    ("p50<1s", "the same with a unit"),
    ("size>20MB speedup>=2", "both conditions hold"),
    ("age<7d", "of the last seven days; `m`, `h`, `d` and `w` are minutes to weeks"),
    ("when:today", "of one day: `today`, `yesterday` or a date"),
    ("when>2026-11-01", "after a date"),
    ("-status:failed", "a minus excludes what follows"),
    ("has:mae", "runs that have a value there"),
    ('note:"two words"', "quotation marks keep words together"),
)
_KINDS = {"text": "text", "number": "number", "list": "list of texts", "time": "time", "age": "age"}


def page() -> str:
    """The text of ``docs/reference/filters.md``."""
    for text, _ in EXAMPLES:
        parse(text)
    return make_page(
        "Filters",
        "A filter selects runs on the screen (`/`). It consists of terms with spaces between them, and a run must match"
        " all of them.",
        table(("term", "meaning"), [(code(text), meaning) for text, meaning in EXAMPLES]),
        "## Keys",
        "Text is compared with `:`, `!=` or `~` (contains); numbers, times and ages with `<`, `<=`, `>` and `>=`,"
        " numbers and times also with `:` and `!=`. A number without a unit has the unit in the first place of the"
        " list. The machine name has the key `box`. `etui runs --columns` takes the same names.",
        table(("key", "kind", "values or units", "meaning"), [_row(name, key) for name, key in KEYS.items()]),
    )


def _row(name: str, key: Key) -> tuple[str, str, str, str]:
    # A unit may be left out: the empty text, or the first one that changes nothing.
    units = sorted((unit for unit in key.units if unit), key=lambda unit: key.units[unit] != key.units.get("", 1.0))
    values = ", ".join(code(value) for value in (key.values or units))
    return code(name), _KINDS[key.kind], values, "; ".join(part for part in (key.about, key.hint) if part)
