"""The page of keys, from the registry of actions."""

from __future__ import annotations

from etui.actions import ACTIONS
from tests.docs.markdown import code, make_page, table

SIGNS = {"slash": "/", "question_mark": "?", "asterisk": "*", "minus": "-", "colon": ":"}
"""The character of a key that Textual calls by a name."""


def shown(key: str) -> str:
    """A key as it is written on the keyboard."""
    return SIGNS.get(key, key)


def page() -> str:
    """The text of ``docs/reference/keys.md``."""
    rows = [(" ".join(code(shown(key)) for key in one.keys), one.about, code(one.id)) for one in ACTIONS]
    return make_page(
        "Keys",
        "Every key of the screen. `?` shows them on the screen, `ctrl+p` finds an action by its name. A key can be"
        " changed in the [configuration file](configuration.md#configuration-file), under `[keys]`, by the action's"
        " name in the last column.",
        table(("key", "what it does", "action"), rows),
    )
