"""The keys that ``etui --help`` names are those of the registry."""

from __future__ import annotations

import subprocess

from etui.actions import ACTIONS
from etui.cli.main import KEYS
from tests.docs.keys import shown as key_name
from tests.machines import ETUI


def test_the_help_names_keys_as_they_are() -> None:
    shown = {(key_name(key), action.label) for action in ACTIONS for key in action.keys}
    named = [tuple(pair.split(" ", 1)) for pair in KEYS.split(", ")]
    assert named and set(named) <= shown
    wanted = {(key, label) for key, label in shown if label and (key, label) in set(named)}
    assert len(wanted) == len(named)
    help_text = " ".join(subprocess.run([ETUI, "--help"], capture_output=True, text=True, check=True).stdout.split())
    assert KEYS in help_text
