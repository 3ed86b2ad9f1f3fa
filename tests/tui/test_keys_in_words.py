"""The keys that the README and ``etui --help`` name are those of the registry, every one of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from etui.actions import ACTIONS
from etui.cli.main import KEYS
from tests.boxes import ETUI

README = Path(__file__).parents[2] / "README.md"
SIGNS = {"slash": "/", "question_mark": "?", "asterisk": "*", "minus": "-", "colon": ":"}


def key_table() -> str:
    """The README's table of keys, made from the registry."""
    rows = ["| key | what it does |", "|---|---|"]
    for action in ACTIONS:
        keys = " ".join(f"`{SIGNS.get(key, key)}`" for key in action.keys)
        rows.append(f"| {keys} | {action.about} |")
    return "\n".join(rows)


def test_the_readme_has_every_key() -> None:
    assert key_table() in README.read_text(), f"the README's table of keys should be:\n{key_table()}"


def test_the_help_names_keys_as_they_are() -> None:
    shown = {(SIGNS.get(key, key), action.label) for action in ACTIONS for key in action.keys}
    named = [tuple(pair.split(" ", 1)) for pair in KEYS.split(", ")]
    assert named and set(named) <= shown
    wanted = {(key, label) for key, label in shown if label and (key, label) in set(named)}
    assert len(wanted) == len(named)
    help_text = " ".join(subprocess.run([ETUI, "--help"], capture_output=True, text=True, check=True).stdout.split())
    assert KEYS in help_text
