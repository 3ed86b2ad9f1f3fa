"""The palette finds actions by the words that users type, and shows their real keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.command import CommandPalette
from textual.widgets import OptionList

from etui.actions import ACTIONS, SCOPE_TITLES
from etui.config import Config
from etui.tui.palette import Entry, score
from etui.tui.screens.export import ExportDialog
from tests.tui.benches import app_of, fill, make_app, make_documents, opened
from tests.tui.hosts import until

pytestmark = pytest.mark.asyncio

OFFERED = ("app", "bench", "table", "chart", "log", "details", "rows", "compare", "trend", "queue")
"""The scopes whose actions the palette offers."""
LONGEST_TITLE = 40


async def _nothing() -> None:
    pass


def _entry(title: str, synonyms: str = "", group: str = "") -> Entry:
    return Entry(group, title, _nothing, synonyms=synonyms)


def _best(entries: list[Entry], query: str) -> list[Entry]:
    words = query.lower().split()
    found = [(score(entry, words), -place, entry) for place, entry in enumerate(entries) if score(entry, words)]
    return [entry for _, _, entry in sorted(found, key=lambda one: one[:2], reverse=True)]


async def test_every_offered_action_has_a_short_title() -> None:
    for action in ACTIONS:
        if action.scope in OFFERED:
            assert len(action.title) <= LONGEST_TITLE, action.id
            assert action.title[0].isupper() and ":" not in action.title, action.id


async def test_titles_differ_within_a_scope() -> None:
    for scope in SCOPE_TITLES:
        titles = [action.title for action in ACTIONS if action.scope == scope]
        assert len(titles) == len(set(titles)), scope


async def test_every_scope_has_a_name() -> None:
    assert {action.scope for action in ACTIONS} <= set(SCOPE_TITLES)


async def test_a_word_of_the_title_is_better_than_a_synonym_and_each_word_must_match() -> None:
    title, start, synonym = _entry("Save screen"), _entry("Saved filters"), _entry("Export runs", "save write")
    assert score(title, ["save"]) > score(start, ["save"]) > score(synonym, ["save"]) > 0
    assert score(synonym, ["save", "runs"]) > 0
    assert score(synonym, ["save", "screen"]) == 0
    assert score(_entry("x", group="Theme"), ["theme"]) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("export", "Export runs as JSON"),
        ("save", "Save screen as SVG"),
        ("reverse", "Reverse sort order"),
        ("theme", "etui-dark"),
        ("stop", "Cancel a run"),
        ("clipboard", "Copy runs as Markdown"),
        ("resnet", "resnet18"),
    ],
)
async def test_what_users_type_comes_first(database: Path, query: str, title: str) -> None:
    fill(database, make_documents(3))
    async with opened(make_app(database)) as pilot:
        found = _best(list(app_of(pilot).palette_entries()), query)
        assert found[0].title == title, [entry.title for entry in found]
        if query == "save":
            assert "Export runs as JSON" in [entry.title for entry in found]


@pytest.mark.slow
async def test_a_typed_word_runs_the_action(database: Path) -> None:
    fill(database, make_documents(3))
    async with opened(make_app(database)) as pilot:
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
        await pilot.press(*"export")
        hits = pilot.app.screen.query_one(OptionList)
        await until(pilot, lambda: hits.highlighted == 0 and "Export" in str(hits.get_option_at_index(0).prompt))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ExportDialog))


async def test_keys_are_those_of_the_configuration(database: Path) -> None:
    config = Config(keys={"bench.export": "f5,E"})
    async with opened(make_app(database, config=config)) as pilot:
        keys = {entry.title: entry.keys for entry in app_of(pilot).palette_entries()}
        assert keys["Export runs as JSON"] == "f5 E"
        assert keys["Filter runs"] == "/"
